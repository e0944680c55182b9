"""How well the shipped student answers: every metric, each class, and where the answer turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwkd.core.decision_record import (
    CountRecord,
    DecisionRecord,
    ReadTextRecord,
    SeenPictureRecord,
)
from hwkd.core.errors import RunFolderError
from hwkd.core.final_record import FinalRecord
from hwkd.core.metric import Metric
from hwkd.core.run_record import DataRecord
from hwkd.core.score_interval import ScoreInterval, scores_by_chance
from hwkd.io.discovery import output_kind
from hwkd.report import format as fmt
from hwkd.report.class_tables import class_tables, confusion_table
from hwkd.report.document import Block, Cell, Column, Facts, Pictures, Table

_WHAT = "of the int8 file on the test split"


def answer_tables(
    final: FinalRecord, data: DataRecord, intervals: Mapping[str, ScoreInterval]
) -> tuple[Block, ...]:
    """Return what is known of the answers; nothing of runs that recorded one metric.

    Args:
        intervals: of int8 scores on test, by metric, as far as they are known.
    """
    is_told = len(data.metrics) > 1 or intervals
    blocks: list[Block] = [_metric_table(final, data, intervals)] if is_told else []
    if final.decision is not None:
        found = final.decision
        rows = (
            (f"a score from here on means {found.answer}", f"{found.threshold:.6g}"),
            *_chosen_for(found),
            ("found on validation, int8", fmt.percent(found.detected)),
            *_stream_rows(found),
        )
        blocks.append(Facts(title="Threshold, chosen on validation", rows=rows))
    if final.confusion:
        names = output_kind(data.kind).answers or data.class_names
        if {len(names)} != {len(final.confusion), *map(len, final.confusion)}:
            raise _of_other_classes(names)
    blocks += class_tables(final, data)
    if final.confusion:
        counted = output_kind(data.kind).counted
        note = f"{counted[:1].upper()}{counted[1:]} of the test split, int8."
        blocks.append(confusion_table(final.confusion, names, note=note))
    if final.worst_texts:
        labels = [label for one in final.worst_texts for label in (one.label, one.named)]
        if not 0 <= min(labels) <= max(labels) < len(data.class_names):
            raise _of_other_classes(data.class_names)
        blocks.append(text_table(final.worst_texts, data.class_names))
    if final.worst_pictures:
        blocks.append(_worst_pictures(final.worst_pictures, data))
    return tuple(blocks)


def _chosen_for(found: DecisionRecord) -> tuple[tuple[str, str], ...]:
    if found.best:
        return (
            ("why this one", f"it gives the best {found.best} on validation, int8"),
            (f"{found.rate} (validation, int8)", found.rate_text(found.reached)),
        )
    on_test = found.on_test
    tested = () if on_test is None else (("on test, int8", _rate(found, on_test.rate, on_test)),)
    return (
        (f"wanted at most, {found.rate}", found.rate_text(found.wanted)),
        ("reached on validation, int8", _rate(found, found.reached, found.on_validation)),
        *tested,
    )


def _of_other_classes(names: tuple[str, ...]) -> RunFolderError:
    return RunFolderError(
        f"the run counts answers of other classes than its {len(names)} ({', '.join(names[:6])}); "
        "its record was changed or is damaged"
    )


def _rate(found: DecisionRecord, rate: float, count: CountRecord | None) -> str:
    shown = found.rate_text(rate)
    return shown if count is None else f"{shown} ({found.count_text(count)})"


def _stream_rows(found: DecisionRecord) -> tuple[tuple[str, str], ...]:
    if found.smoothing is None or found.stride_s is None:
        return ()
    return (
        ("inferences whose mean is compared", fmt.integer(found.smoothing)),
        ("from one inference to the next", f"{1000 * found.stride_s:.4g} ms"),
    )


def text_table(texts: Sequence[ReadTextRecord], names: tuple[str, ...]) -> Table:
    """List texts with their class and the one that they were taken for, worst first."""
    return Table(
        title="Texts that it reads worst",
        columns=(
            Column(title="text"),
            Column(title="is"),
            Column(title="named", basis="measured"),
            Column(title="chance of what it is", basis="measured", is_number=True),
        ),
        rows=tuple(
            (
                Cell(one.text),
                Cell(names[one.label]),
                Cell(names[one.named]),
                Cell(fmt.percent(one.chance)),
            )
            for one in texts
        ),
        note=f"{_WHAT[0].upper()}{_WHAT[1:]}, worst first. Some may be labelled wrongly.",
    )


def _worst_pictures(pictures: Sequence[SeenPictureRecord], data: DataRecord) -> Pictures:
    kind, metric = output_kind(data.kind), data.metric
    colours = {name: colour for one in pictures for name, colour in one.colours.items()}
    order = {name: place for place, name in enumerate(data.class_names)}
    parts = kind.pictured
    if kind.edges is not None and not colours:
        parts = "green is there, orange is named"  # as older versions drew boxes
    note = f"{_WHAT[0].upper()}{_WHAT[1:]}, worst first. "
    note += f"{parts[:1].upper()}{parts[1:]}. " if parts else ""
    if metric.is_share and metric.direction == "max":
        note += f"The mean error of all its pictures is 1 minus the {metric.name}."
    return Pictures(
        title="Pictures that it sees worst",
        shown=tuple((one.png, f"{one.given}; error {one.error:.3g}") for one in pictures),
        legend=tuple(
            (colours[name], name)
            for name in sorted(colours, key=lambda name: order.get(name, len(order)))
        ),
        note=note.rstrip(),
    )


def _metric_table(
    final: FinalRecord, data: DataRecord, intervals: Mapping[str, ScoreInterval]
) -> Table:
    scores = final.scores
    by_chance = scores_by_chance(data.metrics, final.confusion)
    before = "" if final.all_examples is None else " before it learned these"
    columns = {
        f"validation{before}, int8": scores.validation_int8,
        "test, int8": scores.test_int8,
        "test, float32": scores.test_float,
    }
    return Table(
        title="Every metric of the task",
        columns=(
            Column(title="metric"),
            *(Column(title=title, basis="measured", is_number=True) for title in columns),
            *(
                [Column(title="95 % interval of test, int8", basis="measured", is_number=True)]
                if intervals
                else []
            ),
        ),
        rows=tuple(
            (
                Cell(_with_chance(metric, by_chance)),
                *(
                    Cell(fmt.score_text(metric, s if s and metric.name in s else None))
                    for s in columns.values()
                ),
                *([Cell(_ends(metric, intervals.get(metric.name)))] if intervals else []),
            )
            for metric in data.metrics
        ),
        note=_interval_note(intervals),
    )


def _with_chance(metric: Metric, by_chance: Mapping[str, float]) -> str:
    if metric.name not in by_chance:
        return metric.name
    return f"{metric.name} (chance {metric.text(by_chance[metric.name])} on test)"


def _ends(metric: Metric, interval: ScoreInterval | None) -> str:
    if interval is None:
        return fmt.UNKNOWN
    return f"{metric.text(interval.low)} to {metric.text(interval.high)}"


def _interval_note(intervals: Mapping[str, ScoreInterval]) -> str:
    if not intervals:
        return ""
    known = next(iter(intervals.values()))
    return (
        f"On endlessly many such examples the score lies between the two ends with "
        f"{100 * known.confidence:.0f} % confidence; {fmt.integer(known.examples)} were answered. "
        "Accuracy by Wilson's formula, means over classes by answers drawn anew."
    )
