"""What listens: `model_process` around `model_run_raw`, and a program that plays recordings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.resources import files
from string import Template

from hwkd.deploy.to_c.project import LISTEN_FILE, Project

STREAM_FILE = "model_stream.c"
# Of a window, where the firmware does not say: four inferences for each.
_STRIDES = 4


def listens(project: Project) -> bool:
    """Whether a project knows classes of signals in whole numbers."""
    raw, answer = project.raw, project.answer
    is_signal = raw is not None and raw.is_whole and len(raw.shape) == 2
    return is_signal and answer is not None and answer.of_classes and len(project.outputs) == 1


def stream_files(project: Project) -> dict[str, str]:
    """Return name -> text of what listens; nothing where a project does not."""
    if not listens(project) or project.raw is None:
        return {}
    channels, window = project.raw.shape
    # A step of the output in steps of 1/512 of a power of two, with 16 bits of fraction.
    factor = round(float(project.output.scale) * math.log2(math.e) * 512 * 65536)
    values = {
        "channels": str(channels),
        "window": str(window),
        "stride": str(max(1, window // _STRIDES)),
        "factor": str(factor),
        "powers": project.raw.power_table,
    }
    return {name: _filled(name, values) for name in ("model_stream.h", STREAM_FILE, LISTEN_FILE)}


def _filled(name: str, values: Mapping[str, str]) -> str:
    path = files("hwkd.deploy.to_c") / "templates" / f"{name}.in"
    return Template(path.read_text(encoding="utf-8")).substitute(values)
