"""Anomaly detection: trained on normal data alone, judged on both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import TASKS
from hwkd.core.errors import ConfigError, DataError
from hwkd.core.head import value_names
from hwkd.core.metric import Metric
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.anomaly_splits import doubts_of_rate, with_normal_train
from hwkd.tasks.base import Split, SplitName, Task, TaskData
from hwkd.tasks.checked_task import Asked, CheckedTask
from hwkd.tasks.checks import checked_raw
from hwkd.tasks.csv_table import read_csv
from hwkd.tasks.machine_sounds import SOUND_FEATURES, SOUND_FORMATS, read_machine_sounds
from hwkd.tasks.npz import read_npz
from hwkd.tasks.raw import RawArray, RawData, RawSplit
from hwkd.tasks.reconstruction_head import (
    ANOMALY_METRICS,
    FALSE_ALARMS_RATIO,
    ReconstructionHead,
)
from hwkd.tasks.sources import is_zip
from hwkd.tasks.sources import reading as opened
from hwkd.tasks.text_table import is_table

_FORMATS = (
    "a CSV file of numbers with a heading, its label (0 or normal, else an anomaly) in the last "
    "column or in the one called label, class, target or y, an NPZ file with x_train and y_train, "
    f"or {SOUND_FORMATS}"
)
_KNOWN_OF_TABLES, _KNOWN_OF_SOUNDS = {"layout", "label"}, {"rate_hz", "window_s", "stride_s"}
_NORMAL_WORDS = frozenset(
    {"0", "normal", "ok", "okay", "good", "healthy", "nominal", "benign", "inlier", "false", "no"}
)


@dataclass(frozen=True, kw_only=True)
class AnomalyTask(CheckedTask):
    """Networks learn to repeat normal inputs; what they repeat badly is an anomaly."""

    name: str = "anomaly"
    summary: str = (
        "find anomalies, trained on normal data: CSV, NPZ or WAV; without data, tumour cells"
    )
    metrics: tuple[Metric, ...] = ANOMALY_METRICS
    kind: str = "repeated values"
    spaces: tuple[str, ...] = ("autoencoder",)
    weight_budget_bytes: int | None = 10_000

    known = frozenset({"features", "metric", "normal", "false_alarms_ratio"})

    def knows(self, source: Path | None) -> frozenset[str]:
        """Return the choices on tables or on sounds."""
        return self.known | (_KNOWN_OF_SOUNDS if _is_sound(source) else _KNOWN_OF_TABLES)

    def prepared(self, source: Path | None, asked: Asked) -> TaskData:
        """Read, check, split and standardise; see `Task.data`.

        Anomalies go half to validation, where thresholds are chosen, and half to test.
        """
        reading = asked.reading
        raw, names = _tumours() if source is None else _read(source, reading, asked.progress)
        split = with_normal_train(raw, asked.split_seed)
        ratio = reading.false_alarms_ratio or FALSE_ALARMS_RATIO
        split = replace(split, notes=(*split.notes, *doubts_of_rate(split, ratio)))
        head = ReconstructionHead(names=("",), metrics=asked.metrics, false_alarms_ratio=ratio)
        if _is_sound(source) and reading.features is None:
            reading = reading.model_copy(update={"features": SOUND_FEATURES})
        data = self.ready(split, head, reading, asked)
        size = int(np.prod(data.input_shape))
        if len(names) != size:
            names = value_names(size)
        head = replace(head, names=names)

        def repeated(part: Split) -> Split:
            return replace(part, labels=head.targets(part.labels, part.inputs))

        return replace(
            data,
            head=head,
            train=repeated(data.train),
            validation=repeated(data.validation),
            test=repeated(data.test),
            validation_from_train=False,  # it holds anomalies, which nothing may learn
        )

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read raw inputs, and 1 for anomalies; see `Task.labelled`."""
        raw, _ = _read(source, reading, window=raw_shape[-1], to_judge=True)
        return replace(raw.test or raw.train, notes=raw.notes)


def _is_sound(source: Path | None) -> bool:
    return source is not None and source.is_dir()


def _tumours() -> tuple[RawData, tuple[str, ...]]:
    """Return measurements of 569 cell samples, of which the malignant ones are the anomalies.

    Source: Street, Wolberg and Mangasarian 1993, SPIE 1905, 861-870 (Wisconsin Diagnostic).
    """
    # Importing scikit-learn takes a second; data of the user's own may never need it.
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    train = RawSplit(
        inputs=found.data.astype(np.float32)[:, :, np.newaxis],
        labels=(found.target == 0).astype(np.int64),
    )
    raw = RawData(
        source="breast cancer data of scikit-learn (569 samples)", class_names=(), train=train
    )
    return raw, tuple(found.feature_names.tolist())


def _read(
    path: Path,
    reading: Reading,
    progress: Progress = silent,
    *,
    window: int | None = None,
    to_judge: bool = False,
) -> tuple[RawData, tuple[str, ...]]:
    """Read a source, labels 0 for normal and 1 for anomalies, and the names of its columns.

    Args:
        window: samples of an example of sounds; None is what the user asks for.
        to_judge: as of `read_npz`.
    """
    with opened(path, takes=_FORMATS):
        if path.is_dir():
            sounds = read_machine_sounds(path, reading, progress=progress, window=window)
            return checked_raw(_flagged(sounds, reading.normal)), ()
        if is_table(path):
            if reading.layout not in ("auto", "nf"):
                raise ConfigError(
                    f"--layout {reading.layout}: does not apply to a CSV file; leave it out"
                )
            table = read_csv(path, of_classes=True, label=reading.label)
            flags, note = _flags(table.train.labels.ravel(), reading.normal, table.source)
            raw = RawData(
                source=table.source,
                class_names=(),
                train=replace(table.train, labels=flags),
                notes=(*table.notes, note),
            )
            return checked_raw(raw), table.features
        if not path.is_file() or not is_zip(path):
            raise DataError(f"{printable(path)}: unknown format; --data takes {_FORMATS}")
        if reading.label is not None:
            raise ConfigError("--label does not apply to an NPZ file; leave it out")
        notes: list[str] = []

        def flagged(
            labels: Mapping[SplitName, RawArray],
            *,
            source: str,
            class_names: tuple[str, ...] | None = None,
        ) -> tuple[Mapping[SplitName, RawArray], tuple[str, ...]]:
            del class_names
            flags, note = _flags_of_splits(labels, reading.normal, source)
            notes.append(note)
            return flags, ()

        raw = read_npz(path, layout=reading.layout, read_labels=flagged, to_judge=to_judge)
        return checked_raw(replace(raw, notes=(*raw.notes, *notes))), ()


def _flagged(data: RawData, normal: str | None) -> RawData:
    """Return data with 0 and 1 for its labels, whatever they are called."""
    given = data.given()
    labels = {name: split.labels for name, split in given.items()}
    flags, note = _flags_of_splits(labels, normal, data.source)
    splits = {name: replace(split, labels=flags[name]) for name, split in given.items()}
    return replace(data.with_splits(splits), notes=(*data.notes, note))


def _flags_of_splits(
    labels: Mapping[SplitName, RawArray], normal: str | None, source: str
) -> tuple[dict[SplitName, NDArray[np.int64]], str]:
    whole = np.concatenate([values.ravel() for values in labels.values()])
    flags, note = _flags(whole, normal, source)
    ends = np.cumsum([values.size for values in labels.values()])[:-1]
    return dict(zip(labels, np.split(flags, ends), strict=True)), note


def _flags(labels: NDArray[Any], normal: str | None, source: str) -> tuple[NDArray[np.int64], str]:
    """Return 1 for every anomaly, and a note that says what was taken for normal."""
    kinds, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    names = [_name(kind) for kind in kinds]
    shown = ", ".join(f"{name!r} ({n:,})" for name, n in zip(names[:6], counts, strict=False))
    if len(kinds) < 2:
        raise DataError(
            f"{source}: every label is {names[0]!r}; anomalies are needed beside normal examples, "
            "to choose the threshold and to test it"
        )
    wanted = {normal.lower()} if normal is not None else _NORMAL_WORDS
    is_normal = [name.lower() in wanted for name in names]
    # As scikit-learn's detectors say it.
    if normal is None and set(names) == {"-1", "1"}:
        is_normal = [name == "1" for name in names]
    if sum(is_normal) != 1:
        what = "no label" if not any(is_normal) else "several labels"
        asked = f"is called {normal!r}" if normal is not None else "says that it is the normal one"
        raise DataError(
            f"{source}: {what} {asked}; labels are {shown}; say which is normal, as --normal "
            f"{names[int(counts.argmax())]}"
        )
    flags = np.array([0 if each else 1 for each in is_normal], dtype=np.int64)[places.ravel()]
    usual = names[is_normal.index(True)]
    return flags, f"label {usual!r} is normal, any other an anomaly; labels are {shown}"


def _name(kind: Any) -> str:
    if isinstance(kind, bytes):
        return printable(kind.decode("utf-8", "surrogateescape"))
    if isinstance(kind, np.number) and float(kind).is_integer():
        return str(int(kind))
    return printable(str(kind))


_TASK: Task = TASKS.register("anomaly")(AnomalyTask())
