"""Tasks of pictures whose targets are no one class: boxes, masks, other pictures."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from hwkd.core.errors import DataError
from hwkd.core.head import Head
from hwkd.core.metric import Metric
from hwkd.core.nature import Nature
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import SplitName, TaskData
from hwkd.tasks.checked_task import Asked, FileTask
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.splits import with_all_splits


@dataclass(frozen=True, kw_only=True)
class SceneTask(FileTask):
    """What such tasks share; see `FileTask`.

    Attributes:
        nature: of the raw inputs; see `hwkd.tasks.prepare.prepare`.
    """

    nature: ClassVar[Nature]

    known = frozenset({"input_size", "metric"})

    @abstractmethod
    def read(
        self, source: Path, reading: Reading, progress: Progress, *, to_judge: bool = False
    ) -> RawData:
        """Read pictures and targets.

        Args:
            to_judge: see `hwkd.tasks.raw.with_train`.
        """

    @abstractmethod
    def headed(
        self, data: RawData, names: tuple[str, ...], metrics: tuple[Metric, ...]
    ) -> tuple[Head, RawData]:
        """Return the head, and the data with targets as it has them.

        Args:
            data: with all splits.
            names: of its classes or channels.
        """

    def lacks(self, split: RawSplit, names: tuple[str, ...]) -> str:
        """Say what no example has, though scores are perfect without it, and what to add; else "".

        Args:
            names: of the classes.
        """
        del split, names
        return ""

    def of_file(self, source: Path, asked: Asked) -> TaskData:
        """Read, check, split and normalise; see `Task.data`."""
        raw = self.read(source, asked.reading, asked.progress)
        # Such pictures have no one class by which splits could keep their shares.
        split = with_all_splits(replace(raw, class_names=()), split_seed=asked.split_seed)
        for name, each in split.given().items():
            self._require_judging(raw, each, name, is_own=name in raw.given())
        head, ready = self.headed(split, raw.class_names, asked.metrics)
        return self.ready(ready, head, asked.reading, asked, nature=self.nature)

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read raw pictures of the training's size and their targets; see `Task.labelled`."""
        size = (raw_shape[1], raw_shape[2])
        sized = reading.model_copy(update={"input_size": size})
        raw = self.read(source, sized, silent, to_judge=True)
        split = raw.test or raw.train
        self._require_judging(raw, split, "test" if raw.test else "train", is_own=True)
        return replace(split, names=raw.class_names, notes=raw.notes)

    def _require_judging(
        self, raw: RawData, split: RawSplit, name: SplitName, *, is_own: bool
    ) -> None:
        """Refuse a split by which seeing nothing would be perfect.

        Raises:
            DataError: names it, what is missing and what to do.
        """
        if not (lacking := self.lacks(split, raw.class_names)):
            return
        remedy = ""
        if not is_own:
            remedy = f", or bring a {name} split: this one was taken from train"
        elif name != "train":
            remedy = ", or remove the split: train then gives one"
        raise DataError(
            f"{raw.source}: in the {name} split, where to see nothing would be perfect, {lacking}"
            f"{remedy}"
        )
