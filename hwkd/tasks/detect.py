"""Detection: which things a picture shows, each with a box, judged by mean average precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hwkd.core.boxes import CELL_PIXELS
from hwkd.core.catalog import TASKS
from hwkd.core.errors import DataError
from hwkd.core.metric import Metric, led_by
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import Task, TaskData
from hwkd.tasks.box_folder import LAYOUT, read_box_folder
from hwkd.tasks.boxes_head import BOX_METRICS, boxes_head
from hwkd.tasks.points_head import POINT_METRICS, points_head
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.sources import reading as being_read
from hwkd.tasks.splits import with_all_splits
from hwkd.tasks.things_head import ThingsHead

_KNOWN = frozenset({"input_size", "metric"})


@dataclass(frozen=True, kw_only=True)
class ThingsTask:
    """Things in pictures, learned from boxes; `head` of class names says what is told of them."""

    name: str
    summary: str
    metrics: tuple[Metric, ...]
    kind: str
    head: Callable[..., ThingsHead]
    spaces: tuple[str, ...] = ("detector",)
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
        head = self.head(raw.class_names, most=raw.train.labels.shape[1])
        # A picture has no one class by which splits could keep their shares.
        split = with_all_splits(replace(raw, class_names=()), split_seed=split_seed)
        return prepare(
            split, replace(head, metrics=metrics), reading, task=self.name, split_seed=split_seed,
            nature="boxes",
        )  # fmt: skip

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read raw pictures of the training's size and their boxes; see `Task.labelled`."""
        size = (raw_shape[1], raw_shape[2])
        raw = _read(source, reading.model_copy(update={"input_size": size}), silent)
        return raw.test or raw.train


def _read(source: Path, reading: Reading, progress: Progress) -> RawData:
    with being_read(source, takes=LAYOUT):
        raw = read_box_folder(source, input_size=reading.size, progress=progress)
    height, width = raw.train.inputs.shape[2:]
    if height % CELL_PIXELS or width % CELL_PIXELS:
        even = [
            max(CELL_PIXELS, round(size / CELL_PIXELS) * CELL_PIXELS) for size in (height, width)
        ]
        raise DataError(
            f"{raw.source}: pictures of {height}x{width}; height and width must be divisible by "
            f"{CELL_PIXELS}, give --input-size {even[0]}x{even[1]}"
        )
    return raw


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
