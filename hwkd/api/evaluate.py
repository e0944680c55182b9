"""`hwkd.evaluate`: a run, a student or any ONNX model, scored on data by the metrics of a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hwkd.api.common import DataOption, DtypeOption, RateOption, TaskOption
from hwkd.api.option import Here, Option, declares_options

if TYPE_CHECKING:
    from hwkd.api.subject import Subject
    from hwkd.core.arrays import AnyArray, Floats
    from hwkd.core.class_scores import ClassScores
    from hwkd.core.decision_record import Confusion
    from hwkd.core.metric import Metric, Scores
    from hwkd.core.progress import Progress
    from hwkd.core.score_interval import ScoreInterval
    from hwkd.tasks.raw import RawSplit


_SEEN = (
    "these are the samples of the run, and the student was trained on most of them: the scores say "
    "little about new ones"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOutcome:
    """Scores of one network on data.

    Attributes:
        metrics: of the task that were computed, the first is the one that the network was chosen
            by, or the task's primary one where no record says that.
        intervals: how far the scores may be from those on endlessly many such examples, by metric.
        confusion: how often each of `classes` was taken for which; none where there are too many.
        by_class: scores of each class; none where there are no classes.
        kind: of the outputs, as records name it.
        prepared: whether raw values went through the preprocessing of the training.
        recordings: that the examples are cut from; None where they stand alone.
        notes: what the reader of the data decided or left out.
        note: what a reader of the scores must know; None if nothing.
        reported: of the same file on the test split of its own data; None where no record says so.
    """

    model: str
    data: str
    task: str
    examples: int
    metrics: "tuple[Metric, ...]"
    scores: "Scores"
    prepared: bool
    recordings: int | None = None
    notes: tuple[str, ...] = ()
    reported: "Scores | None" = None
    note: str | None = None
    intervals: "Mapping[str, ScoreInterval]"
    confusion: "Confusion" = ()
    classes: tuple[str, ...] = ()
    by_class: "tuple[ClassScores, ...]" = ()
    kind: str

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "model": self.model, "data": self.data, "task": self.task, "examples": self.examples,
            "scores": {metric.name: self.scores[metric.name] for metric in self.metrics},
            "prepared": self.prepared, "recordings": self.recordings, "reported": self.reported,
            "note": self.note, "notes": list(self.notes),
            "intervals": {
                name: interval.model_dump(mode="json") for name, interval in self.intervals.items()
            },
            "by_class": [one.model_dump(mode="json") for one in self.by_class],
            "classes": list(self.classes), "confusion": [list(row) for row in self.confusion],
        }  # fmt: skip


@declares_options
def evaluate(
    model: Annotated[
        str | Path,
        Option(
            "Run folder of `hwkd search`, folder of a finished student, an ONNX or a .tflite file.",
            metavar="RUN|STUDENT|MODEL",
        ),
    ],
    *,
    data: Annotated[DataOption, Here("Its test split counts where it has one, else everything.")],
    task: Annotated[
        TaskOption | None, Here("For a file that does not say it; default: classify.")
    ] = None,
    dtype: Annotated[DtypeOption, Here("For a run or a student.")] = "int8",
    rate: Annotated[
        RateOption, Here("Sounds are brought to it; of a run and an exported file, to theirs.")
    ] = None,
    progress: "Progress | None" = None,
) -> EvaluateOutcome:
    """Score a network on further data by the metrics of its task, and each class.

    A run, a student and a file that hwkd exported bring their preprocessing, labels and threshold;
    the data is read as for the run. Any other file is given the values as they are, with the axes
    in the order that fits its shape, and its outputs are taken in the order of the classes. A
    .tflite file is run by LiteRT (`pip install "hwkd[tflite]"`).

    Args:
        progress: is told about every stage; None is silence.

    Raises:
        HwkdError: in one line, if model or data cannot be used.
    """
    from hwkd.api.search_config import sample_rate
    from hwkd.api.subject import subject_of
    from hwkd.core.errors import DataError
    from hwkd.core.progress import silent
    from hwkd.io.stored_arrays import path_of_data

    tell = progress or silent
    source, place = Path(model), Path(path_of_data(data) or "")
    rate_hz = sample_rate(rate, "--rate")
    subject = subject_of(source, dtype=dtype, task=task)
    tell("read the data", 0, 2)
    reading = subject.reading
    if rate_hz is not None:
        reading = reading.model_copy(update={"rate_hz": rate_hz})
        reading.require_known(subject.task.knows(place), task=subject.task.name)
    given = subject.task.labelled(place, reading, raw_shape=subject.raw_shape)
    labels = given.labels
    if not len(labels):
        raise DataError(f"{place}: no labelled examples")
    subject.require_like_training(given.inputs, where=str(place))
    prepared = subject.prepare(given.inputs)
    tell("answer", 1, 2)
    outputs = subject.answer(prepared)
    tell("answer", 2, 2)
    return _scored(subject, given, prepared, outputs, str(model), str(place))


def _scored(
    subject: "Subject",
    given: "RawSplit",
    prepared: "AnyArray",
    outputs: "Floats",
    model: str,
    data: str,
) -> EvaluateOutcome:
    from hwkd.core.metric import led_by
    from hwkd.core.score_interval import score_intervals
    from hwkd.tasks.class_numbers import numbered_as
    from hwkd.tasks.classes_head import ClassesHead

    head = subject.head(given.labels, outputs.shape[1])
    labels = numbered_as(head, given, has_names=subject.answers is not None)
    if isinstance(head, ClassesHead) and given.wholes is not None:
        head = head.voting()
    targets = head.targets(labels, prepared)
    scores = head.scores(outputs, targets, given.wholes)
    metrics = tuple(metric for metric in head.metrics if metric.name in scores)
    if subject.judged_by in scores:
        metrics = led_by(metrics, subject.judged_by, task=subject.task.name)
    confusion = head.confusion(outputs, targets)
    return EvaluateOutcome(
        model=model,
        data=data,
        task=subject.task.name,
        examples=len(labels),
        metrics=metrics,
        scores=scores,
        prepared=subject.record is not None,
        reported=subject.reported,
        note=_SEEN if subject.has_seen(given.inputs) else None,
        intervals=score_intervals(metrics, scores, len(labels), confusion),
        recordings=None if given.wholes is None else len(set(given.wholes.tolist())),
        notes=given.notes,
        confusion=confusion,
        by_class=head.by_class(outputs, targets),
        kind=head.kind.name,
        classes=(head.kind.answers or head.names) if confusion else (),
    )
