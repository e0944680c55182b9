"""Reads `trials.jsonl`, the records of a search line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.errors import RunFolderError
from hwkd.core.trial import TrialRecord, read_trial_line, read_trial_summary


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsFile:
    """The records of a search, in short; any of them in full on request.

    Attributes:
        records: by number, without tables per operator and epoch (`read_trial_summary`).
        warning: a line about a last record that was cut, or None.
        places: number -> (byte at which its line begins, line number).
    """

    path: Path
    records: tuple[TrialRecord, ...]
    warning: str | None
    places: dict[int, tuple[int, int]]

    def whole(self, number: int) -> TrialRecord:
        """Return a record of the file with its tables.

        Raises:
            RunFolderError: if the file changed meanwhile.
        """
        start, line = self.places[number]
        where = f"{self.path}, line {line}"
        try:
            with self.path.open("rb") as handle:
                handle.seek(start)
                return read_trial_line(handle.readline(), where=where)
        except OSError as error:
            raise RunFolderError(f"{where}: cannot read it: {error.strerror}") from None


def read_trials(path: Path) -> TrialsFile:
    """Read `trials.jsonl`.

    Returns:
        The trials. A missing file is a search that has not finished a trial.

    Raises:
        RunFolderError: if the file cannot be read, or a whole line is not a record, or two lines
            have the same trial number.
    """
    records: dict[int, TrialRecord] = {}
    places: dict[int, tuple[int, int]] = {}
    warning = None
    for number, (start, line) in enumerate(_lines(path), start=1):
        where = f"{path}, line {number}"
        # A whole record ends in a newline, so what follows the last one was cut.
        is_whole = line.endswith(b"\n")
        if not is_whole and not line.strip():
            continue
        try:
            record = read_trial_summary(line, where=where)
        except RunFolderError:
            if is_whole:
                raise
            warning = f"{where}: the last record was cut when the search was killed; it is left out"
            continue
        if record.number in records:
            raise RunFolderError(
                f"{where}: trial {record.number} is there twice; delete one of the two lines"
            )
        records[record.number] = record
        places[record.number] = (start, number)
    ordered = tuple(records[number] for number in sorted(records))
    return TrialsFile(path=path, records=ordered, warning=warning, places=places)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield every line and where it begins, one at a time: a file may hold a gigabyte."""
    start = 0
    try:
        with path.open("rb") as handle:
            for line in handle:
                yield start, line
                start += len(line)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"{path}: cannot read it: {error.strerror}") from None
