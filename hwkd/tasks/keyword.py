"""Keyword spotting: a folder of word folders with WAV files, as Speech Commands has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import TASKS
from hwkd.core.errors import DataError
from hwkd.core.metric import Metric
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import SplitName, Task, TaskData
from hwkd.tasks.checked_task import Asked, FileTask
from hwkd.tasks.checks import checked_raw
from hwkd.tasks.classes_head import CLASS_METRICS, head_of_classes
from hwkd.tasks.hearing import FALSE_ALARMS_RATIO, Refusing
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.sound_folder import (
    clips_of_folders,
    common_rate,
    listed_splits,
    read_clips,
    wav_files,
)
from hwkd.tasks.sources import reading as opened
from hwkd.tasks.splits import with_all_splits
from hwkd.tasks.wav import OF_LENGTH, at_rate, of_length, read_wav

_FORMATS = (
    "a folder of word folders with WAV files, and as you have them _background_noise_, "
    "validation_list.txt and testing_list.txt"
)
_NOISE, _UNKNOWN, _SILENCE = "_background_noise_", "unknown", "silence"
_CLIP_S = 1.0
# Silence and unknown words are as many as a word has on average.
_NOISE_PARTS: tuple[tuple[SplitName, float, float], ...] = (
    ("train", 0.0, 0.6), ("validation", 0.6, 0.8), ("test", 0.8, 1.0),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class KeywordTask(FileTask):
    """One word per clip; unknown words and silence are classes where words are chosen."""

    name: str = "keyword"
    summary: str = "tell spoken words apart: a folder of word folders with WAV files"
    metrics: tuple[Metric, ...] = CLASS_METRICS
    kind: str = "classes"
    spaces: tuple[str, ...] = ("temporal", "narrow_deep", "depthwise", "plain")
    weight_budget_bytes: int | None = 50_000

    known = frozenset({
        "metric", "class_weights", "features", "rate_hz", "window_s", "words", "false_alarms_ratio",
    })  # fmt: skip
    takes = _FORMATS

    def of_file(self, source: Path, asked: Asked) -> TaskData:
        """Read, resample, split and compute features; see `Task.data`."""
        reading = asked.reading
        raw = checked_raw(_read(source, reading, asked.split_seed, asked.progress))
        raw = with_all_splits(raw, split_seed=asked.split_seed)
        quiet = [at for at, name in enumerate(raw.class_names) if name in (_UNKNOWN, _SILENCE)]
        head = head_of_classes(raw, asked.metrics, reading)
        if quiet and reading.words:
            ratio = reading.false_alarms_ratio or FALSE_ALARMS_RATIO
            head = replace(head, hears=Refusing(quiet=tuple(quiet), most_ratio=ratio))
        heard = reading.model_copy(update={"features": reading.features or "log-mel"})
        return self.ready(raw, head, heard, asked, nature="speech")

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read clips of the training's length, and the names of their words."""
        if len(raw_shape) != 2 or raw_shape[0] != 1:
            given = " x ".join(map(str, raw_shape))
            raise DataError(
                f"the network takes {given} values, no sound (1 x samples); give a run, or a file "
                "that hwkd exported"
            )
        raw = _read(source, reading, 0, silent, length=raw_shape[1])
        split = raw.test or raw.train
        labels = np.array(raw.class_names)[split.labels]
        return replace(split, labels=labels, notes=raw.notes)


def _read(
    folder: Path, reading: Reading, seed: int, progress: Progress, *, length: int | None = None
) -> RawData:
    """Read every clip, as int16 of one rate and length, with the splits that lists name.

    Args:
        length: samples of a clip; None is what was asked for.
    """
    with opened(folder, takes=_FORMATS):
        if not folder.is_dir():
            raise DataError(f"{printable(folder)}: no folder; --data takes {_FORMATS}")
        files, left_out = _files(folder)
        words = _words(folder, files, reading.words)
        lists = listed_splits(folder, files)
        clips = read_clips(files, progress)
        noise = [read_wav(path) for path in wav_files(folder / _NOISE)]
    rate_hz = common_rate(clips, reading.sounds_hz)
    length = length or round((reading.window_s or _CLIP_S) * rate_hz)
    has_others = len(words) < len(files)
    names = (*words, _UNKNOWN) if has_others and _UNKNOWN not in words else words
    examples: dict[SplitName, list[tuple[NDArray[np.int16], int]]] = {}
    random = np.random.default_rng(seed)
    for word, paths in files.items():
        label = names.index(word) if word in words else names.index(_UNKNOWN)
        for path in paths:
            samples = of_length(at_rate(clips[path], rate_hz), length)
            examples.setdefault(lists.get(path, "train"), []).append((samples, label))
    notes = [*left_out, f"clips of {length / rate_hz:.3g} s at {rate_hz:g} Hz, int16: {OF_LENGTH}"]
    if has_others:
        notes.append(_thin_out(examples, names.index(_UNKNOWN), len(words), random))
    if noise and reading.words:
        names = names if _SILENCE in names else (*names, _SILENCE)
        label, sounds = names.index(_SILENCE), [at_rate(each, rate_hz) for each in noise]
        notes.append(_add_silence(examples, sounds, label, length, random))
    parts = {name: _split(found) for name, found in examples.items()}
    return RawData.of(
        printable(folder), parts, class_names=names, notes=notes, sample_rate_hz=rate_hz
    )


def _split(found: Sequence[tuple[NDArray[np.int16], int]]) -> RawSplit:
    return RawSplit(
        inputs=np.stack([samples for samples, _ in found])[:, np.newaxis],
        labels=np.array([label for _, label in found], dtype=np.int64),
    )


def _files(folder: Path) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    """Return the files of every word, and notes."""
    found, notes = clips_of_folders(folder, _FORMATS)
    if len(found) < 2:
        raise DataError(
            f"{printable(folder)}: {len(found)} folders with WAV files; expected one for each "
            f"word, as {printable(folder.name)}/yes/1.wav"
        )
    return found, notes


def _words(
    folder: Path, files: Mapping[str, list[Path]], asked: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the words to learn; the others become "unknown"."""
    for word in asked:
        if word not in files:
            known = ", ".join(map(printable, list(files)[:8]))
            raise DataError(
                f"{printable(folder)}: --words {word}: no folder of that word with WAV files; it "
                f"has {known}"
            )
    return tuple(dict.fromkeys(asked)) or tuple(files)


def _thin_out(
    examples: dict[SplitName, list[tuple[NDArray[np.int16], int]]],
    unknown: int,
    words: int,
    random: np.random.Generator,
) -> str:
    """Keep as many unknown words as a word has clips on average; return a note."""
    kept = left_out = 0
    for name, found in examples.items():
        others = [each for each in found if each[1] != unknown]
        strange = [each for each in found if each[1] == unknown]
        most = max(1, round(len(others) / words))
        chosen = random.permutation(len(strange))[:most]
        kept += len(chosen)
        left_out += len(strange) - len(chosen)
        examples[name] = others + [strange[at] for at in sorted(chosen.tolist())]
    said = f"{kept:,} clips of words not listed are the class {_UNKNOWN!r}"
    if not left_out:
        return said
    return f"{said}, as many as a word has on average; the other {left_out:,} are left out"


def _add_silence(
    examples: dict[SplitName, list[tuple[NDArray[np.int16], int]]],
    noise: Sequence[NDArray[np.int16]],
    label: int,
    length: int,
    random: np.random.Generator,
) -> str:
    """Add stretches of noise, of other parts of each recording for each split; return a note."""
    others = 1 + max(each[1] for found in examples.values() for each in found)
    added = 0
    for name, begin, end in _NOISE_PARTS:
        if name not in examples:
            continue
        for _ in range(max(1, round(len(examples[name]) / others))):
            one = noise[int(random.integers(len(noise)))]
            part = one[int(begin * len(one)) : int(end * len(one))]
            start = random.integers(max(1, len(part) - length + 1))
            stretch = of_length(part[start : start + length], length)
            quieter = np.rint(stretch * random.uniform(0, 1)).astype(np.int16)
            examples[name].append((quieter, label))
            added += 1
    return f"{added:,} stretches of {_NOISE} are the class {_SILENCE!r}"


_TASK: Task = TASKS.register("keyword")(KeywordTask())
