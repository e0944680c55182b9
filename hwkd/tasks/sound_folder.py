"""Folders of folders with WAV files, and the lists that name their splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.core.progress import Progress
from hwkd.tasks.base import SplitName
from hwkd.tasks.folder_tree import first_names
from hwkd.tasks.split_names import split_meaning
from hwkd.tasks.wav import Clip, is_wav, read_wav

SPLIT_LISTS: Mapping[SplitName, str] = {
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
        DataError: names list and row of a file that is not there, or that another list has.
    """
    known = {f"{word}/{path.name}": path for word, paths in files.items() for path in paths}
    found: dict[Path, SplitName] = {}
    for name, list_name in SPLIT_LISTS.items():
        path = folder / list_name
        if not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        for row, line in enumerate(lines, 1):
            listed = line.strip().replace("\\", "/")
            if not listed or listed.startswith(("_", ".")):
                continue
            where = f"{printable(path)}: row {row}: {printable(listed)}"
            if listed not in known:
                raise DataError(f"{where} is not there; correct the list")
            if found.get(known[listed], name) != name:
                raise DataError(f"{where} is in {SPLIT_LISTS[found[known[listed]]]}, too; drop one")
            found[known[listed]] = name
    return found


def clips_of_folders(folder: Path, formats: str) -> tuple[dict[str, list[Path]], tuple[str, ...]]:
    """Return the WAV files of each folder in it, and notes on those that lie elsewhere.

    Args:
        formats: that are taken, for the message.

    Raises:
        DataError: if folders are called as splits are, or hold sounds of another format.
    """
    folders = [
        path for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith((".", "_"))
    ]  # fmt: skip
    splits = [path.name for path in folders if (m := split_meaning(path.name)) and m.is_plain]
    if len(splits) > 1 or (splits and len(splits) == len(folders)):  # one may be a word
        raise DataError(
            f"{printable(folder)}: {first_names(splits)} are called as splits are, not as sounds; "
            f"--data takes {formats}"
        )
    found = {path.name: files for path in folders if (files := wav_files(path))}
    read = {path for files in found.values() for path in files}
    left = [
        path for path in sorted(folder.rglob("*"))
        if path.suffix.lower() == ".wav" and path not in read
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]  # fmt: skip
    if not left:
        return found, ()
    shown = printable(left[0].relative_to(folder))
    return found, (f"left out: {len(left):,} WAV files that lie elsewhere, as {shown}",)


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
