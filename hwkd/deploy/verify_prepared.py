"""Whether raw values that C brings to scale in floats become the inputs of training, on both sides.

The program is one of its own: it takes raw values, as firmware does, and the one that is counted
and charged takes the network's inputs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.verification import PreparedCheck, Target
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.to_c.raw_input import RawInput
from hwkd.deploy.toolchain import find_host_compiler, find_tools
from hwkd.deploy.verify_onnx import to_c_inputs
from hwkd.deploy.verify_run import (
    VECTOR_BYTES,
    build_firmware,
    build_host_once,
    run_firmware,
    run_host,
)


def prepared_check(
    project: Project, raw: RawInput | None, target: Target, values: NDArray[Any] | None
) -> PreparedCheck | None:
    """Check what brings raw values to scale in floats; None where nothing does, or none are known.

    Raises:
        ExportError: if a tool is missing or fails, or the program does not fit.
    """
    if raw is None or raw.is_whole or values is None:
        return None
    return _checked(project, raw, target, values)


def _checked(
    project: Project, raw: RawInput, target: Target, values: NDArray[Any]
) -> PreparedCheck:
    """Run raw values through `model_run_raw` on this computer and on the emulated core.

    Args:
        project: the network without raw values.
        raw: brings them to scale in floats.
        target: memories to link for; what brings to scale may take more than they have left.
        values: raw, shape [n, *raw.shape], of the type that they were read as.
    """
    assert raw.apply is not None
    whole, tools = replace(project, raw=raw), find_tools()
    with TemporaryDirectory(prefix="hwkd-prepared-") as name:
        folders = [Path(name) / part for part in ("host", "core", "network")]
        for folder in folders:
            folder.mkdir()
        host = build_host_once(whole, folders[0], find_host_compiler(), traces=True)
        programs = build_firmware(
            whole, folders[1], target.core, tools,
            flash_bytes=target.flash_bytes - VECTOR_BYTES, ram_bytes=target.ram_bytes,
        )  # fmt: skip
        stored = np.ascontiguousarray(values, _stored_type(raw.c_type))
        on_core = run_firmware(programs.traced, whole, stored, target.core, tools)
        here, there = run_host(host, whole, stored).features, on_core.features
        assert here is not None
        assert there is not None
        network = build_host_once(project, folders[2], find_host_compiler(), traces=False)
        answers = run_host(network, project, there).outputs
    assert on_core.feature_ticks is not None
    wanted = to_c_inputs(project, raw.apply(values)).astype(np.int16)
    return PreparedCheck(
        values=wanted.size,
        differing=int((here != wanted).sum()),
        core_differing=int((there != wanted).sum()),
        max_lsb=int(max(np.abs(here - wanted).max(), np.abs(there - wanted).max())),
        answers_differing=int((on_core.outputs != answers).sum()),
        instructions=target.core.instructions(int(on_core.feature_ticks.max())),
    )


def _stored_type(c_type: str) -> str:
    """Return NumPy's name of a type of C."""
    return {"float": "float32", "double": "float64"}.get(c_type, c_type.removesuffix("_t"))
