"""What a task is, and the data that a search, a teacher and an export read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.head import Head
from hwkd.core.metric import Metric, Scores
from hwkd.core.nature import Nature
from hwkd.core.pipeline_record import StepValue
from hwkd.core.printable import groups_text
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.signals.features import RAW
from hwkd.signals.pipeline import Pipeline

if TYPE_CHECKING:
    from hwkd.tasks.raw import RawSplit

SplitName: TypeAlias = Literal["train", "validation", "test"]
_SHOWN_CLASSES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One part of a data set.

    Attributes:
        inputs: float32, after the pipeline, shape [n, *input_shape].
        labels: what is to be learned: int64 class indices, shape [n], or float32 values as the
            head has them, shape [n, outputs].
        wholes: number of the recording that each example is cut from; None where there is none.
        nature: what the values are, where that says how inputs may be varied.
        mirror_signs: of each channel in a mirror image of motion that keeps its class, if any.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[Any]
    wholes: NDArray[np.int64] | None = None
    nature: Nature = "values"
    mirror_signs: tuple[float, ...] = ()

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """A data set that is ready for training.

    Attributes:
        name: of the task, for example "classify".
        source: where the data came from, for people.
        input_shape: without batch: (channels, height, width) or (channels, time).
        head: what the outputs of a network mean.
        test: read once, at the end.
        fingerprint: SHA-256 over content, splits and preprocessing, 64 hex digits.
        content_fingerprint: SHA-256 over the raw inputs in any order, of whichever split.
        notes: what a reader of a report must know: splits made, files left out, layout guessed.
        validation_from_train: validation was taken from the train split of the source, so that what
            ships may learn from it in the end; False where the source brought it.
        validation_copies: of validation, varied as copies that train has of its own examples; None
            where it has none, or nothing may learn from validation.
        raw_test: of the test split as read, what the pipeline takes; None where nothing kept it.
        sample_rate_hz: samples per second of signals; None where the source does not say.
        groups: what each split is of, where none is in two, as the names of people.
        grouped_by: what those are; empty where nothing kept them apart.
        texts: UTF-8 bytes of each split, shape [n, 1, bytes]; None where inputs are no texts.
        features: that were computed, as `--features` takes them.
        answer_every_s: from one answer to the next where windows follow one another; None where
            nothing follows.
        row_keys: what raw examples are known by in other data (`hwkd.tasks.repeats.row_keys`), of
            each split as it was read.
    """

    name: str
    source: str
    input_shape: tuple[int, ...]
    head: Head
    pipeline: Pipeline
    train: Split
    validation: Split
    test: Split
    split_seed: int
    fingerprint: str
    content_fingerprint: str
    notes: tuple[str, ...] = ()
    validation_from_train: bool = False
    validation_copies: Split | None = None
    raw_test: NDArray[Any] | None = None
    sample_rate_hz: float | None = None
    groups: Mapping[SplitName, tuple[str, ...]] = field(default_factory=dict)
    grouped_by: str = ""
    texts: Mapping[SplitName, NDArray[np.uint8]] | None = None
    features: str = RAW
    answer_every_s: float | None = None
    row_keys: Mapping[SplitName, NDArray[np.uint8]] = field(default_factory=dict, repr=False)

    def split(self, name: SplitName) -> Split:
        """Return the split called `name`."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def scores(self, name: SplitName, outputs: NDArray[np.float32]) -> Scores:
        """Return every metric of a network's outputs on a split."""
        split = self.split(name)
        return self.head.scores(outputs, split.labels, split.wholes)

    @property
    def num_outputs(self) -> int:
        """Number of outputs of a network."""
        return self.head.size

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each output, in order; for classes in the order of the labels."""
        return self.head.names

    @property
    def class_counts(self) -> Mapping[SplitName, tuple[int, ...]]:
        """Examples per class, in the order of the labels, for each split; none without classes."""
        if not self.head.kind.of_classes:
            return {}
        return {
            name: tuple(np.bincount(self.split(name).labels, minlength=self.num_outputs).tolist())
            for name in SPLITS
        }


SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class Task(Protocol):
    """What is learned. One file in `hwkd/tasks/` registers one.

    It reads data and hands it over with a head, which has loss and scores, and a pipeline.
    """

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def summary(self) -> str:
        """One line for `hwkd tasks list`."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What networks are scored by; the first is the primary one."""
        ...

    @property
    def kind(self) -> str:
        """Name of the kind of its outputs, see `hwkd.core.head.OUTPUT_KINDS`."""
        ...

    @property
    def spaces(self) -> tuple[str, ...]:
        """Search spaces of its students, where the user names none; none is every default one."""
        ...

    @property
    def weight_budget_bytes(self) -> int | None:
        """What weights may take where the user gives no limit; None is what the device has."""
        ...

    def data(
        self,
        source: Path | None,
        reading: Reading = AS_USUAL,
        *,
        split_seed: int = 0,
        progress: Progress = silent,
    ) -> TaskData:
        """Read, check, split and apply the pipeline.

        Args:
            source: file or folder of the user; None takes the data set that comes with hwkd.
            reading: choices of the user; features among them, None of which is the task's own.
            split_seed: seed of the splits that the source does not bring.
            progress: told about decoding that takes long.

        Raises:
            DataError: if the source cannot be used as it is; one line says what to do.
            ConfigError: if a choice does not apply to the task or to the source.
        """
        ...

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read raw inputs of the shape of the training's, and labels for `Head.targets`.

        Of a source with a test split it is that split.

        Raises:
            DataError: if the source cannot be used as it is.
        """
        ...


def describe(data: TaskData) -> list[tuple[str, str]]:
    """Return (what, value) rows about a data set, for a table on screen or in a report."""
    pipeline, kind, counts = data.pipeline, data.head.kind.name, data.class_counts
    outputs = f"{data.num_outputs} {kind}"
    if data.head.kind.edges is not None:
        outputs = f"{data.num_outputs} outputs for each cell, of {kind}"
    rows = [
        ("data", data.source),
        ("input", f"{_times(data.input_shape)}, {outputs}"),
        (kind, _numbered(data.class_names)),
    ]
    for name in SPLITS:
        balance = f"; {_balance(counts[name])}" if name in counts else ""
        rows.append((f"{name} split", f"{len(data.split(name)):,} examples{balance}"))
    rows += [
        (f"{name} is of", groups_text(data.grouped_by, data.groups[name]))
        for name in SPLITS
        if name in data.groups
    ]
    raw = f"raw {pipeline.raw_dtype} in [{pipeline.raw_low:g}, {pipeline.raw_high:g}]"
    for step in pipeline.record().steps:
        numbers = (f"{name} {_numbers(value)}" for name, value in step.values.items())
        rows.append(("preprocessing", f"{step.formula}; {', '.join(numbers)}; {raw}"))
    rows.extend(("note", note) for note in data.notes)
    return rows


def _numbered(names: tuple[str, ...]) -> str:
    """Return the classes with their label; of many, the first and the last."""
    shown = [f"{label} {name}" for label, name in enumerate(names)]
    if len(shown) > _SHOWN_CLASSES:
        shown = [*shown[: _SHOWN_CLASSES - 1], "...", shown[-1]]
    return ", ".join(shown)


def _balance(counts: tuple[int, ...]) -> str:
    low, high = min(counts), max(counts)
    if low == high:
        return f"{low:,} of each class"
    return f"{low:,} to {high:,} of a class, largest share {high / sum(counts):.1%}"


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def _numbers(values: StepValue) -> str:
    if isinstance(values, float | str):
        return str(values)
    shown = ", ".join(value if isinstance(value, str) else f"{value:.4g}" for value in values[:4])
    return shown if len(values) <= 4 else f"{shown}, ... ({len(values)})"
