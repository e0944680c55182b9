"""What a task is, and the data that a search, a teacher and an export read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.choices import Layout
from hwkd.core.progress import Progress, silent

__all__ = ["Normalisation", "Split", "SplitName", "Task", "TaskData", "describe"]

SplitName: TypeAlias = Literal["train", "validation", "test"]
_SHOWN_CLASSES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One part of a data set.

    Attributes:
        inputs: float32, normalised, shape [n, *input_shape].
        labels: int64 class indices, shape [n].
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """What firmware does to a raw input before the network: `(raw - mean) / std` per channel.

    Attributes:
        mean: one per channel, in the units of the raw data, from the train split alone.
        std: one per channel, in the same units, > 0.
        raw_low: smallest raw value: of the data type for 8-bit data, else seen in train.
        raw_high: largest raw value, likewise.
        raw_dtype: type of the raw data as read, for example "uint8".
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    raw_low: float
    raw_high: float
    raw_dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """A data set that is ready for training.

    Attributes:
        name: of the task, for example "image".
        source: where the data came from, for people.
        input_shape: without batch: (channels, height, width) or (channels, time).
        num_outputs: number of classes.
        class_names: in the order of the labels.
        normalisation: what was applied to the inputs.
        train: what networks learn from.
        validation: what a search judges by.
        test: read once, at the end.
        split_seed: seed of the splits that were made here.
        fingerprint: SHA-256 over content, splits and preprocessing, 64 hex digits.
        notes: what a reader of a report must know: splits made, files left out, layout guessed.
    """

    name: str
    source: str
    input_shape: tuple[int, ...]
    num_outputs: int
    class_names: tuple[str, ...]
    normalisation: Normalisation
    train: Split
    validation: Split
    test: Split
    split_seed: int
    fingerprint: str
    notes: tuple[str, ...] = ()

    def split(self, name: SplitName) -> Split:
        """Return the split called `name`."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @property
    def class_counts(self) -> Mapping[SplitName, tuple[int, ...]]:
        """Examples per class, in the order of the labels, for each split."""
        names: tuple[SplitName, ...] = ("train", "validation", "test")
        return {
            name: tuple(np.bincount(self.split(name).labels, minlength=self.num_outputs).tolist())
            for name in names
        }


class Task(Protocol):
    """What is learned: reads data and scores outputs. One file in `hwkd/tasks/` registers one."""

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def summary(self) -> str:
        """One line for `hwkd tasks list`."""
        ...

    @property
    def metric(self) -> str:
        """Name of what `error_ratio` computes, for example "classification error"."""
        ...

    def data(
        self,
        source: Path | None,
        *,
        split_seed: int = 0,
        input_size: tuple[int, int] | None = None,
        layout: Layout = "auto",
        progress: Progress = silent,
    ) -> TaskData:
        """Read, check, split and normalise.

        Args:
            source: file or folder of the user; None takes the data set that comes with hwkd.
            split_seed: seed of the splits that the source does not bring.
            input_size: (height, width) that images are resized to; None keeps the most common.
            layout: order of the axes of arrays; "auto" reads it from the shape.
            progress: told about decoding that takes long.

        Raises:
            DataError: if the source cannot be used as it is; one line says what to do.
        """
        ...

    def error_ratio(self, outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """Return what a search minimises, 0 (best) to 1.

        Args:
            outputs: of the network, shape [n, num_outputs].
            labels: shape [n].
        """
        ...


def describe(data: TaskData) -> list[tuple[str, str]]:
    """Return (what, value) rows about a data set, for a table on screen or in a report."""
    scale = data.normalisation
    rows = [
        ("data", data.source),
        ("input", f"{_times(data.input_shape)}, {data.num_outputs} classes"),
        ("classes", _numbered(data.class_names)),
    ]
    for name, counts in data.class_counts.items():
        rows.append((f"{name} split", f"{sum(counts):,} examples; {_balance(counts)}"))
    rows.append(
        (
            "normalisation",
            f"(raw - mean) / std; mean {_numbers(scale.mean)}, std {_numbers(scale.std)}; "
            f"raw {scale.raw_dtype} in [{scale.raw_low:g}, {scale.raw_high:g}]",
        )
    )
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


def _numbers(values: tuple[float, ...]) -> str:
    shown = ", ".join(f"{value:.4g}" for value in values[:4])
    return shown if len(values) <= 4 else f"{shown}, ... ({len(values)} channels)"
