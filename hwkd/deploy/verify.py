"""Proves that the exported C is the network: three ways to run it, compared value by value.

ONNX Runtime says what is right, the C compiled for this computer says whether the code is right,
and the same C on an emulated Cortex-M says whether it stays right there, and what it takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.core_file import Core
from hwkd.core.metric import Scores
from hwkd.core.patches import Patches
from hwkd.core.progress import Progress, silent
from hwkd.core.verification import FeatureCheck, Mismatches, Target, Verification, judged
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.exported import Exported
from hwkd.deploy.to_c.flash import predict_flash_bytes, predict_ram_bytes
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.to_c.raw_input import RawInput
from hwkd.deploy.to_c.step_builder import Kernels
from hwkd.deploy.toolchain import Command, Tools, find_host_compiler, find_tools
from hwkd.deploy.verify_exits import answers, exit_checks, outputs_taken, reached
from hwkd.deploy.verify_layers import LayerComparison
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_prepared import prepared_check
from hwkd.deploy.verify_run import (
    VECTOR_BYTES,
    BuildSizes,
    Execution,
    Firmware,
    build_firmware,
    build_host,
    run_firmware,
    run_host,
)
from hwkd.deploy.verify_size import built_fit, require_fit
from hwkd.deploy.verify_stream import check_stream
from hwkd.qgraph.requantise import Rounding

_Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]

# The emulated core is compared tensor by tensor for so many inputs, at the output for all.
_TRACED_INPUTS = 16
_INPUTS_AT_ONCE = 64


def seeded_samples(model_path: Path, count: int, *, seed: int = 0) -> _Floats:
    """Return noise over the whole range of the network's input, shape [count, *input_shape].

    Raises:
        ExportError: if the model cannot be read.
    """
    source = build_project(model_path).input
    steps = np.random.default_rng(seed).integers(-128, 128, (count, *source.shape[1:]))
    return ((steps - source.zero_point) * source.scale).astype(np.float32)


def verify_model(
    model_path: Path,
    target: Target,
    samples: NDArray[Any],
    *,
    raw: RawInput | None = None,
    raw_values: NDArray[Any] | None = None,
    score: Callable[[_Floats], Scores] | None = None,
    rounding: Rounding | None = None,
    kernels: Kernels = "hwkd",
    patches: Patches | None = None,
    exported: Exported | None = None,
    names: Sequence[str] = (),
    streaming: bool = False,
    progress: Progress = silent,
) -> Verification:
    """Export, compile, run and compare.

    Args:
        model_path: int8 ONNX file.
        samples: normalised float inputs, shape [inputs, *input_shape]; raw ones where `raw` makes
            inputs of them in whole numbers.
        raw: makes inputs of raw samples in the C, and in NumPy.
        raw_values: some that `raw` brings to scale in floats, to compare that too; None where none
            are known.
        score: of the core's answers, from its outputs as real numbers, shape [inputs, outputs].
        rounding: None takes the core's, or that of CMSIS-NN.
        patches: into which first layers are divided.
        names: of answers, which the C holds; a folder of C says its own.
        exported: folder of C to check; it decides rounding, kernels, patches and streaming.
        streaming: also check the C that takes a signal frame by frame.

    Raises:
        ConfigError: if the network cannot stream; names the layer.
        ExportError: if the model has no C form, the exported C is no longer what was exported, or
            a tool is missing or fails.
        DoesNotFitError: if the network is larger than the device; found before compiling.
    """
    started = time.perf_counter()
    if exported is not None:
        project, kernels, rounding = exported.project(), exported.kernels, exported.rounding
        streaming = exported.streaming
    if exported is None or streaming:
        project = _built(model_path, target.core, rounding, kernels, patches)
        project = replace(project, labels=project.labels or tuple(names))
    # Files are compared as they are; a program of raw values is made where those are known.
    project = project.fed(raw if raw is not None and raw.is_whole else None)
    flowing = _flowing(model_path, project, target.core, kernels) if streaming else None
    require_fit(project, target)
    tools = find_tools()
    ran = _run(model_path, project, target, samples, tools=tools, progress=progress)
    scores = None if score is None else score(answers(project, ran.on_core.outputs, ran.taken))
    few = None if raw_values is None else raw_values[:_TRACED_INPUTS]
    prepared = prepared_check(project, raw, target, few)
    stream = flowing and check_stream(model_path, project, flowing, target, samples)
    found = _found(project, target, ran, seconds=time.perf_counter() - started)
    about = {
        "model": model_path.name, "kernels": kernels, "tools": dict(tools.versions),
        "stream": stream, "prepared": prepared,
    }  # fmt: skip
    return judged(found.model_copy(update={**about, "scores": scores}))


def _flowing(model_path: Path, whole: Project, core: Core, kernels: Kernels) -> Project:
    """Return the C that takes a signal frame by frame."""
    built = build_project(
        model_path, rounding=whole.rounding, kernels=kernels, raw=whole.raw, streaming=True,
        instruction_sets=(core.instruction_set,),
    )  # fmt: skip
    return replace(built, labels=whole.labels)


def _built(
    model_path: Path,
    core: Core,
    rounding: Rounding | None,
    kernels: Kernels,
    patches: Patches | None,
) -> Project:
    return build_project(
        model_path,
        rounding=rounding or (core.rounding if kernels == "hwkd" else None),
        kernels=kernels,
        instruction_sets=(core.instruction_set,),
        patches=patches,
    )


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """What three ways to run a network gave.

    Attributes:
        expected: ONNX Runtime's outputs, shape [inputs, outputs].
        features: what was compared of raw samples; None without any.
        comparison: of every layer with ONNX Runtime's.
        on_host: this computer's C.
        host_tensors_equal: whether every traced tensor equals the host's.
        taken: number of the output that each inference ended at.
    """

    expected: _Int8
    features: FeatureCheck | None
    comparison: LayerComparison
    on_host: Execution
    on_core: Execution
    core_trace: Execution
    host_tensors_equal: bool
    sizes: BuildSizes
    taken: NDArray[np.int64]


def _run(
    model_path: Path,
    project: Project,
    target: Target,
    samples: NDArray[Any],
    *,
    tools: Tools,
    progress: Progress,
) -> _Ran:
    """Compile and run; the folder of the programs is gone afterwards."""
    host = find_host_compiler()
    with TemporaryDirectory(prefix="hwkd-verify-") as folder:
        bench = _Bench(project, target, tools, host, Path(folder))
        progress("compile", 0, 1)
        bench.build()
        progress("compile", 1, 1)
        prepared = _prepared(project, samples)
        inputs = to_c_inputs(project, prepared)
        fed = inputs if project.raw is None else samples
        expected = reference_outputs(model_path, project, prepared)
        comparison = LayerComparison(model_path, project)
        on_host = bench.on_host(fed)
        core_trace = bench.trace_on_core(fed[:_TRACED_INPUTS])
        equal, differing = bench.compare_on_host(fed, inputs, comparison, core_trace, progress)
        return _Ran(
            expected=expected,
            features=_feature_check(project, target.core, core_trace, inputs, differing),
            comparison=comparison,
            on_host=on_host,
            core_trace=core_trace,
            host_tensors_equal=equal,
            on_core=bench.on_core(fed, progress),
            sizes=bench.sizes,
            taken=outputs_taken(project, expected),
        )


def _prepared(project: Project, samples: NDArray[Any]) -> _Floats:
    """Return the network's float inputs."""
    if project.raw is None:
        return samples
    if project.raw.apply is None:
        raise ValueError("raw samples are given, and nothing that prepares them")
    return project.raw.apply(samples)


def _feature_check(
    project: Project, core: Core, trace: Execution, inputs: _Int8, differing: int
) -> FeatureCheck | None:
    """Return how the features of raw samples compare; None without any."""
    if project.raw is None or trace.features is None or trace.feature_ticks is None:
        return None
    return FeatureCheck(
        values=inputs.size,
        differing=differing,
        core_values=trace.features.size,
        core_differing=int((trace.features != inputs[: len(trace.features)]).sum()),
        instructions=core.instructions(int(trace.feature_ticks.max())),
        ram_bytes=project.raw.ram_bytes or 0,
        table_bytes=project.raw.table_bytes or 0,
    )


def _found(project: Project, target: Target, ran: _Ran, *, seconds: float) -> Verification:
    core, comparison, on_core = target.core, ran.comparison, ran.on_core
    layers = comparison.checks([core.instructions(int(n)) for n in ran.core_trace.step_ticks[0]])
    came = partial(reached, project, taken=ran.taken)
    difference = _lsb(came(on_core.outputs), came(ran.expected))
    return Verification(
        device=target.name,
        core=core.name,
        emulated_cpu=core.emulated_cpu,
        note=core.note,
        rounding=project.rounding,
        inputs=len(difference),
        traced_inputs=min(_TRACED_INPUTS, len(difference)),
        outputs=project.output_bytes,
        mismatches=Mismatches(
            onnxruntime=int((difference > 0).sum()),
            host_c=int((came(on_core.outputs) != came(ran.on_host.outputs)).sum()),
        ),
        max_lsb=int(difference.max()),
        judged_max_lsb=int(difference[~comparison.has_other_tie].max(initial=0)),
        intermediate_max_lsb=max((layer.max_lsb for layer in layers), default=0),
        averages_within_bound=sum(layer.averages_within_bound for layer in layers),
        host_tensors_equal=ran.host_tensors_equal,
        instructions_per_inference=core.instructions(int(on_core.ticks.max())),
        exits=exit_checks(project, ran.taken, on_core.ticks, core.instructions),
        instructions_per_layer=layers,
        flash_bytes=ran.sizes.flash_bytes,
        flash_predicted_bytes=predict_flash_bytes(project, core),
        ram_bytes=ran.sizes.ram_bytes,
        ram_predicted_bytes=predict_ram_bytes(project, core),
        stack_bytes=on_core.stack_bytes,
        arena_bytes=ran.sizes.arena_bytes,
        arena_predicted_bytes=project.memory.arena_bytes,
        features=ran.features,
        fit=built_fit(ran.sizes, on_core.stack_bytes, target),
        seconds=seconds,
    )


class _Bench:
    """The programs of one check and the folder that they live in."""

    def __init__(
        self,
        project: Project,
        target: Target,
        tools: Tools,
        host: Command,
        folder: Path,
    ) -> None:
        self._project = project
        self._target = target
        self._core = target.core
        self._tools = tools
        self._host = host
        self._folder = folder

    def build(self) -> None:
        """Compile everything; `firmware` is known afterwards."""
        folders = [self._folder / name for name in ("host", "core")]
        for folder in folders:
            folder.mkdir()
        self._on_host = build_host(self._project, folders[0], self._host)
        self._on_core = build_firmware(
            self._project,
            folders[1],
            self._core,
            self._tools,
            flash_bytes=self._target.flash_bytes - VECTOR_BYTES,
            ram_bytes=self._target.ram_bytes,
        )

    @property
    def sizes(self) -> BuildSizes:
        """What the program takes of the device."""
        found = self._on_core.plain.sizes
        assert found is not None
        return found

    def on_host(self, inputs: NDArray[Any]) -> Execution:
        """Run on this computer."""
        return run_host(self._on_host.plain, self._project, inputs)

    def compare_on_host(
        self,
        fed: NDArray[Any],
        inputs: _Int8,
        comparison: LayerComparison,
        core: Execution,
        progress: Progress,
    ) -> tuple[bool, int]:
        """Compare every layer on this computer.

        In parts: a trace of all inputs may not fit into memory.

        Args:
            fed: what the program reads: `inputs`, or raw samples.
            inputs: of the network.
            comparison: is told of every layer.
            core: trace of the first inputs.
            progress: told of the advance.

        Returns:
            Whether the core's trace equals this computer's, and how many inputs of the network
            this computer made of raw samples otherwise than NumPy.
        """
        is_equal, done, differing = True, 0, 0
        for part in _parts(fed):
            progress("compare", done, len(fed))
            trace = run_host(self._on_host.traced, self._project, part)
            given = inputs[done : done + len(part)]
            if trace.features is not None:
                differing += int((trace.features != given).sum())
                given = trace.features
            comparison.add(given, trace.step_outputs)
            is_equal &= all(
                np.array_equal(ours[done:], theirs[: max(0, len(ours) - done)])
                for ours, theirs in zip(core.step_outputs, trace.step_outputs, strict=True)
            )
            done += len(part)
        return is_equal, differing

    def trace_on_core(self, inputs: NDArray[Any]) -> Execution:
        """Run on the emulated core and record every step."""
        return self._emulate(self._on_core.traced, inputs)

    def on_core(self, inputs: NDArray[Any], progress: Progress) -> Execution:
        """Run in parts, so that the listener hears of the advance."""
        done, results = 0, []
        for part in _parts(inputs):
            progress("emulate", done, len(inputs))
            results.append(self._emulate(self._on_core.plain, part))
            done += len(part)
        progress("emulate", done, len(inputs))
        return Execution(
            outputs=np.concatenate([result.outputs for result in results]),
            ticks=np.concatenate([result.ticks for result in results]),
            step_ticks=results[0].step_ticks,
            step_outputs=(),
            stack_bytes=max(result.stack_bytes for result in results),
        )

    def _emulate(self, program: Firmware, inputs: NDArray[Any]) -> Execution:
        return run_firmware(program, self._project, inputs, self._core, self._tools)


def _parts(inputs: NDArray[Any]) -> list[NDArray[Any]]:
    return np.array_split(inputs, -(-len(inputs) // _INPUTS_AT_ONCE))


def _lsb(values: _Int8, expected: _Int8) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.asarray(np.abs(values.astype(np.int16) - expected.astype(np.int16)))
