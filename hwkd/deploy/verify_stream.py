"""Whether a network that takes frames as they come answers as whole windows do, and what it costs.

A recording goes through the streaming C frame by frame, on this computer and on the emulated core.
Every answer is held against the C of whole windows and against ONNX Runtime, both of which see the
window that ends there by itself.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.streaming import Stream
from hwkd.core.verification import StreamCheck, Target
from hwkd.deploy.to_c.export import quantise_values
from hwkd.deploy.to_c.flash import predict_flash_bytes, predict_ram_bytes
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.toolchain import Command, find_host_compiler, find_tools
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import (
    VECTOR_BYTES,
    build_firmware,
    build_host_once,
    run_firmware,
    run_host,
)

_Int8: TypeAlias = NDArray[np.int8]

# Answers that are compared, at least one window and two.
_ANSWERS = 48


def _ran(project: Project, folder: Path, compiler: Command, inputs: NDArray[Any]) -> _Int8:
    """Return what the host's program of a project answers."""
    program = build_host_once(project, folder, compiler, traces=False)
    return run_host(program, project, inputs).outputs


def check_stream(
    model_path: Path, whole: Project, project: Project, target: Target, samples: NDArray[Any]
) -> StreamCheck:
    """Run a recording through both.

    Args:
        model_path: int8 ONNX file.
        whole: its C for windows, in the same rounding and kernels.
        project: its C for a stream.
        samples: windows, shape [n, channels, time], raw where the projects have features; one
            after another they are the recording.

    Raises:
        ExportError: if a tool is missing or fails.
        DoesNotFitError: if the network is larger than the device.
    """
    assert project.stream is not None
    recording = np.concatenate(list(samples), axis=-1)
    frames, windows = _cut(recording, project, project.stream)
    tools, host = find_tools(), find_host_compiler()
    with TemporaryDirectory(prefix="hwkd-stream-") as name:
        folders = [Path(name) / part for part in ("windows", "host", "core")]
        for folder in folders:
            folder.mkdir()
        plain = replace(whole, raw=None)
        given = to_c_inputs(plain, windows)
        expected = _ran(plain, folders[0], host, given)
        here = _answers(_ran(project, folders[1], host, frames), project.stream)
        programs = build_firmware(
            project, folders[2], target.core, tools,
            flash_bytes=target.flash_bytes - VECTOR_BYTES, ram_bytes=target.ram_bytes,
        )  # fmt: skip
        ran = run_firmware(programs.plain, project, frames, target.core, tools)
    on_core = _answers(ran.outputs, project.stream)
    reference = reference_outputs(model_path, plain, windows)
    sizes = programs.plain.sizes
    assert sizes is not None
    # Whole hops from the first answer on: frames before it have work of other frames in them.
    first = project.stream.window_frames
    ticks = ran.ticks[first : first + (len(ran.ticks) - first) // project.stream.hop_frames
                      * project.stream.hop_frames]  # fmt: skip
    return StreamCheck(
        frames=len(frames),
        hop_frames=project.stream.hop_frames,
        window_frames=project.stream.window_frames,
        answers=len(expected),
        values=expected.size,
        differing=int((here != expected).sum()),
        core_differing=int((on_core != expected).sum()),
        onnxruntime_max_lsb=int(np.abs(on_core.astype(np.int16) - reference).max()),
        instructions_per_frame=target.core.instructions(int(ticks.sum())) / len(ticks),
        flash_bytes=sizes.flash_bytes,
        flash_predicted_bytes=predict_flash_bytes(project, target.core),
        ram_bytes=sizes.ram_bytes + ran.stack_bytes,
        ram_predicted_bytes=predict_ram_bytes(project, target.core),
        stack_bytes=ran.stack_bytes,
    )


def _cut(
    recording: NDArray[Any], project: Project, stream: Stream
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Return frames as the harness feeds them, and the windows that answers are for."""
    raw, hop, window = project.raw, stream.hop_frames, stream.window_frames
    form = None if raw is None else raw.frames
    length, step = (1, 1) if form is None else (form.length, form.stride)
    at_once = length + (window - 1) * step
    answers = min((recording.shape[-1] - at_once) // (hop * step) + 1, _ANSWERS)
    starts = hop * step * np.arange(answers)
    size = at_once if raw is None else raw.shape[-1]
    # What lies behind the last frame of a window is in no frame: zeros, where a recording ends.
    held = np.pad(recording, ((0, 0), (0, size)))
    windows = np.stack([held[:, start : start + size] for start in starts])
    count = window + hop * (answers - 1)
    frames = np.stack([held[:, step * i : step * i + length] for i in range(count)])
    if raw is None:
        shape = (*project.input.shape[1:-1], size)
        tensor = project.input
        return quantise_values(frames[:, :, 0], tensor), windows.reshape(-1, *shape)
    assert raw.apply is not None
    return frames, raw.apply(windows)


def _answers(outputs: _Int8, stream: Stream) -> _Int8:
    """Return the outputs after the frames that end a window."""
    return outputs[stream.window_frames - 1 :: stream.hop_frames]
