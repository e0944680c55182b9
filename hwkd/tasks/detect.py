"""Detection: which things a picture shows, each with a box, judged by mean average precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hwkd.core.boxes import CELL_PIXELS
from hwkd.core.catalog import TASKS
from hwkd.core.errors import DataError
from hwkd.core.head import Head
from hwkd.core.metric import Metric
from hwkd.core.progress import Progress
from hwkd.core.reading import Reading
from hwkd.tasks.base import Task
from hwkd.tasks.box_folder import LAYOUT, read_box_folder
from hwkd.tasks.boxes_head import BOX_METRICS, boxes_head
from hwkd.tasks.points_head import POINT_METRICS, points_head
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.scene_task import SceneTask
from hwkd.tasks.sources import reading as being_read
from hwkd.tasks.things_head import ThingsHead


@dataclass(frozen=True, kw_only=True)
class ThingsTask(SceneTask):
    """Things in pictures, learned from boxes; `head` of class names says what is told of them."""

    head: Callable[..., ThingsHead]
    spaces: tuple[str, ...] = ("detector",)

    takes = LAYOUT
    nature = "boxes"

    def read(
        self, source: Path, reading: Reading, progress: Progress, *, to_judge: bool = False
    ) -> RawData:
        """Read pictures and boxes, of sides that are whole cells."""
        with being_read(source, takes=LAYOUT):
            raw = read_box_folder(
                source, input_size=reading.size, to_judge=to_judge, progress=progress
            )
        height, width = raw.train.inputs.shape[2:]
        if height % CELL_PIXELS or width % CELL_PIXELS:
            even = [
                max(CELL_PIXELS, round(side / CELL_PIXELS) * CELL_PIXELS)
                for side in (height, width)
            ]
            raise DataError(
                f"{raw.source}: pictures of {height}x{width}; height and width must be divisible "
                f"by {CELL_PIXELS}, give --input-size {even[0]}x{even[1]}"
            )
        return raw

    def lacks(self, split: RawSplit, names: tuple[str, ...]) -> str:
        """Say that no picture has a box."""
        del names
        return (
            ""
            if (split.labels[:, :, 0] >= 0).any()
            else "no picture has a box; add pictures with some"
        )

    def headed(
        self, data: RawData, names: tuple[str, ...], metrics: tuple[Metric, ...]
    ) -> tuple[Head, RawData]:
        """Return the head for as many things as targets hold."""
        head = self.head(names, most=data.train.labels.shape[1])
        return replace(head, metrics=metrics), data


_DETECT: Task = ThingsTask(
    name="detect",
    summary="find things in pictures, each with a box: COCO, YOLO or Pascal VOC",
    metrics=BOX_METRICS,
    kind="boxes",
    head=boxes_head,
)
_COUNT: Task = ThingsTask(
    name="count",
    summary="count things in pictures and point at each: COCO, YOLO or Pascal VOC",
    metrics=POINT_METRICS,
    kind="points",
    head=points_head,
)
TASKS.register(_DETECT.name)(_DETECT)
TASKS.register(_COUNT.name)(_COUNT)
