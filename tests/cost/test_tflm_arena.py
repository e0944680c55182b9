"""Arenas of TensorFlow Lite for Microcontrollers as they were published.

Those that were measured are in tests/benchmarks/test_memory_benchmarks.py.
"""

from __future__ import annotations

import json

import pytest

from benchmarks.accuracy import memory_tflm
from benchmarks.lib.graph_json import graph_from_json
from hwkd.core.graph import OpGraph, Tensor
from hwkd.cost.memory import plan_memory
from hwkd.io.runtime_files import load_runtime

FACTS = json.loads(memory_tflm.FACTS.read_text("utf-8"))
WHEEL = load_runtime(str(memory_tflm.WHEEL)).memory
CHIP = load_runtime("tflm-reference").memory


def test_on_a_chip_a_structure_has_the_plain_bytes_of_the_host_and_half_its_pointers() -> None:
    pairs = [
        (getattr(CHIP, field), getattr(WHEEL, field))
        for field in (
            "fixed_overhead_bytes", "per_tensor_overhead_bytes", "per_op_overhead_bytes",
            "per_output_channel_bytes",
        )
    ]  # fmt: skip
    kinds = CHIP.per_kind_overhead_bytes
    pairs += [(size, WHEEL.per_kind_overhead_bytes[kind]) for kind, size in kinds.items()]
    for on_chip, on_host in pairs:
        pointers, rest = divmod(on_host - on_chip, 4)
        assert rest == 0
        assert 0 <= pointers * 4 <= on_chip


def test_four_byte_pointers_agree_with_the_published_arena_of_person_detection() -> None:
    # arXiv:2010.08678, table 2, VWW on a Cortex-M4: 26.50 kB persistent, 55.30 kB non-persistent.
    # The network is vww01 with one input channel; the paper's TFLM is of 2020.
    fact = FACTS["networks"]["vww01"]["graph"]
    graph = graph_from_json(fact)
    tensors = dict(graph.tensors) | {
        graph.inputs[0]: Tensor(name=graph.inputs[0], shape=(1, 1, 96, 96))
    }
    graph = OpGraph(ops=graph.ops, tensors=tensors, inputs=graph.inputs, outputs=graph.outputs)
    plan = plan_memory(graph, load_runtime("tflm-reference").memory, 1)
    assert plan.arena_bytes == pytest.approx(55_300, rel=0.01)
    assert plan.overhead_bytes == pytest.approx(26_500, rel=0.05)
