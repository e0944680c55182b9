"""Folders of folders with WAV files, and the lists that name their splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.core.progress import Progress
from hwkd.tasks.base import SplitName
from hwkd.tasks.wav import Clip, is_wav, read_wav

_LISTS: Mapping[SplitName, str] = {
    "validation": "validation_list.txt", "test": "testing_list.txt",
}  # fmt: skip
_RATE_HZ = 16_000.0
_SOUNDS = frozenset({".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif"})


def wav_files(folder: Path) -> list[Path]:
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


def listed_splits(folder: Path, files: Mapping[str, list[Path]]) -> dict[Path, SplitName]:
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


def read_clips(files: Mapping[str, list[Path]], progress: Progress) -> dict[Path, Clip]:
    """Return the samples of every file."""
    paths = [path for each in files.values() for path in each]
    clips = {}
    for done, path in enumerate(paths):
        clips[path] = read_wav(path)
        if done % 500 == 0:
            progress("read recordings", done, len(paths))
    return clips


def common_rate(clips: Mapping[Path, Clip], asked_hz: float | None) -> float:
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
