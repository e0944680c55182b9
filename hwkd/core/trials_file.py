"""Reads `trials.jsonl`, the records of a search line by line."""

from __future__ import annotations

from pathlib import Path

from hwkd.core.errors import RunFolderError
from hwkd.core.trial import TrialRecord, read_trial_line

__all__ = ["read_trials"]


def read_trials(path: Path) -> tuple[tuple[TrialRecord, ...], str | None]:
    """Read `trials.jsonl`.

    Returns:
        The trials by number, and a line about a last record that was cut, or None. A missing file
        is a search that has not finished a trial.

    Raises:
        RunFolderError: if the file cannot be read, or a whole line is not a record, or two lines
            have the same trial number.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return (), None
    except OSError as error:
        raise RunFolderError(f"{path}: cannot read it: {error.strerror}") from None
    lines = content.split(b"\n")
    # A whole record ends in a newline, so what follows the last one is empty or was cut.
    tail = lines.pop()
    records: dict[int, TrialRecord] = {}
    for number, line in enumerate(lines, start=1):
        _add(records, line, f"{path}, line {number}")
    warning = None
    if tail.strip():
        where = f"{path}, line {len(lines) + 1}"
        try:
            _add(records, tail, where)
        except RunFolderError:
            warning = f"{where}: the last record was cut when the search was killed; it is left out"
    return tuple(records[number] for number in sorted(records)), warning


def _add(records: dict[int, TrialRecord], line: bytes, where: str) -> None:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise RunFolderError(
            f"{where}: not a trial record: not UTF-8 text; the file was damaged"
        ) from None
    record = read_trial_line(text, where=where)
    if record.number in records:
        raise RunFolderError(
            f"{where}: trial {record.number} is there twice; delete one of the two lines"
        )
    records[record.number] = record
