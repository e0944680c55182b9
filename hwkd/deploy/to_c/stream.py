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


# Counters, and numbers of probabilities.
_COUNTERS_BYTES, _NEXT_ROW_BYTES, _NUMBER_BYTES = 12, 4, 4


def listening_bytes(project: Project) -> int | None:
    """Return what model_stream.c holds, its .bss; None of a project that does not listen.

    Samples that no inference or frame has seen yet, features of the frames of a window where the
    network does not keep them itself, and the probabilities that are averaged.
    """
    raw = project.raw
    if raw is None or not listens(project):
        return None
    channels, window = raw.shape
    form, outputs = raw.frames, project.output.elements
    held = channels * (window if form is None else form.length) * raw.value_bytes
    smoothed = (rule_of(project, raw).smoothing + 1) * outputs * _NUMBER_BYTES
    rows = 0
    if form is not None and project.stream is None:
        rows = form.count * form.values + _NEXT_ROW_BYTES
    return held + smoothed + rows + _COUNTERS_BYTES


def held_lines(project: Project) -> tuple[str, ...]:
    """Say what of RAM lies around the network, for people; nothing where inputs are prepared."""
    raw, form = project.raw, project.stream
    if raw is None:
        return ()
    count, what, call = raw.elements, "an input", "model_run_raw"
    if form is not None and raw.frames is not None:
        count, what, call = raw.shape[0] * raw.frames.length, "a frame", "model_run_frame"
    said = (
        f"beside this: {count * raw.value_bytes:,} bytes of {what} that you hold for `{call}` "
        f"({count:,} {raw.c_type})"
    )
    listening = listening_bytes(project)
    if listening is not None:
        said += (
            f"; or, listening by `model_process`, {listening:,} bytes of `{STREAM_FILE}`, which "
            "holds what it needs of a signal"
        )
    return (said,)


def stream_files(project: Project) -> dict[str, str]:
    """Return name -> text of what listens; nothing where a project does not."""
    if not listens(project) or project.raw is None:
        return {}
    channels, window = project.raw.shape
    rule = rule_of(project, project.raw)
    values = {
        "channels": str(channels),
        "rate": str(_rate_hz(project)),
        "window": str(window),
        "stride": str(rule.stride),
        "smoothing": str(rule.smoothing),
        "threshold": str(rule.threshold),
        "label": "MODEL_NOTHING" if rule.label is None else str(rule.label),
        "factor": str(power_factor(float(project.output.scale))),
        "powers": project.raw.power_table,
    }
    return {name: _filled(name, values) for name in ("model_stream.h", STREAM_FILE, LISTEN_FILE)}


def _rate_hz(project: Project) -> int:
    """Return the samples per second of the training data, as WAV files say it; 0 if not known."""
    said = project.facts.get("data")
    return round(said.get("sample_rate_hz", 0)) if isinstance(said, Mapping) else 0


def _filled(name: str, values: Mapping[str, str]) -> str:
    path = files("hwkd.deploy.to_c") / "templates" / f"{name}.in"
    return Template(path.read_text(encoding="utf-8")).substitute(values)
