"""Reads the two files of a run folder that a report is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwkd.core.run_files import RUN_FILE, TRIALS_FILE, RunRecord, read_run_record
from hwkd.core.trial import TrialRecord
from hwkd.core.trials_file import read_trials

__all__ = ["read_run"]


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
