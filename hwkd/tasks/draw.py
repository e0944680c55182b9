"""Small generators: draw the picture that belongs to a picture, judged by what was wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hwkd.core.catalog import TASKS
from hwkd.core.errors import DataError
from hwkd.core.metric import Metric, led_by
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import Task, TaskData
from hwkd.tasks.picture_pairs import LAYOUT, read_picture_pairs
from hwkd.tasks.pictures_head import PICTURE_METRICS, PicturesHead
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.sources import reading as being_read
from hwkd.tasks.splits import with_all_splits

_KNOWN = frozenset({"input_size", "metric"})


@dataclass(frozen=True, kw_only=True)
class DrawTask:
    """A picture of a picture, learned from pairs."""

    name: str = "draw"
    summary: str = "draw the picture that belongs to a picture: images/ and targets/ in pairs"
    metrics: tuple[Metric, ...] = PICTURE_METRICS
    kind: str = "pictures"
    spaces: tuple[str, ...] = ("drawer",)
    weight_budget_bytes: int | None = None

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
            raise DataError(f"--task {self.name} comes with no data; --data takes {LAYOUT}")
        raw = _read(source, reading, progress)
        # Pictures have no one class by which splits could keep their shares.
        split = with_all_splits(replace(raw, class_names=()), split_seed=split_seed)
        head = PicturesHead.fitted(split.train.labels, names=raw.class_names, metrics=metrics)
        learned = {
            name: replace(part, labels=head.standardised(part.labels))
            for name, part in split.given().items()
        }
        ready = replace(
            split, train=learned["train"], validation=learned["validation"], test=learned["test"]
        )
        return prepare(ready, head, reading, task=self.name, split_seed=split_seed, nature="scenes")

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read raw pictures of the training's size and those to draw; see `Task.labelled`."""
        size = (raw_shape[1], raw_shape[2])
        raw = _read(source, reading.model_copy(update={"input_size": size}), silent)
        return raw.test or raw.train


def _read(source: Path, reading: Reading, progress: Progress) -> RawData:
    with being_read(source, takes=LAYOUT):
        if not source.is_dir():
            raise DataError(f"{printable(source)}: a file; --data takes {LAYOUT}")
        return read_picture_pairs(source, input_size=reading.input_size, progress=progress)


_TASK: Task = TASKS.register("draw")(DrawTask())
