"""Sounds of machines: a folder of WAV files for each state of the machine, cut into windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import Reading
from hwkd.tasks.base import SplitName
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.sound_folder import clips_of_folders, common_rate, listed_splits, read_clips
from hwkd.tasks.wav import at_rate

SOUND_FORMATS = (
    "a folder of folders with WAV files, one of them called normal, and as you have them "
    "validation_list.txt and testing_list.txt"
)
# Eight frames: long enough for the rhythm of a motor, small enough to be repeated by 10 kB.
SOUND_FEATURES = "log-mel:bins=20,window=64ms,stride=32ms"
_WINDOW_S = 0.288


def read_machine_sounds(
    folder: Path, reading: Reading, *, progress: Progress = silent, window: int | None = None
) -> RawData:
    """Return windows of every clip; a label is the name of the clip's folder.

    Args:
        window: samples of an example; None is what the user asks for.

    Raises:
        DataError: if there are fewer than two folders with WAV files, or a clip is too short.
    """
    files, left_out = clips_of_folders(folder, SOUND_FORMATS)
    if len(files) < 2:
        raise DataError(
            f"{printable(folder)}: {len(files)} folders with WAV files; expected {SOUND_FORMATS}, "
            f"as {printable(folder.name)}/normal/1.wav and {printable(folder.name)}/abnormal/1.wav"
        )
    lists = listed_splits(folder, files)
    clips = read_clips(files, progress)
    rate_hz = common_rate(clips, reading.sounds_hz)
    window = window or max(1, round((reading.window_s or _WINDOW_S) * rate_hz))
    stride = max(1, round(reading.stride_s * rate_hz)) if reading.stride_s else max(1, window // 2)
    parts: dict[SplitName, list[RawSplit]] = {}
    for number, (name, path) in enumerate(
        (n, path) for n, paths in files.items() for path in paths
    ):
        samples = at_rate(clips[path], rate_hz)
        if len(samples) < window:
            raise DataError(
                f"{printable(path)}: {len(samples) / rate_hz:.3g} s, shorter than a window of "
                f"{window / rate_hz:.3g} s; drop it or say a shorter --window"
            )
        cut = np.lib.stride_tricks.sliding_window_view(samples, window)[::stride]
        parts.setdefault(lists.get(path, "train"), []).append(
            RawSplit(
                inputs=cut[:, np.newaxis],
                labels=np.full(len(cut), printable(name)),
                wholes=np.full(len(cut), number),
            )
        )
    splits = {name: _joined(found) for name, found in parts.items()}
    if "train" not in splits:
        raise DataError(f"{printable(folder)}: the lists leave no clip to learn from; shorten them")
    return RawData.of(
        printable(folder),
        splits,
        notes=(
            *left_out,
            f"windows of {window / rate_hz:.3g} s at {rate_hz:g} Hz, one every "
            f"{stride / rate_hz:.3g} s; no clip is in two splits",
        ),
        sample_rate_hz=rate_hz,
    )


def _joined(parts: list[RawSplit]) -> RawSplit:
    wholes = [part.wholes for part in parts if part.wholes is not None]
    return RawSplit(
        inputs=np.concatenate([part.inputs for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        wholes=np.concatenate(wholes),
    )
