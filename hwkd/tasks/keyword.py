"""Keyword spotting: a folder of word folders with WAV files, as Speech Commands has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import TASKS
from hwkd.core.errors import ConfigError, DataError
from hwkd.core.metric import Metric, led_by
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import SplitName, Task, TaskData
from hwkd.tasks.checks import checked_raw
from hwkd.tasks.classes_head import CLASS_METRICS, head_of_classes
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.sources import reading as opened
from hwkd.tasks.splits import with_all_splits
from hwkd.tasks.wav import Clip, at_rate, is_wav, of_length, read_wav

_FORMATS = (
    "a folder of word folders with WAV files, and as you have them _background_noise_, "
    "validation_list.txt and testing_list.txt"
)
_KNOWN = frozenset({"metric", "class_weights", "features", "rate_hz", "window_s", "words"})
_NOISE, _UNKNOWN, _SILENCE = "_background_noise_", "unknown", "silence"
_LISTS: Mapping[SplitName, str] = {
    "validation": "validation_list.txt", "test": "testing_list.txt",
}  # fmt: skip
_RATE_HZ, _CLIP_S = 16_000.0, 1.0
_SOUNDS = frozenset({".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif"})
# Silence and unknown words are as many as a word has on average.
_NOISE_PARTS: tuple[tuple[SplitName, float, float], ...] = (
    ("train", 0.0, 0.6), ("validation", 0.6, 0.8), ("test", 0.8, 1.0),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class KeywordTask:
    """One word per clip; unknown words and silence are classes where words are chosen."""

    name: str = "keyword"
    summary: str = "tell spoken words apart: a folder of word folders with WAV files"
    metrics: tuple[Metric, ...] = CLASS_METRICS
    kind: str = "classes"
    spaces: tuple[str, ...] = ("temporal", "narrow_deep", "depthwise", "plain")
    weight_budget_bytes: int | None = 50_000

    def data(
        self,
        source: Path | None,
        reading: Reading = AS_USUAL,
        *,
        split_seed: int = 0,
        progress: Progress = silent,
    ) -> TaskData:
        """Read, resample, split and compute features; see `Task.data`."""
        reading.require_known(_KNOWN, task=self.name)
        metrics = led_by(self.metrics, reading.metric, task=self.name)
        if source is None:
            raise ConfigError(f"--task keyword needs --data: {_FORMATS}")
        raw = checked_raw(_read(source, reading, split_seed, progress))
        raw = with_all_splits(raw, split_seed=split_seed)
        head = head_of_classes(raw, metrics, reading)
        heard = reading.model_copy(update={"features": reading.features or "log-mel"})
        return prepare(raw, head, heard, task=self.name, split_seed=split_seed)

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Read clips of the training's length, and the names of their words."""
        raw = _read(source, reading, 0, silent)
        split = raw.test or raw.train
        inputs = split.inputs
        if inputs.shape[1:] != raw_shape:
            raise DataError(
                f"{raw.source}: clips have {inputs.shape[2]:,} samples, those of the training "
                f"{raw_shape[1]:,}; say --rate and --window as then"
            )
        return inputs, np.array(raw.class_names)[split.labels]


def _read(folder: Path, reading: Reading, seed: int, progress: Progress) -> RawData:
    """Read every clip, as int16 of one rate and length, with the splits that lists name."""
    with opened(folder, takes=_FORMATS):
        if not folder.is_dir():
            raise DataError(f"{printable(folder)}: no folder; --data takes {_FORMATS}")
        files = _files(folder)
        words = _words(folder, files, reading.words)
        lists = _lists(folder, files)
        clips = _clips(files, progress)
        noise = [read_wav(path) for path in _wavs(folder / _NOISE)]
    rate_hz = _rate(clips, reading.rate_hz)
    length = round((reading.window_s or _CLIP_S) * rate_hz)
    names = (*words, *((_UNKNOWN,) if len(words) < len(files) else ()))
    examples: dict[SplitName, list[tuple[NDArray[np.int16], int]]] = {}
    random = np.random.default_rng(seed)
    for word, paths in files.items():
        label = names.index(word) if word in words else names.index(_UNKNOWN)
        for path in paths:
            samples = of_length(at_rate(clips[path], rate_hz), length)
            examples.setdefault(lists.get(path, "train"), []).append((samples, label))
    notes = [f"clips of {length / rate_hz:.3g} s at {rate_hz:g} Hz"]
    if _UNKNOWN in names[len(words) :]:
        notes.append(_thin_out(examples, names.index(_UNKNOWN), len(words), random))
    if noise and reading.words:
        names = (*names, _SILENCE)
        notes.append(_add_silence(examples, [at_rate(n, rate_hz) for n in noise], length, random))
    parts = {name: _split(found) for name, found in examples.items()}
    return RawData(
        source=printable(folder),
        class_names=names,
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        notes=tuple(notes),
        sample_rate_hz=rate_hz,
    )


def _split(found: Sequence[tuple[NDArray[np.int16], int]]) -> RawSplit:
    return RawSplit(
        inputs=np.stack([samples for samples, _ in found])[:, np.newaxis],
        labels=np.array([label for _, label in found], dtype=np.int64),
    )


def _wavs(folder: Path) -> list[Path]:
    """Return the WAV files of a folder, sorted.

    Raises:
        DataError: if it holds sounds of another format.
    """
    if not folder.is_dir():
        return []
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in entries:
        if path.suffix.lower() in _SOUNDS:
            raise DataError(f"{printable(path)}: is {path.suffix}; convert it to WAV")
        if path.suffix.lower() != ".wav" and path.is_file() and is_wav(path):
            raise DataError(
                f"{printable(path)}: is a WAV file by its content; call it "
                f"{printable(path.stem)}.wav"
            )
    return [path for path in entries if path.suffix.lower() == ".wav"]


def _files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of every word."""
    words = [
        path for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith((".", "_"))
    ]  # fmt: skip
    found = {path.name: files for path in words if (files := _wavs(path))}
    if len(found) < 2:
        raise DataError(
            f"{printable(folder)}: {len(found)} folders with WAV files; expected one for each "
            f"word, as {printable(folder.name)}/yes/1.wav"
        )
    return found


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
    return asked or tuple(files)


def _lists(folder: Path, files: Mapping[str, list[Path]]) -> dict[Path, SplitName]:
    """Return the split of each file that a list names.

    Raises:
        DataError: names list and row of a file that is not there.
    """
    known = {f"{word}/{path.name}": path for word, paths in files.items() for path in paths}
    found: dict[Path, SplitName] = {}
    for name, list_name in _LISTS.items():
        path = folder / list_name
        if not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        for row, line in enumerate(lines, 1):
            if line.strip() and not line.startswith(("_", ".")):
                if line.strip() not in known:
                    raise DataError(
                        f"{printable(path)}: row {row}: {printable(line.strip())} is not there; "
                        "correct the list"
                    )
                found[known[line.strip()]] = name
    return found


def _clips(files: Mapping[str, list[Path]], progress: Progress) -> dict[Path, Clip]:
    paths = [path for each in files.values() for path in each]
    clips = {}
    for done, path in enumerate(paths):
        clips[path] = read_wav(path)
        if done % 500 == 0:
            progress("read recordings", done, len(paths))
    return clips


def _rate(clips: Mapping[Path, Clip], asked_hz: float | None) -> float:
    """Return the rate of all clips; one above 16 kHz comes down to it.

    Raises:
        DataError: if there are several and none was asked for.
    """
    if asked_hz is not None:
        return asked_hz
    rates: dict[int, Path] = {}
    for path, clip in clips.items():
        rates.setdefault(clip.rate_hz, path)
    if len(rates) > 1:
        (first_hz, first), (second_hz, second), *_ = rates.items()
        raise DataError(
            f"{printable(first)}: {first_hz} Hz, but {printable(second)} has {second_hz} Hz; say "
            "the rate that all are brought to, as --rate 16kHz"
        )
    return min(float(next(iter(rates))), _RATE_HZ)


def _thin_out(
    examples: dict[SplitName, list[tuple[NDArray[np.int16], int]]],
    unknown: int,
    words: int,
    random: np.random.Generator,
) -> str:
    """Keep as many unknown words as a word has clips on average; return a note."""
    kept = 0
    for name, found in examples.items():
        others = [each for each in found if each[1] != unknown]
        strange = [each for each in found if each[1] == unknown]
        most = max(1, round(len(others) / words))
        chosen = random.permutation(len(strange))[:most]
        kept += len(chosen)
        examples[name] = others + [strange[at] for at in sorted(chosen.tolist())]
    return f"{kept:,} clips of words not listed are the class {_UNKNOWN!r}"


def _add_silence(
    examples: dict[SplitName, list[tuple[NDArray[np.int16], int]]],
    noise: Sequence[NDArray[np.int16]],
    length: int,
    random: np.random.Generator,
) -> str:
    """Add stretches of noise, of other parts of each recording for each split; return a note."""
    label = 1 + max(each[1] for found in examples.values() for each in found)
    added = 0
    for name, begin, end in _NOISE_PARTS:
        if name not in examples:
            continue
        for _ in range(max(1, round(len(examples[name]) / label))):
            one = noise[int(random.integers(len(noise)))]
            part = one[int(begin * len(one)) : int(end * len(one))]
            start = random.integers(max(1, len(part) - length + 1))
            stretch = of_length(part[start : start + length], length)
            quieter = np.rint(stretch * random.uniform(0, 1)).astype(np.int16)
            examples[name].append((quieter, label))
            added += 1
    return f"{added:,} stretches of {_NOISE} are the class {_SILENCE!r}"


_TASK: Task = TASKS.register("keyword")(KeywordTask())
