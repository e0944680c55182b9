"""Reads the records that a report is made of: of a run folder, or of a distilled student's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwkd.core.errors import RunFolderError
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.io.run_files import RUN_FILE, TRIALS_FILE, read_run_record
from hwkd.io.student_folder import DESCRIPTION_FILE, read_student
from hwkd.io.trials_file import read_trials
from hwkd.report.analysis import best_record

__all__ = ["read_run"]


def read_run(
    folder: Path, *, on_warning: Callable[[str], None] | None = None
) -> tuple[RunRecord, tuple[TrialRecord, ...]]:
    """Read `run.json` and `trials.jsonl`, or `student.json` of a student that was distilled.

    Trials come in short (`read_trial_summary`), the best one whole: a page shows no more.

    Args:
        folder: that `hwkd search --out` or `hwkd distill --out` wrote.
        on_warning: told about a last line that was cut, which is what `kill -9` leaves; the
            same line is added to the caveats of the run.

    Raises:
        RunFolderError: if the folder is no run folder, or a line other than the last is corrupt.
    """
    if not (folder / RUN_FILE).is_file() and (folder / DESCRIPTION_FILE).is_file():
        return _distilled(folder)
    run = read_run_record(folder / RUN_FILE)
    trials = read_trials(folder / TRIALS_FILE)
    warning = trials.warning
    if warning is not None:
        run = run.model_copy(update={"caveats": (*run.caveats, warning)})
        if on_warning is not None:
            on_warning(warning)
    best = best_record(run, trials.records)
    if best is None:
        return run, trials.records
    whole = trials.whole(best.number)
    return run, tuple(whole if r.number == best.number else r for r in trials.records)


def _distilled(folder: Path) -> tuple[RunRecord, tuple[TrialRecord, ...]]:
    record = read_student(folder).record
    if record.run is None or record.trial is None or record.run.made_by != "distill":
        raise RunFolderError(
            f"{folder}: is an exported student, whose report is that of its run; give the folder "
            "that `hwkd search --out` or `hwkd distill --out` wrote"
        )
    return record.run, (record.trial,)
