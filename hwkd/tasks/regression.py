"""Regression: one or more numbers for each input, judged by the mean absolute error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import TASKS
from hwkd.core.choices import Layout
from hwkd.core.errors import ConfigError, DataError
from hwkd.core.head import value_names
from hwkd.core.metric import Metric
from hwkd.core.printable import printable
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import SplitName, Task, TaskData
from hwkd.tasks.checked_task import Asked, CheckedTask
from hwkd.tasks.checks import checked_raw
from hwkd.tasks.csv_table import read_csv
from hwkd.tasks.npz import read_npz
from hwkd.tasks.raw import RawArray, RawData, RawSplit
from hwkd.tasks.sources import is_zip, reading
from hwkd.tasks.splits import with_all_splits
from hwkd.tasks.text_table import is_table
from hwkd.tasks.values_head import VALUE_METRICS, ValuesHead

_FORMATS = (
    "an NPZ file with x_train and y_train, or a CSV file of numbers with a heading, the target in "
    "its last column or in the one called target, label or y"
)


@dataclass(frozen=True, kw_only=True)
class RegressionTask(CheckedTask):
    """Values for vectors, signals or pictures; a vector is a signal of one moment."""

    name: str = "regression"
    summary: str = "estimate numbers: NPZ or CSV; without data, diabetes progression"
    metrics: tuple[Metric, ...] = VALUE_METRICS
    kind: str = "values"
    spaces: tuple[str, ...] = ()
    weight_budget_bytes: int | None = None

    known = frozenset({"layout", "label", "metric", "features"})

    def prepared(self, source: Path | None, asked: Asked) -> TaskData:
        """Read, check, split, standardise; see `Task.data`."""
        reading = asked.reading
        raw, names = (
            _diabetes() if source is None else read_values(source, reading.layout, reading.label)
        )
        split = with_all_splits(checked_raw(raw), split_seed=asked.split_seed)
        for name, low, high in zip(names, *_ends(split.train.labels), strict=True):
            if low == high:
                raise DataError(
                    f"{raw.source}: every train target {name!r} is {low:g}; nothing to learn, give "
                    "targets that differ"
                )
        head = replace(ValuesHead.fitted(split.train.labels, names=names), metrics=asked.metrics)
        ready = _standardised(split, head)
        return self.ready(ready, head, reading, asked)

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read raw inputs and their values; see `Task.labelled`."""
        del raw_shape
        raw, _ = read_values(source, "auto", label=reading.label, to_judge=True)
        return replace(raw.test or raw.train, notes=raw.notes)


def _diabetes() -> tuple[RawData, tuple[str, ...]]:
    """Return the progression of diabetes in 442 people a year after ten measurements.

    Source: Efron, Hastie, Johnstone and Tibshirani 2004, Annals of Statistics 32, 407-499.
    """
    # Importing scikit-learn takes a second; data of the user's own may never need it.
    from sklearn.datasets import load_diabetes

    found = load_diabetes(scaled=False)
    train = RawSplit(
        inputs=found.data.astype(np.float32)[:, :, np.newaxis], labels=found.target[:, np.newaxis]
    )
    features = ", ".join(found.feature_names)
    raw = RawData(
        source="diabetes data of scikit-learn (442 people)",
        class_names=(),
        train=train,
        notes=(f"features: {features}",),
    )
    return raw, ("disease progression",)


def read_values(
    path: Path, layout: Layout, label: str | None = None, *, to_judge: bool = False
) -> tuple[RawData, tuple[str, ...]]:
    """Read an NPZ or CSV file with targets as they are stored, and the names of the values.

    Args:
        to_judge: as of `read_npz`.

    Raises:
        DataError: if the format is another one or the content is unusable.
        ConfigError: if an option does not apply to the format.
    """
    with reading(path, takes=_FORMATS):
        if is_table(path):
            if layout not in ("auto", "nf"):
                raise ConfigError(f"--layout {layout}: does not apply to a CSV file; leave it out")
            table = read_csv(path, of_classes=False, label=label)
            raw = RawData(source=table.source, class_names=(), train=table.train, notes=table.notes)
            return raw, (table.target,)
        if not path.is_file() or not is_zip(path):
            raise DataError(f"{printable(path)}: unknown format; --data takes {_FORMATS}")
        if label is not None:
            raise ConfigError("--label does not apply to an NPZ file; leave it out")
        raw = read_npz(path, layout=layout, read_labels=_values, to_judge=to_judge)
        return replace(raw, class_names=()), raw.class_names


def _values(
    labels: Mapping[SplitName, RawArray], *, source: str, class_names: tuple[str, ...] | None = None
) -> tuple[Mapping[SplitName, RawArray], tuple[str, ...]]:
    """Return stored targets as float64, shape [n, outputs], and the names of the values."""
    found = {name: _wide(values, f"{source}: {name}") for name, values in labels.items()}
    outputs = found["train"].shape[1]
    for name, values in found.items():
        if values.shape[1] != outputs:
            raise DataError(
                f"{source}: {name} has {values.shape[1]} targets for each input, train {outputs}"
            )
    if not len(found["train"]):
        raise DataError(f"{source}: the train split is empty; give examples with targets")
    names = class_names or value_names(outputs)
    if len(names) != outputs:
        raise DataError(f"{source}: {len(names)} target names for {outputs} targets")
    return found, names


def _wide(values: RawArray, where: str) -> NDArray[np.float64]:
    flat = values[:, np.newaxis] if values.ndim == 1 else values
    if flat.ndim != 2 or not flat.shape[1] or flat.dtype.kind not in "biuf":
        raise DataError(
            f"{where} targets have shape {values.shape} and type {values.dtype}; expected one "
            "number, or a row of numbers, for each input"
        )
    wide = flat.astype(np.float64)
    missing = ~np.isfinite(wide).all(axis=1)
    if missing.any():
        raise DataError(
            f"{where} targets hold NaN or infinite values in {int(missing.sum()):,} of "
            f"{len(wide):,} examples, first at example {int(np.flatnonzero(missing)[0])}; repair "
            "or drop them"
        )
    return wide


def _ends(targets: RawArray) -> tuple[list[float], list[float]]:
    return targets.min(axis=0).tolist(), targets.max(axis=0).tolist()


def _standardised(raw: RawData, head: ValuesHead) -> RawData:
    """Return the data with its targets as the network learns them."""

    def of(split: RawSplit) -> RawSplit:
        return replace(split, labels=head.standardised(split.labels))

    given = raw.given()
    return replace(
        raw, train=of(raw.train), validation=of(given["validation"]), test=of(given["test"])
    )


_TASK: Task = TASKS.register("regression")(RegressionTask())
