"""int8 ONNX file to a folder of C: everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hwkd.core.core_file import InstructionSet
from hwkd.core.errors import ConfigError, ExportError
from hwkd.core.head import CAnswer
from hwkd.core.patches import Patches
from hwkd.core.streaming import Stream
from hwkd.deploy.exit_rule import read_exit_rule
from hwkd.deploy.sessions import open_session, predict_all
from hwkd.deploy.to_c.layout import Arranged, Places, arrange
from hwkd.deploy.to_c.memory import Memory, plan_memory
from hwkd.deploy.to_c.patched import patched_graphs
from hwkd.deploy.to_c.project import (
    MODEL_FILE,
    Project,
    RecordedInput,
    Sample,
)
from hwkd.deploy.to_c.project_text import project_files
from hwkd.deploy.to_c.raw_input import RawInput, require_frames
from hwkd.deploy.to_c.step_builder import INSTRUCTION_SETS, CStep, Kernels
from hwkd.deploy.to_c.steps import build_steps
from hwkd.deploy.to_c.streamed import streamed
from hwkd.qgraph.ir import QuantGraph, QuantTensor
from hwkd.qgraph.read_qdq import read_qdq
from hwkd.qgraph.requantise import Rounding
from hwkd.trace.onnx_whole import whole_file

_Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]


def build_project(
    model_path: Path,
    *,
    rounding: Rounding | None = None,
    kernels: Kernels = "hwkd",
    instruction_sets: Iterable[InstructionSet] = INSTRUCTION_SETS,
    labels: Sequence[str] = (),
    sample: RecordedInput | None = None,
    answer: CAnswer | None = None,
    raw: RawInput | None = None,
    patches: Patches | None = None,
    streaming: bool = False,
) -> Project:
    """Read a model and plan its C; writes nothing.

    Args:
        model_path: int8 QDQ ONNX file.
        rounding: of accumulators; None takes "float", or with CMSIS-NN, which has no float, "q31".
        kernels: our own, or Arm's CMSIS-NN for convolutions and fully connected layers.
        instruction_sets: those that the working memory must be large enough for.
        labels: one for each output, or none.
        sample: for main.c; seeded noise over the input's range when None.
        answer: what the outputs mean; None leaves them numbers.
        raw: what turns raw values into the input; None leaves that to the firmware.
        patches: run first layers so, as many as leave the smallest arena.
        streaming: take frames as they come and compute new columns alone.

    Raises:
        ConfigError: if it cannot stream; names the layer.
        ModelFileError: if the file cannot be read.
        ExportError: if the model cannot be written as C; names the node.
    """
    if streaming and patches is not None:
        raise ConfigError(f"--patch {patches} with --streaming: a frame has no patches; give one")
    network = read_qdq(model_path)
    chosen: Rounding = rounding or ("q31" if kernels == "cmsis-nn" else "float")
    forms, stream = _forms(network, patches, raw, streaming=streaming)
    arranged, steps, memory = min(
        (_planned(form, chosen, kernels, tuple(instruction_sets)) for form in forms),
        key=lambda plan: (plan[2].arena_bytes, plan[0].graph.macs),
    )
    _require_one_for_each(labels, arranged)
    return Project(
        arranged=arranged,
        steps=steps,
        memory=memory,
        rounding=chosen,
        labels=tuple(labels),
        sample=_sample(model_path, arrange(network) if streaming else arranged, sample),
        answer=answer,
        raw=raw,
        patches=patches,
        stream=stream,
        exit_entropy=read_exit_rule(model_path),
        source=model_path.name,
        source_bytes=whole_file(model_path),
    )


def expected_outputs(model_path: Path, values: _Floats, arranged: Arranged) -> _Int8:
    """Return ONNX Runtime's outputs for one input, as the C would write them, flat."""
    targets = [arranged.graph.tensors[name] for name in arranged.graph.outputs.values()]
    found = predict_all(open_session(model_path), values[None])
    return np.asarray(placed_outputs(found, targets, arranged)[0])


def _forms(
    network: QuantGraph, patches: Patches | None, raw: RawInput | None, *, streaming: bool
) -> tuple[list[Arranged], Stream | None]:
    """Return the forms to choose among, and how the one that streams takes its input."""
    if streaming:
        arranged, stream = streamed(arrange(network))
        require_frames(raw, stream)
        return [arranged], stream
    graphs = [network] if patches is None else patched_graphs(network, patches)
    return [arrange(graph) for graph in graphs], None


def _require_one_for_each(labels: Sequence[str], arranged: Arranged) -> None:
    """Refuse labels that are not as many as outputs, or of a map as its outputs at a position."""
    target = arranged.graph.tensors[next(iter(arranged.graph.outputs.values()))]
    outputs = (target.elements, *target.shape[1:2])
    if labels and len(labels) not in outputs:
        raise ExportError(f"{len(labels)} labels for {outputs[-1]} outputs; give one for each")


def _planned(
    arranged: Arranged,
    rounding: Rounding,
    kernels: Kernels,
    instruction_sets: tuple[InstructionSet, ...],
) -> tuple[Arranged, tuple[CStep, ...], Memory]:
    steps = build_steps(arranged, rounding, kernels)
    return arranged, steps, plan_memory(arranged, steps, instruction_sets)


def _sample(model_path: Path, arranged: Arranged, given: RecordedInput | None) -> Sample:
    """Return an input as the network reads it, and what ONNX Runtime answers to it."""
    source = arranged.graph.tensors[arranged.graph.input]
    recorded = _noise(source) if given is None else given
    return Sample(
        input=placed(quantise_values(recorded.values, source), arranged.places[source.name]),
        output=expected_outputs(model_path, recorded.values, arranged),
        origin=recorded.origin,
        label=recorded.label,
    )


def _noise(source: QuantTensor) -> RecordedInput:
    steps = np.random.default_rng(0).integers(-128, 128, source.shape[1:])
    values = ((steps - source.zero_point) * source.scale).astype(np.float32)
    return RecordedInput(values=values, origin="seeded noise")


def quantise_values(values: _Floats, tensor: QuantTensor) -> _Int8:
    """Return int8 steps as ONNX Runtime's QuantizeLinear gives them, same shape."""
    steps = np.rint(values.astype(np.float32) / tensor.scale) + np.float32(tensor.zero_point)
    return np.asarray(np.clip(steps, -128, 127), dtype=np.int8)


def placed(values: _Int8, places: Places) -> _Int8:
    """Return one sample's values in the order of their places in memory, flat."""
    flat = np.empty(values.size, np.int8)
    flat[places.reshape(-1)] = values.reshape(-1)
    return flat


def placed_outputs(
    outputs: Sequence[_Floats], targets: Sequence[QuantTensor], arranged: Arranged
) -> _Int8:
    """Return what the C would write, one output after the other, shape [samples, bytes].

    Args:
        outputs: of the network as floats, each of shape [samples, *output_shape].
    """
    columns = [
        np.stack([placed(quantise_values(y, target), arranged.places[target.name]) for y in values])
        for values, target in zip(outputs, targets, strict=True)
    ]
    return np.concatenate(columns, axis=1)


def project_contents(project: Project) -> dict[str, str | bytes]:
    """Return name -> content of the project's files, with the model that they were made from."""
    return {**project_files(project), MODEL_FILE: project.source_bytes}
