"""Gestures and other motion: windows of recordings, judged one by one and by recording."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwkd.core.catalog import TASKS
from hwkd.core.errors import DataError
from hwkd.core.metric import Metric
from hwkd.core.nature import AXES
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import Task, TaskData
from hwkd.tasks.checked_task import Asked, FileTask
from hwkd.tasks.checks import checked_raw
from hwkd.tasks.classes_head import VOTED_METRICS, head_of_classes
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.recordings import RECORDING_FORMATS, group_of, is_other_rate, read_recordings
from hwkd.tasks.windows import cut_windows, split_windows

WINDOW_S = 2.0
# Movements end well below 12 Hz. Of people never seen, a network of samples of which each use is
# another copy named .909 of the windows of 8 s of the watch data and .936 of the recordings, one of
# three copies made before .900 and .936, one of statistics of short windows with such copies .897
# and .929 (five pairs of people left out, equal samples or more; another seed differs by .02).
_ENOUGH_HZ, _MOST_DECIMATED = 25.0, 16


@dataclass(frozen=True, kw_only=True)
class GestureTask(FileTask):
    """One label per window; a recording is what its windows together find likeliest."""

    name: str = "gesture"
    summary: str = "tell motions apart in recordings of sensors: CSV or NPZ, cut into windows"
    metrics: tuple[Metric, ...] = VOTED_METRICS
    kind: str = "classes"
    spaces: tuple[str, ...] = ("temporal", "narrow_deep", "depthwise", "plain")
    weight_budget_bytes: int | None = 30_000

    known = frozenset(
        {"metric", "class_weights", "label", "split", "rate_hz", "window_s", "stride_s", "features"}
    )
    takes = RECORDING_FORMATS

    def of_file(self, source: Path, asked: Asked) -> TaskData:
        """Read, cut, split and standardise; see `Task.data`."""
        reading = asked.reading
        group_of(reading)  # refuses a split before a long file is read
        found = read_recordings(source, reading)
        window_s = reading.window_s or WINDOW_S
        stride_s = reading.stride_s or window_s / 2
        windows, names, notes = cut_windows(found, window_s=window_s, stride_s=stride_s)
        raw = split_windows(windows, found, names, split=reading.split, seed=asked.split_seed)
        raw = checked_raw(replace(raw, notes=(*raw.notes, *notes)))
        head = head_of_classes(raw, asked.metrics, reading)
        if reading.features is None:
            reading = reading.model_copy(update={"features": _features(raw)})
        data = self.ready(raw, head, reading, asked, nature="motion")
        return replace(data, answer_every_s=stride_s)

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read windows of the training's length, and the names of their classes."""
        # Windows are of so many samples, whatever their rate where nothing says it.
        found = read_recordings(source, reading, unsaid_hz=reading.trained_rate_hz or 1.0)
        trained_hz = reading.trained_rate_hz or found.rate_hz
        if is_other_rate(found.rate_hz, trained_hz):
            raise DataError(
                f"{found.source}: {found.rate_hz:g} Hz; expected {trained_hz:g} Hz, the rate of "
                "the training data: bring the recordings to it"
            )
        window_s = raw_shape[1] / found.rate_hz
        windows, names, notes = cut_windows(found, window_s=window_s, stride_s=window_s / 2)
        return RawSplit(
            inputs=windows.values,
            labels=np.array(names)[windows.labels],
            wholes=windows.recordings,
            notes=(*found.notes, *notes),
        )


def _features(raw: RawData) -> str | None:
    """Return samples at about 25 Hz where sensors of three axes give more, in whole numbers."""
    factor = min(_MOST_DECIMATED, int((raw.sample_rate_hz or 0.0) / _ENOUGH_HZ))
    inputs = raw.train.inputs
    if inputs.dtype != np.int16 or inputs.shape[1] % AXES or factor < 2:
        return None
    return f"imu:statistics=no,magnitude=no,decimate={factor}"


_TASK: Task = TASKS.register("gesture")(GestureTask())
