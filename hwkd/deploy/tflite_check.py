"""Runs a .tflite file in TensorFlow Lite's own interpreters and holds the exported C against it.

The interpreters are the extra `hwkd[tflite]`: TFLM as the package `tflite-micro`, whose reference
kernels the C with the rounding `tflite` equals, and LiteRT as `ai-edge-litert`, whose fully
connected layers round once instead of twice and whose products of matrices multiply two scales in
single precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np

from hwkd.deploy.to_c.project import Project
from hwkd.deploy.toolchain import Command, host_compiler
from hwkd.deploy.verify_run import build_host, run_host

__all__ = ["INTERPRETERS", "Agreement", "compare_with_c", "installed", "run_tflite", "seeded_steps"]

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]

_TFLM_ARENA_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """An interpreter's outputs against the C's.

    Attributes:
        interpreter: key of `INTERPRETERS`.
        inputs: how many.
        outputs: values compared.
        mismatches: values that differ.
        max_lsb: largest difference.
    """

    interpreter: str
    inputs: int
    outputs: int
    mismatches: int
    max_lsb: int


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
    expected = _run_c(project, steps, compiler)
    found = []
    for name in installed():
        difference = np.abs(run_tflite(data, steps, name).astype(int) - expected)
        found.append(
            Agreement(
                interpreter=name,
                inputs=len(steps),
                outputs=difference.size,
                mismatches=int((difference > 0).sum()),
                max_lsb=int(difference.max()),
            )
        )
    return tuple(found)


def run_tflite(data: bytes, steps: _Int8, interpreter: str) -> _Int8:
    """Run a .tflite file.

    Args:
        data: the file; one int8 input and output, channels last.
        steps: shape [inputs, *input_shape], channels first.
        interpreter: key of `INTERPRETERS`.

    Returns:
        int8, shape [inputs, *output_shape], channels first.
    """
    run = INTERPRETERS[interpreter][1](data)
    outputs = [run(_channels_last(sample[None])) for sample in steps]
    return np.concatenate([_channels_first(np.asarray(item)) for item in outputs])


def _run_c(
    project: Project, steps: _Int8, compiler: Command
) -> np.ndarray[Any, np.dtype[np.int64]]:
    flat = np.empty((len(steps), project.input.elements), np.int8)
    flat[:, project.arranged.places[project.input.name].reshape(-1)] = steps.reshape(len(steps), -1)
    with TemporaryDirectory(prefix="hwkd-tflite-") as folder:
        programs = build_host(project, Path(folder), compiler)
        outputs = run_host(programs.plain, project, flat).outputs
    places = project.arranged.places[project.output.name].reshape(-1)
    shape = (len(steps), *project.output.shape[1:])
    return outputs[:, places].reshape(shape).astype(np.int64)


def _channels_last(values: _Int8) -> _Int8:
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1) if values.ndim == 4 else values)


def _channels_first(values: _Int8) -> _Int8:
    return values.transpose(0, 3, 1, 2) if values.ndim == 4 else values


def _tflm(data: bytes) -> Callable[[_Int8], _Int8]:
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data, arena_size=_TFLM_ARENA_BYTES)

    def run(sample: _Int8) -> _Int8:
        interpreter.set_input(sample, 0)
        interpreter.invoke()
        return np.asarray(interpreter.get_output(0))

    return run


def _litert(data: bytes) -> Callable[[_Int8], _Int8]:
    """Return LiteRT with its reference kernels: XNNPACK's round once, in float."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]

    def run(sample: _Int8) -> _Int8:
        interpreter.set_tensor(source, sample)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target))

    return run


# Name -> package to import, and what makes a function of one input from a file.
INTERPRETERS: dict[str, tuple[str, Callable[[bytes], Callable[[_Int8], _Int8]]]] = {
    "tflite-micro": ("tflite_micro", _tflm),
    "litert": ("ai_edge_litert", _litert),
}
