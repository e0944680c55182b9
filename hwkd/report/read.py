"""Reads the two files of a run folder that a report is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwkd.core.errors import RunFolderError
from hwkd.core.run_files import RUN_FILE, TRIALS_FILE, RunRecord, read_run_record
from hwkd.core.trial import TrialRecord, read_trial_line

__all__ = ["read_run", "read_trials"]


def read_run(
    folder: Path, *, on_warning: Callable[[str], None] | None = None
) -> tuple[RunRecord, tuple[TrialRecord, ...]]:
    """Read `run.json` and `trials.jsonl`.

    Args:
        folder: that `hwkd search --out` wrote.
        on_warning: told about a last line that was cut, which is what `kill -9` leaves; the
            same line is added to the caveats of the run.

    Raises:
        RunFolderError: if the folder is no run folder, or a line other than the last is corrupt.
    """
    run = read_run_record(folder / RUN_FILE)
    records, warning = read_trials(folder / TRIALS_FILE)
    if warning is not None:
        run = run.model_copy(update={"caveats": (*run.caveats, warning)})
        if on_warning is not None:
            on_warning(warning)
    return run, records


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
