"""Small generators: draw the picture that belongs to a picture, judged by what was wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hwkd.core.catalog import TASKS
from hwkd.core.head import Head
from hwkd.core.metric import Metric
from hwkd.core.progress import Progress
from hwkd.core.reading import Reading
from hwkd.tasks.base import Task
from hwkd.tasks.picture_pairs import LAYOUT, read_picture_pairs
from hwkd.tasks.pictures_head import PICTURE_METRICS, PicturesHead
from hwkd.tasks.raw import RawData
from hwkd.tasks.scene_task import SceneTask
from hwkd.tasks.sources import reading_folder


@dataclass(frozen=True, kw_only=True)
class DrawTask(SceneTask):
    """A picture of a picture, learned from pairs."""

    name: str = "draw"
    summary: str = "draw the picture that belongs to a picture: images/ and targets/ in pairs"
    metrics: tuple[Metric, ...] = PICTURE_METRICS
    kind: str = "pictures"
    spaces: tuple[str, ...] = ("drawer",)

    takes = LAYOUT
    nature = "scenes"

    def read(
        self, source: Path, reading: Reading, progress: Progress, *, to_judge: bool = False
    ) -> RawData:
        """Read pictures, and those to draw."""
        with reading_folder(source, takes=LAYOUT):
            return read_picture_pairs(
                source, input_size=reading.size, to_judge=to_judge, progress=progress
            )

    def headed(
        self, data: RawData, names: tuple[str, ...], metrics: tuple[Metric, ...]
    ) -> tuple[Head, RawData]:
        """Return the head that is fitted to train, and targets as it learns them."""
        head = PicturesHead.fitted(data.train.labels, names=names, metrics=metrics)
        learned = {
            name: replace(part, labels=head.standardised(part.labels))
            for name, part in data.given().items()
        }
        return head, data.with_splits(learned)


_TASK: Task = TASKS.register("draw")(DrawTask())
