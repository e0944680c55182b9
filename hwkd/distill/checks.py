"""What refuses an impossible combination before training, with the reason."""

from __future__ import annotations

from collections.abc import Collection

from hwkd.core.catalog import METHODS
from hwkd.core.errors import ConfigError
from hwkd.core.head import CLASS_MAPS, OutputKind
from hwkd.core.signals import Signal
from hwkd.distill.method import Method, RunShapes, ViewShapes
from hwkd.distill.pairing import single_positions
from hwkd.io.discovery import discover

# Kind of outputs -> what compares them.
_USUAL = {"classes": "kd", CLASS_MAPS: "pixel_wise or logit_mse"}
_NAMED_BY_PAIRS = (Signal.FEATURES, Signal.PREACTIVATIONS)


def refuse_impossible(
    method: Method,
    shapes: RunShapes,
    *,
    has_teacher: bool = True,
    cached: Collection[Signal] | None = None,
    has_unlabelled: bool = False,
) -> None:
    """Check that a method can run.

    Args:
        shapes: what the taps of both networks show for one batch, and sizes of the data.
        has_teacher: False for runs without any teacher.
        cached: signals that a cached teacher holds; None for a live one.
        has_unlabelled: some samples have no label.

    Raises:
        ConfigError: one line with what was given, what the method needs and what to do.
    """
    reason = (
        _size_reason(method, shapes)
        or _teacher_reason(method, shapes, has_teacher, cached)
        or _label_reason(method, has_unlabelled)
        or _tap_reason(method, shapes)
        or method.refusal(shapes)
    )
    if reason is not None:
        raise ConfigError(f"method {method.name}: {reason}")


def refuse_of_classes(method: Method, kind: OutputKind) -> None:
    """Refuse a method that is about classes, or maps of them, where outputs are something else.

    Raises:
        ConfigError: names the method and what to use.
    """
    if suits(method, kind):
        return
    what = f"is for {method.of_kind}" if method.of_kind else "compares or smooths classes"
    if method.of_things:
        what = f"is about {'boxes' if method.needs_edges else 'boxes or points'}"
    raise ConfigError(
        f"method {method.name}: {what}, and the task learns {kind.name}; use "
        f"{_USUAL.get(kind.name, 'logit_mse')}, or a method on features as fitnet or at"
    )


def suits(method: Method, kind: OutputKind) -> bool:
    """Tell whether a method means something for outputs of a kind."""
    if method.of_kind is not None:
        return method.of_kind == kind.name
    if method.of_things:
        return kind.edges is not None and (kind.edges > 0 or not method.needs_edges)
    return kind.of_classes or method.suits_values


def logit_methods(kind: OutputKind) -> str:
    """Name the methods for a kind that need nothing but the logits of a teacher, as "a, b or c"."""
    discover("hwkd.distill.losses")
    known = [METHODS.get(name)() for name in METHODS]
    *names, last = [m.name for m in known if m.needs_logits_alone and suits(m, kind)]
    return f"{', '.join(names)} or {last}" if names else last


def refuse_missing_taps(method: Method, student: ViewShapes, teacher: ViewShapes) -> None:
    """Check that both networks show what a method looks at; before their layers are paired.

    Args:
        student: shapes of all its views.
        teacher: likewise.

    Raises:
        ConfigError: names the side and the signal, and what to do.
    """
    reason = _missing_reason(method, student, teacher)
    if reason is not None:
        raise ConfigError(f"method {method.name}: {reason}")


def _size_reason(method: Method, shapes: RunShapes) -> str | None:
    if shapes.batch < method.min_batch:
        return (
            f"batches of {shapes.batch} were given, it needs at least {method.min_batch} samples; "
            "raise the batch size"
        )
    if shapes.of_classes and shapes.classes < method.min_classes:
        return f"{shapes.classes} classes were given: it has no gradient for them; use kd"
    return None


def _teacher_reason(
    method: Method, shapes: RunShapes, has_teacher: bool, cached: Collection[Signal] | None
) -> str | None:
    if not method.asks_teacher:
        return None
    if not has_teacher:
        return "it needs a teacher and none was given; give --teacher"
    ours, theirs = (side.logits or () for side in (shapes.student, shapes.teacher))
    if method.of_kind and len(ours) == len(theirs) == 3 and ours != theirs:
        shown = [" x ".join(map(str, side)) for side in (ours, theirs)]
        return (
            f"the student's maps are {shown[0]} (outputs x height x width), the teacher's "
            f"{shown[1]}; give a teacher of the same outputs for pictures of this size"
        )
    if Signal.LOGITS in method.needs and ours and theirs and ours[-1] != theirs[-1]:
        return (
            f"the student has {ours[-1]} classes and the teacher {theirs[-1]}; "
            "give a teacher of the same classes or a method on features"
        )
    if cached is None:
        return None
    if not method.cacheable:
        return "its teacher's side cannot be stored; use a live teacher"
    missing = sorted(method.needs - set(cached) - {Signal.WEIGHTS})
    if missing:
        return f"the cached teacher holds no {', '.join(missing)}; use a live teacher"
    return None


def _label_reason(method: Method, has_unlabelled: bool) -> str | None:
    if has_unlabelled and method.needs_labels:
        others = "logit_mse" if method.of_kind else "kd or another method on logits alone"
        return f"it needs the label of every sample and some have none; use {others}"
    return None


def _missing_reason(method: Method, student: ViewShapes, teacher: ViewShapes) -> str | None:
    plain = "logit_mse" if method.of_kind else "kd"
    for signal in sorted(method.needs):
        if not _shows(student, signal):
            return f"the student shows no {signal}; use a method on what it shows, as {plain}"
        if method.asks_teacher and not _shows(teacher, signal):
            advice = f"give a teacher that does, or a method on logits, as {plain}"
            if signal in _NAMED_BY_PAIRS:
                advice = "name its modules, as --pair 1=layer1"
            return f"the teacher shows no {signal}; {advice}"
    return None


def _tap_reason(method: Method, shapes: RunShapes) -> str | None:
    missing = _missing_reason(method, shapes.student, shapes.teacher)
    if missing is not None:
        return missing
    for signal in sorted(method.paired_signals):
        counts = [len(getattr(views, signal)) for views in (shapes.student, shapes.teacher)]
        if counts[0] != counts[1]:
            return f"{counts[0]} {signal} of the student are paired with {counts[1]}"
    if method.needs_positions and single_positions(shapes.student, shapes.teacher):
        return (
            f"layer pair {single_positions(shapes.student, shapes.teacher)[0]} has one position, "
            "which leaves nothing to compare; choose pairs of larger maps with pairs=1:2"
        )
    return None


def _shows(views: ViewShapes, signal: Signal) -> bool:
    if signal is Signal.INPUTS:
        return True  # The run makes them itself.
    content = getattr(views, signal.value)
    return content is not None and content != ()
