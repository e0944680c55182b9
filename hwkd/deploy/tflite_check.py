"""Runs .tflite files in TensorFlow Lite's own interpreters, beside ONNX Runtime and our C.

The interpreters are the extra `hwkd[tflite]`: TFLM as the package `tflite-micro`, whose reference
kernels the C with the rounding `tflite` equals, and LiteRT as `ai-edge-litert`, whose fully
connected layers round once instead of twice and whose products of matrices multiply two scales in
single precision.

ONNX Runtime says what the network is. TensorFlow Lite rounds twice where it rounds once, and steps
add up from layer to layer, so each layer is judged by itself: the C that equals TFLM reads the very
integers that ONNX Runtime's layer reads, and may differ by one step in a stated share of values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np

from hwkd.deploy.to_c.project import Project
from hwkd.deploy.toolchain import host_compiler
from hwkd.deploy.verify_layers import LayerComparison
from hwkd.deploy.verify_onnx import reference_outputs
from hwkd.deploy.verify_run import build_host_once, run_host

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
_Run: TypeAlias = Callable[[_Int8], list[_Int8]]

_TFLM_ARENA_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """An interpreter's outputs against those of another program.

    Attributes:
        interpreter: key of `INTERPRETERS`.
    """

    interpreter: str
    inputs: int
    outputs: int
    mismatches: int
    max_lsb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAgreement:
    """The layers of the C that equals TFLM, each against ONNX Runtime's with the same inputs.

    Attributes:
        averages_within_bound: averages that the order of a float sum decides; no mismatches.
        faults: what double rounding does not explain, one line for each layer.
    """

    layers: int
    values: int
    mismatches: int
    averages_within_bound: int
    max_lsb: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TfliteCheck:
    """What was found out about a .tflite file.

    Attributes:
        against_c: outputs against the C of `--rounding tflite`; empty without a C compiler.
        against_onnxruntime: outputs against ONNX Runtime's, differences of all layers added up.
        layers: None without a C compiler.
    """

    against_c: tuple[Agreement, ...]
    against_onnxruntime: tuple[Agreement, ...]
    layers: LayerAgreement | None


def installed() -> tuple[str, ...]:
    """Return the interpreters that can be imported."""
    return tuple(name for name, (package, _) in INTERPRETERS.items() if find_spec(package))


def seeded_steps(project: Project, count: int, *, seed: int = 0) -> _Int8:
    """Return int8 noise, shape [count, *input_shape]."""
    shape = (count, *project.input.shape[1:])
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def compare_with_c(data: bytes, project: Project, steps: _Int8) -> tuple[Agreement, ...]:
    """Run the file in every installed interpreter and the C on this computer, if both are there.

    Args:
        data: .tflite file of the project's network.
        project: with the rounding `tflite`.
        steps: int8 inputs, shape [inputs, *input_shape], channels first.

    Raises:
        ExportError: if the C cannot be compiled or fails.
    """
    compiler = host_compiler()
    if compiler is None or not installed():
        return ()
    outputs = _run_all(data, project, steps)
    with TemporaryDirectory(prefix="hwkd-tflite-") as folder:
        program = build_host_once(project, Path(folder), compiler, traces=False)
        expected = run_host(program, project, _flat(project, steps)).outputs
    return _agreements(outputs, _shaped(project, expected))


def check_tflite(data: bytes, model_path: Path, project: Project, steps: _Int8) -> TfliteCheck:
    """Compare a file's outputs with the C and ONNX Runtime, and the layers of the C with its.

    Args:
        model_path: int8 ONNX file that the project was made from.
        project: with the rounding `tflite`.
        steps: int8 inputs, shape [inputs, *input_shape], channels first.

    Raises:
        ExportError: if the C cannot be compiled or fails.
    """
    outputs = _run_all(data, project, steps)
    source = project.input
    samples = (steps.astype(np.int16) - source.zero_point).astype(np.float32) * source.scale
    expected = _shaped(project, reference_outputs(model_path, project, samples))
    against_onnxruntime = _agreements(outputs, expected)
    compiler = host_compiler()
    if compiler is None:
        return TfliteCheck(against_c=(), against_onnxruntime=against_onnxruntime, layers=None)
    inputs = _flat(project, steps)
    comparison = LayerComparison(model_path, project)
    with TemporaryDirectory(prefix="hwkd-tflite-") as folder:
        program = build_host_once(project, Path(folder), compiler, traces=True)
        ran = run_host(program, project, inputs)
        comparison.add(inputs, ran.step_outputs)
    return TfliteCheck(
        against_c=_agreements(outputs, _shaped(project, ran.outputs)),
        against_onnxruntime=against_onnxruntime,
        layers=_layer_agreement(project, comparison),
    )


def _layer_agreement(project: Project, comparison: LayerComparison) -> LayerAgreement:
    found = comparison.steps
    faults = [
        f"node {step.name!r} ({step.kind}): {fault}"
        for step, difference in zip(project.steps, found, strict=True)
        if (fault := difference.fault(project.rounding)) is not None
    ]
    return LayerAgreement(
        layers=len(found),
        values=sum(item.values for item in found),
        mismatches=sum(item.differing for item in found),
        averages_within_bound=sum(item.averages_within_bound for item in found),
        max_lsb=max((item.max_lsb for item in found), default=0),
        faults=tuple(faults),
    )


def _agreements(outputs: Mapping[str, _Int8], expected: _Int8) -> tuple[Agreement, ...]:
    found = []
    for name, values in outputs.items():
        difference = np.abs(values.astype(np.int16) - expected)
        found.append(
            Agreement(
                interpreter=name,
                inputs=len(values),
                outputs=difference.size,
                mismatches=int((difference > 0).sum()),
                max_lsb=int(difference.max()),
            )
        )
    return tuple(found)


def run_tflite(data: bytes, steps: _Int8, interpreter: str, *, outputs: int = 1) -> _Int8:
    """Run a .tflite file.

    Args:
        data: the file; one int8 input and one or more outputs, channels last.
        steps: shape [inputs, *input_shape], channels first.
        interpreter: key of `INTERPRETERS`.

    Returns:
        int8, shape [inputs, values], channels first, one output after the other.
    """
    run = INTERPRETERS[interpreter][1](data, outputs)
    rows = [run(_channels_last(sample[None])) for sample in steps]
    return np.stack(
        [np.concatenate([_channels_first(item).reshape(-1) for item in row]) for row in rows]
    )


def _run_all(data: bytes, project: Project, steps: _Int8) -> dict[str, _Int8]:
    """Run the project's .tflite file in every installed interpreter."""
    count = len(project.outputs)
    return {name: run_tflite(data, steps, name, outputs=count) for name in installed()}


def _flat(project: Project, steps: _Int8) -> _Int8:
    """Return inputs in the order of the C buffer, shape [inputs, bytes]."""
    flat = np.empty((len(steps), project.input.elements), np.int8)
    flat[:, project.arranged.places[project.input.name].reshape(-1)] = steps.reshape(len(steps), -1)
    return flat


def _shaped(project: Project, outputs: _Int8) -> _Int8:
    """Return outputs of the C in ONNX's order of elements, shape [inputs, values]."""
    columns, start = [], 0
    for tensor in project.outputs.values():
        columns.append(start + project.arranged.places[tensor.name].reshape(-1))
        start += tensor.elements
    return outputs[:, np.concatenate(columns)]


def _channels_last(values: _Int8) -> _Int8:
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1) if values.ndim == 4 else values)


def _channels_first(values: _Int8) -> _Int8:
    return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values


def _tflm(data: bytes, outputs: int) -> _Run:
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data, arena_size=_TFLM_ARENA_BYTES)

    def run(sample: _Int8) -> list[_Int8]:
        interpreter.set_input(sample, 0)
        interpreter.invoke()
        return [np.asarray(interpreter.get_output(index)) for index in range(outputs)]

    return run


def _litert(data: bytes, outputs: int) -> _Run:
    """Return LiteRT with its reference kernels: XNNPACK's round once, in float."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    targets = [item["index"] for item in interpreter.get_output_details()[:outputs]]

    def run(sample: _Int8) -> list[_Int8]:
        interpreter.set_tensor(source, sample)
        interpreter.invoke()
        return [np.asarray(interpreter.get_tensor(target)) for target in targets]

    return run


# Name -> package to import, and what makes a function of one input from a file and the number of
# its outputs.
INTERPRETERS: dict[str, tuple[str, Callable[[bytes, int], _Run]]] = {
    "tflite-micro": ("tflite_micro", _tflm),
    "litert": ("ai_edge_litert", _litert),
}
