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
from hwkd.core.metric import Metric, led_by
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import Split, SplitName, Task, TaskData
from hwkd.tasks.checks import checked_raw
from hwkd.tasks.csv_table import is_table, read_csv
from hwkd.tasks.npz import read_npz
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawArray, RawData, RawSplit
from hwkd.tasks.reconstruction_head import (
    ANOMALY_METRICS,
    FALSE_ALARMS_RATIO,
    ReconstructionHead,
)
from hwkd.tasks.sources import is_zip
from hwkd.tasks.sources import reading as opened

_FORMATS = (
    "a CSV file of numbers with a heading, its label (0 or normal, else an anomaly) in the last "
    "column or in the one called label, class, target or y, or an NPZ file with x_train and y_train"
)
_KNOWN = frozenset({"layout", "features", "metric", "label", "normal", "false_alarms_ratio"})
_NORMAL_WORDS = frozenset(
    {"0", "normal", "ok", "okay", "good", "healthy", "nominal", "benign", "inlier", "false", "no"}
)
# A rate is known by the alarms that are counted: many normal examples tell a small one.
_MANY_EXAMPLES = 10_000
_SHARE, _SHARE_OF_MANY = 0.2, 0.25
_FEWEST = 10


@dataclass(frozen=True, kw_only=True)
class AnomalyTask:
    """Networks learn to repeat normal inputs; what they repeat badly is an anomaly."""

    name: str = "anomaly"
    summary: str = "find anomalies, trained on normal data: CSV or NPZ; without data, tumour cells"
    metrics: tuple[Metric, ...] = ANOMALY_METRICS
    kind: str = "repeated values"
    spaces: tuple[str, ...] = ("autoencoder",)
    weight_budget_bytes: int | None = 10_000

    def data(
        self,
        source: Path | None,
        reading: Reading = AS_USUAL,
        *,
        split_seed: int = 0,
        progress: Progress = silent,
    ) -> TaskData:
        """Read, check, split and standardise; see `Task.data`.

        Anomalies go half to validation, where thresholds are chosen, and half to test.
        """
        del progress
        reading.require_known(_KNOWN, task=self.name)
        metrics = led_by(self.metrics, reading.metric, task=self.name)
        raw, names = _tumours() if source is None else _read(source, reading)
        split = _with_all_splits(raw, split_seed)
        ratio = reading.false_alarms_ratio or FALSE_ALARMS_RATIO
        split = replace(split, notes=(*split.notes, *_doubts(split, ratio)))
        head = ReconstructionHead(names=("",), metrics=metrics, false_alarms_ratio=ratio)
        data = prepare(split, head, reading, task=self.name, split_seed=split_seed)
        size = int(np.prod(data.input_shape))
        if len(names) != size:
            names = tuple(f"value {number}" for number in range(1, size + 1))
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
        del raw_shape
        raw, _ = _read(source, reading)
        return raw.test or raw.train


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


def _read(path: Path, reading: Reading) -> tuple[RawData, tuple[str, ...]]:
    """Read a file, labels 0 for normal and 1 for anomalies, and the names of its columns."""
    with opened(path, takes=_FORMATS):
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
            whole = np.concatenate([values.ravel() for values in labels.values()])
            flags, note = _flags(whole, reading.normal, source)
            notes.append(note)
            ends = np.cumsum([values.size for values in labels.values()])[:-1]
            return dict(zip(labels, np.split(flags, ends), strict=True)), ()

        raw = read_npz(path, layout=reading.layout, read_labels=flagged)
        return checked_raw(replace(raw, notes=(*raw.notes, *notes))), ()


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


def _with_all_splits(data: RawData, seed: int) -> RawData:
    """Return train, validation and test, none of train's examples an anomaly.

    Raises:
        DataError: if the source's own train split holds anomalies, or there are too few examples.
    """
    given = data.given()
    if "test" not in given:
        return _taken(data, seed)
    anomalies = np.flatnonzero(data.train.labels)
    if len(anomalies):
        raise DataError(
            f"{data.source}: {len(anomalies):,} anomalies in the train split, first at example "
            f"{int(anomalies[0])}; networks learn normal data alone, so move them to test or give "
            "one split, of which hwkd makes three"
        )
    if "validation" not in given:
        return _with_validation(data, seed)
    for name in ("validation", "test"):
        if len(np.unique(given[name].labels)) < 2:
            raise DataError(
                f"{data.source}: the {name} split needs normal examples and anomalies; it has one "
                "kind alone"
            )
    return data


def _taken(data: RawData, seed: int) -> RawData:
    labels = data.train.labels
    random = np.random.default_rng(seed)
    normal, anomalies = (random.permutation(np.flatnonzero(labels == flag)) for flag in (0, 1))
    share = _SHARE if len(normal) < _MANY_EXAMPLES else _SHARE_OF_MANY
    part, half = round(share * len(normal)), len(anomalies) // 2
    if part < _FEWEST or half < 1:
        raise DataError(
            f"{data.source}: {len(normal):,} normal examples and {len(anomalies):,} anomalies, too "
            f"few for three splits; at least {round(_FEWEST / _SHARE)} and 2 are needed"
        )
    validation = np.concatenate([normal[:part], anomalies[:half]])
    test = np.concatenate([normal[part : 2 * part], anomalies[half:]])
    note = (
        f"validation and test have {part:,} normal examples each, and {half:,} and "
        f"{len(anomalies) - half:,} anomalies, at random, seed {seed}"
    )
    return replace(
        data,
        train=_part(data.train, normal[2 * part :]),
        validation=_part(data.train, validation),
        test=_part(data.train, test),
        notes=(*data.notes, note),
    )


def _with_validation(data: RawData, seed: int) -> RawData:
    """Take validation from a source with train and test: normal of train, anomalies of test."""
    assert data.test is not None
    random = np.random.default_rng(seed)
    anomalies = random.permutation(np.flatnonzero(data.test.labels))
    half, part = len(anomalies) // 2, round(_SHARE * len(data.train.labels))
    if part < _FEWEST or half < 1 or not (data.test.labels == 0).any():
        raise DataError(
            f"{data.source}: too few examples for a validation split; train needs "
            f"{round(_FEWEST / _SHARE)} normal ones, test normal ones and 2 anomalies"
        )
    order = random.permutation(len(data.train.labels))
    moved = _part(data.test, anomalies[:half])
    held_back = _part(data.train, order[:part])
    kept = np.setdiff1d(np.arange(len(data.test.labels)), anomalies[:half])
    validation = RawSplit(
        inputs=np.concatenate([held_back.inputs, moved.inputs]),
        labels=np.concatenate([held_back.labels, moved.labels]),
    )
    note = (
        f"validation has {part:,} normal examples of train and {half:,} anomalies of test, seed "
        f"{seed}"
    )
    return replace(
        data,
        train=_part(data.train, order[part:]),
        validation=validation,
        test=_part(data.test, kept),
        notes=(*data.notes, note),
    )


def _doubts(data: RawData, ratio: float) -> list[str]:
    """Say where there are too few normal examples to know a rate of false alarms."""
    assert data.validation is not None
    normal = int((data.validation.labels == 0).sum())
    if normal * ratio >= 1:
        return []
    return [
        f"validation has {normal:,} normal examples, too few to tell {100 * ratio:g} % of false "
        "alarms from none: the threshold lies above all of them"
    ]


def _part(split: RawSplit, places: NDArray[np.intp]) -> RawSplit:
    return RawSplit(inputs=split.inputs[places], labels=split.labels[places])


_TASK: Task = TASKS.register("anomaly")(AnomalyTask())
