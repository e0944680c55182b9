"""Arenas of TensorFlow Lite for Microcontrollers as they were measured and published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.cost.fuse import fuse
from hwkd.cost.memory import plan_memory
from hwkd.io.runtime_files import load_runtime

FOLDER = Path(__file__).parents[2] / "benchmarks" / "facts"
FACTS = json.loads((FOLDER / "tflm_arena.json").read_text("utf-8"))
WHEEL = load_runtime(str(FOLDER / "tflm-reference-64.toml")).memory
CHIP = load_runtime("tflm-reference").memory


@pytest.mark.parametrize("name", FACTS["networks"])
def test_the_arena_is_within_3_percent_of_what_tflm_used(name: str) -> None:
    fact = FACTS["networks"][name]
    fused = fuse(graph_from_facts(fact["graph"]), load_runtime("tflm-reference").fusion)
    predicted = plan_memory(fused.stored, WHEEL, 1).peak_ram_bytes
    assert predicted == pytest.approx(fact["arena_bytes"], rel=0.03)


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


def graph_from_facts(data: dict[str, Any]) -> OpGraph:
    ops = []
    for row in data["ops"]:
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
        ops.append(Op(**({"outputs": (row["name"],)} | fields)))
    tensors = {name: Tensor(name=name, shape=tuple(s)) for name, s in data["shapes"].items()}
    return OpGraph(
        ops=tuple(ops), tensors=tensors,
        inputs=tuple(data["inputs"]), outputs=tuple(data["outputs"]),
    )  # fmt: skip


def test_four_byte_pointers_agree_with_the_published_arena_of_person_detection() -> None:
    # arXiv:2010.08678, table 2, VWW on a Cortex-M4: 26.50 kB persistent, 55.30 kB non-persistent.
    # The network is vww01 with one input channel; the paper's TFLM is of 2020.
    fact = FACTS["networks"]["vww01"]["graph"]
    graph = graph_from_facts(fact)
    tensors = dict(graph.tensors) | {
        graph.inputs[0]: Tensor(name=graph.inputs[0], shape=(1, 1, 96, 96))
    }
    graph = OpGraph(ops=graph.ops, tensors=tensors, inputs=graph.inputs, outputs=graph.outputs)
    plan = plan_memory(graph, load_runtime("tflm-reference").memory, 1)
    assert plan.arena_bytes == pytest.approx(55_300, rel=0.01)
    assert plan.overhead_bytes == pytest.approx(26_500, rel=0.05)
