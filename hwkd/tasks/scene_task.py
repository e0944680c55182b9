"""Tasks of pictures whose targets are no one class: boxes, masks, other pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from hwkd.core.errors import DataError
from hwkd.core.head import Head
from hwkd.core.metric import Metric, led_by
from hwkd.core.nature import Nature
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import TaskData
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.splits import with_all_splits

_KNOWN = frozenset({"input_size", "metric"})


@dataclass(frozen=True, kw_only=True)
class SceneTask(ABC):
    """What such tasks share; see `hwkd.tasks.base.Task`.

    Attributes:
        layout: what `--data` takes.
        nature: of the raw inputs; see `hwkd.tasks.prepare.prepare`.
    """

    name: str
    summary: str
    metrics: tuple[Metric, ...]
    kind: str
    spaces: tuple[str, ...]
    weight_budget_bytes: int | None = None

    layout: ClassVar[str]
    nature: ClassVar[Nature]

    @abstractmethod
    def read(self, source: Path, reading: Reading, progress: Progress) -> RawData:
        """Read pictures and targets."""

    @abstractmethod
    def headed(
        self, data: RawData, names: tuple[str, ...], metrics: tuple[Metric, ...]
    ) -> tuple[Head, RawData]:
        """Return the head, and the data with targets as it has them.

        Args:
            data: with all splits.
            names: of its classes or channels.
        """

    def data(
        self,
        source: Path | None,
        reading: Reading = AS_USUAL,
        *,
        split_seed: int = 0,
        progress: Progress = silent,
    ) -> TaskData:
        """Read, check, split and normalise; see `Task.data`."""
        reading.require_known(_KNOWN, task=self.name)
        metrics = led_by(self.metrics, reading.metric, task=self.name)
        if source is None:
            raise DataError(f"--task {self.name} comes with no data; --data takes {self.layout}")
        raw = self.read(source, reading, progress)
        # Such pictures have no one class by which splits could keep their shares.
        split = with_all_splits(replace(raw, class_names=()), split_seed=split_seed)
        head, ready = self.headed(split, raw.class_names, metrics)
        return prepare(
            ready, head, reading, task=self.name, split_seed=split_seed, nature=self.nature
        )

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read raw pictures of the training's size and their targets; see `Task.labelled`."""
        size = (raw_shape[1], raw_shape[2])
        raw = self.read(source, reading.model_copy(update={"input_size": size}), silent)
        return raw.test or raw.train
