"""A wake word: clips with it and without, and long recordings in which it is never said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import TASKS
from hwkd.core.errors import ConfigError, DataError
from hwkd.core.listening import usual_stride
from hwkd.core.metric import Metric
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.signals.features import features_named
from hwkd.signals.steps.frames import Frames
from hwkd.tasks.base import SPLITS, SplitName, Task, TaskData
from hwkd.tasks.checked_task import Asked, FileTask
from hwkd.tasks.checks import checked_raw
from hwkd.tasks.classes_head import WAKE_METRICS, head_of_classes
from hwkd.tasks.hearing import FALSE_ACCEPTS_PER_HOUR, Hearing
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.sound_folder import (
    SPLIT_LISTS,
    clips_of_folders,
    common_rate,
    listed_splits,
    read_clips,
)
from hwkd.tasks.sources import reading as opened
from hwkd.tasks.wav import at_rate, of_length

_NEGATIVE, _RECORDINGS = "negative", "recordings"
_FORMATS = (
    "a folder with WAV files in a folder of the wake word's name, in negative (clips without it) "
    "and in recordings (long ones without it), and as you have them validation_list.txt and "
    "testing_list.txt"
)
_FEATURES, _WINDOW_S, _HOUR_S = "log-mel", 1.0, 3600.0
# Of clips, and of the time of every recording, where no list says it.
_CLIP_SHARES: tuple[tuple[SplitName, float], ...] = (
    ("train", 0.6), ("validation", 0.2), ("test", 0.2),
)  # fmt: skip
_TIME_SHARES: tuple[tuple[SplitName, float], ...] = (
    ("train", 0.2), ("validation", 0.4), ("test", 0.4),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class WakeWordTask(FileTask):
    """One word or none; judged by what is missed at so many false accepts in an hour."""

    name: str = "wake-word"
    summary: str = "hear one word in continuous audio: a folder of clips and long recordings, WAV"
    metrics: tuple[Metric, ...] = WAKE_METRICS
    kind: str = "classes"
    spaces: tuple[str, ...] = ("temporal", "narrow_deep", "depthwise", "plain")
    weight_budget_bytes: int | None = 20_000

    known = frozenset(
        {
            "metric", "class_weights", "features", "rate_hz", "window_s", "stride_s",
            "max_false_accepts_per_hour",
        }
    )  # fmt: skip
    takes = _FORMATS

    def of_file(self, source: Path, asked: Asked) -> TaskData:
        """Read, resample, split, cut into windows and compute features; see `Task.data`."""
        reading = asked.reading
        sounds = _read(source, reading, asked.split_seed, asked.progress)
        most_per_hour = reading.max_false_accepts_per_hour or FALSE_ACCEPTS_PER_HOUR
        _require_long_enough(sounds, most_per_hour)
        raw = checked_raw(_cut(sounds))
        hears = Hearing(
            heard=1,
            stride=sounds.stride,
            rate_hz=sounds.rate_hz,
            apart=-(-sounds.window // sounds.stride),
            most_per_hour=most_per_hour,
            name=sounds.word,
        )
        head = replace(head_of_classes(raw, asked.metrics, reading), hears=hears)
        heard = reading.model_copy(update={"features": reading.features or _FEATURES})
        # Voices are not varied: a network by hand then missed .38 of the words on validation and
        # .94 on test, without .17 and .43 (120,000 samples, one seed), taught by an embedding of
        # speech .03 and .38, without .02 and .23: sound-alikes are as near.
        return self.ready(raw, head, heard, asked)

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read windows of the training's length, and the names of their classes."""
        raw = _cut(_read(source, reading, 0, silent, window=raw_shape[1]))
        split = raw.test or raw.train
        labels = np.array(raw.class_names)[split.labels]
        return replace(split, labels=labels, notes=raw.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Sounds of one split, int16, each of shape [samples]."""

    words: list[NDArray[np.int16]] = field(default_factory=list)
    others: list[NDArray[np.int16]] = field(default_factory=list)
    recordings: list[NDArray[np.int16]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sounds:
    """What a folder holds.

    Attributes:
        word: that is listened for.
        window: samples of one inference.
        stride: samples to the next.
        has_lists: files of the folder say which split is whose.
    """

    source: str
    word: str
    rate_hz: float
    window: int
    stride: int
    parts: dict[SplitName, _Part]
    notes: tuple[str, ...]
    has_lists: bool


def _read(
    folder: Path, reading: Reading, seed: int, progress: Progress, *, window: int | None = None
) -> _Sounds:
    """Read every file, resampled, into the split that a list names or chance gives.

    Args:
        window: samples of one inference; None is what was asked for.
    """
    with opened(folder, takes=_FORMATS):
        if not folder.is_dir():
            raise DataError(f"{printable(folder)}: no folder; --data takes {_FORMATS}")
        files, word, left_out = _files(folder)
        lists = listed_splits(folder, files)
        clips = read_clips(files, progress)
    rate_hz = common_rate(clips, reading.sounds_hz)
    window = window or round((reading.window_s or _WINDOW_S) * rate_hz)
    stride = _stride(reading, window, rate_hz)
    random = np.random.default_rng(seed)
    parts: dict[SplitName, _Part] = {name: _Part() for name in SPLITS}
    drawn = {} if lists else _drawn(files[word], random)
    for path in files[word]:
        name = lists.get(path, drawn.get(path, "train"))
        parts[name].words.append(at_rate(clips[path], rate_hz))
    for path in files[_NEGATIVE]:
        name = lists.get(path, "train")
        length = _around(window, stride, name)
        parts[name].others.append(of_length(at_rate(clips[path], rate_hz), length))
    for path in files[_RECORDINGS]:
        samples = at_rate(clips[path], rate_hz)
        if lists:
            parts[lists.get(path, "train")].recordings.append(samples)
            continue
        begin = 0.0
        for name, share in _TIME_SHARES:
            ends = (round(at * len(samples)) for at in (begin, begin + share))
            parts[name].recordings.append(samples[slice(*ends)])
            begin += share
    for name in SPLITS:
        if not parts[name].words:
            raise DataError(
                f"{printable(folder)}: no clip of {printable(word)} is of the {name} split; give "
                "more clips, or name some in validation_list.txt and testing_list.txt"
            )
    how = "as the lists say" if lists else f"clips by chance, recordings by time, seed {seed}"
    notes = (
        *left_out,
        f"windows of {window / rate_hz:.3g} s at {rate_hz:g} Hz, one every {stride / rate_hz:.3g} "
        f"s; splits {how}",
    )
    return _Sounds(
        source=printable(folder), word=printable(word), rate_hz=rate_hz, window=window,
        stride=stride, parts=parts, notes=notes, has_lists=bool(lists),
    )  # fmt: skip


def _files(folder: Path) -> tuple[dict[str, list[Path]], str, tuple[str, ...]]:
    """Return the files of each folder, which of them is the wake word's, and notes."""
    found, notes = clips_of_folders(folder, _FORMATS)
    for name in (_NEGATIVE, _RECORDINGS):
        if name not in found:
            raise DataError(f"{printable(folder)}: no WAV files in {name}; --data takes {_FORMATS}")
    words = [name for name in found if name not in (_NEGATIVE, _RECORDINGS)]
    if len(words) != 1:
        shown = ", ".join(map(printable, words[:4])) or "none"
        raise DataError(
            f"{printable(folder)}: {len(words)} folders of a wake word ({shown}); expected one "
            f"beside {_NEGATIVE} and {_RECORDINGS}, as {printable(folder.name)}/hey_computer"
        )
    return found, words[0], notes


def _stride(reading: Reading, window: int, rate_hz: float) -> int:
    """Return samples from one inference to the next, whole frames of the features."""
    steps = features_named(reading.features or _FEATURES).steps((1, window), rate_hz)
    grid = next((step.stride for step in steps if isinstance(step, Frames)), 1)
    if reading.stride_s is None:
        return usual_stride(window, grid)
    stride = round(reading.stride_s * rate_hz / grid) * grid
    if not 1 <= stride <= window:
        raise ConfigError(
            f"--stride {reading.stride_s:g}s: {stride:,} samples; expected 1 to a window, "
            f"{window:,}"
        )
    return stride


def _drawn(paths: Sequence[Path], random: np.random.Generator) -> dict[Path, SplitName]:
    ends = np.cumsum([share for _, share in _CLIP_SHARES]) * len(paths)
    places = np.searchsorted(np.rint(ends), np.arange(len(paths)), side="right")
    order = random.permutation(len(paths)).tolist()
    return {paths[at]: _CLIP_SHARES[place][0] for at, place in zip(order, places, strict=True)}


def _require_long_enough(sounds: _Sounds, most_per_hour: float) -> None:
    """Refuse recordings in which one false accept would be more than asked for."""
    for name in ("validation", "test"):
        samples = sum(len(each) for each in sounds.parts[name].recordings)
        hours = samples / sounds.rate_hz / _HOUR_S
        if hours == 0 and sounds.has_lists:
            raise DataError(
                f"{sounds.source}: no recording is of the {name} split; name one of {_RECORDINGS} "
                f"in {SPLIT_LISTS[name]}; no file may be in both lists"
            )
        if hours * most_per_hour < 1.0 - 1e-6:
            raise DataError(
                f"{sounds.source}: recordings of the {name} split last {hours:.3g} h; "
                f"--max-false-accepts {most_per_hour:g}/h needs {1.0 / most_per_hour:.3g} h; give "
                "longer ones or allow more"
            )


def _around(window: int, stride: int, split: SplitName) -> int:
    """Return the samples of a clip that windows are cut from."""
    beside = window // stride - 1
    return window + 2 * stride * (min(1, beside) if split == "train" else beside)


def _cut(sounds: _Sounds) -> RawData:
    """Cut everything into windows, those of a whole in their order.

    What is learned from holds clips of the word at their middle and a stride beside it, all else
    every half window; what judges holds them as a stream has them. Around a clip is what it has
    there, silence where it is short.
    """
    window, stride = sounds.window, sounds.stride
    splits = {}
    for name, part in sounds.parts.items():
        length = _around(window, stride, name)
        reach = (length - window) // (2 * stride)
        inputs, labels = [], []
        for sound in part.words:
            around = of_length(sound, length)
            inputs.append(np.lib.stride_tricks.sliding_window_view(around, window)[::stride])
            labels.append((np.abs(np.arange(-reach, reach + 1)) <= 1).astype(np.int64))
        step = max(1, window // stride // 2) * stride if name == "train" else stride
        for sound in (*part.others, *part.recordings):
            if len(sound) >= window:
                inputs.append(np.lib.stride_tricks.sliding_window_view(sound, window)[::step])
                labels.append(np.zeros(len(inputs[-1]), dtype=np.int64))
        wholes = [np.full(len(each), number) for number, each in enumerate(inputs)]
        splits[name] = RawSplit(
            inputs=np.concatenate(inputs)[:, np.newaxis],
            labels=np.concatenate(labels),
            wholes=np.concatenate(wholes),
        )
    return RawData.of(
        sounds.source,
        splits,
        class_names=(_NEGATIVE, sounds.word),
        notes=sounds.notes,
        sample_rate_hz=sounds.rate_hz,
    )


_TASK: Task = TASKS.register("wake-word")(WakeWordTask())
