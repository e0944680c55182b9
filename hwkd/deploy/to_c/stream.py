"""What listens: `model_process` around `model_run_raw`, and a program that plays recordings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from string import Template

from hwkd.core.errors import ConfigError
from hwkd.core.listening import ListenRule, listen_rule, power_factor
from hwkd.deploy.to_c.project import LISTEN_FILE, Project
from hwkd.deploy.to_c.raw_input import RawInput

STREAM_FILE = "model_stream.c"


def listens(project: Project) -> bool:
    """Whether a project knows classes of signals in whole numbers."""
    raw, answer = project.raw, project.answer
    is_signal = raw is not None and raw.is_whole and not raw.is_text
    return is_signal and answer is not None and answer.of_classes and len(project.outputs) == 1


def rule_of(project: Project, raw: RawInput) -> ListenRule:
    """Return when a label counts as heard, where the firmware does not say."""
    grid = 1 if raw.frames is None else raw.frames.stride
    decision = None if project.answer is None else project.answer.decision
    hop = 1 if project.stream is None else project.stream.hop_frames
    rule = listen_rule(raw.shape[-1], grid * hop, decision, project.labels)
    if rule.stride % (grid * hop):
        raise ConfigError(
            f"--streaming: the threshold was chosen for an answer every {rule.stride // grid} "
            f"frames, and the network gives one every {hop}, which does not divide it; leave "
            "--streaming out, or take a student of fewer strides"
        )
    return rule


def stream_files(project: Project) -> dict[str, str]:
    """Return name -> text of what listens; nothing where a project does not."""
    if not listens(project) or project.raw is None:
        return {}
    channels, window = project.raw.shape
    rule = rule_of(project, project.raw)
    values = {
        "channels": str(channels),
        "window": str(window),
        "stride": str(rule.stride),
        "smoothing": str(rule.smoothing),
        "threshold": str(rule.threshold),
        "label": "MODEL_NOTHING" if rule.label is None else str(rule.label),
        "factor": str(power_factor(float(project.output.scale))),
        "powers": project.raw.power_table,
    }
    return {name: _filled(name, values) for name in ("model_stream.h", STREAM_FILE, LISTEN_FILE)}


def _filled(name: str, values: Mapping[str, str]) -> str:
    path = files("hwkd.deploy.to_c") / "templates" / f"{name}.in"
    return Template(path.read_text(encoding="utf-8")).substitute(values)
