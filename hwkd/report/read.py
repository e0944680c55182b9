"""Reads the records that a report is made of: of a run folder, or of a student's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwkd.core.errors import HwkdError, RunFolderError
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.io.run_files import RUN_FILE, TRIALS_FILE, read_run_record
from hwkd.io.student_folder import (
    DESCRIPTION_FILE,
    holds_student,
    read_student,
    student_folder_of,
)
from hwkd.io.trials_file import read_trials
from hwkd.report.analysis import best_record
from hwkd.report.build import build_report
from hwkd.report.document import Report


def read_run(
    folder: Path, *, on_warning: Callable[[str], None] | None = None
) -> tuple[RunRecord, tuple[TrialRecord, ...]]:
    """Read `run.json` and `trials.jsonl`, or `student.json` of a finished student.

    Trials come in short (`read_trial_summary`), the best one whole: a page shows no more.

    Args:
        folder: that `hwkd search --out` wrote, or of a finished student.
        on_warning: told about a last line that was cut, which is what `kill -9` leaves; the
            same line is added to the caveats of the run.

    Raises:
        RunFolderError: if the folder is no run folder, or a line other than the last is corrupt.
    """
    if holds_student(folder):
        return _student(folder)
    run = read_run_record(folder / RUN_FILE)
    trials = read_trials(folder / TRIALS_FILE)
    warning = trials.warning
    if warning is not None:
        run = run.model_copy(update={"caveats": (*run.caveats, warning)})
        if on_warning is not None:
            on_warning(warning)
    if (doubt := _doubt_about_student(folder, run)) is not None:
        run = run.model_copy(update={"caveats": (*run.caveats, doubt)})
        if on_warning is not None:
            on_warning(doubt)
    best = best_record(run, trials.records)
    if best is None:
        return run, trials.records
    whole = trials.whole(best.number)
    return run, tuple(whole if r.number == best.number else r for r in trials.records)


def read_report(folder: Path, *, on_warning: Callable[[str], None] | None = None) -> Report:
    """Read a run or a finished student as a page shows it; see `read_run`."""
    run, trials = read_run(folder, on_warning=on_warning)
    return build_report(run, trials, of_one_student=holds_student(folder))


def _doubt_about_student(folder: Path, run: RunRecord) -> str | None:
    """Say in one line where the files of the best student are not those of the records."""
    best = student_folder_of(folder)
    if run.final is None or not holds_student(best):
        return None  # not there yet, or only the records were copied
    try:
        of_student = read_student(folder, with_card=False).record.run
    except HwkdError as error:
        return f"the best student is not what this report describes: {error}"
    if of_student is None or of_student.final is None:
        return None  # of an older version
    if of_student.final.scores != run.final.scores:
        return (
            f"{RUN_FILE} and {best.name}/{DESCRIPTION_FILE} hold different scores of the best "
            "student: one of them was edited; no number of this report is to be trusted"
        )
    return None


def _student(folder: Path) -> tuple[RunRecord, tuple[TrialRecord, ...]]:
    record = read_student(folder, with_card=False).record
    if record.run is None or record.trial is None:
        raise RunFolderError(
            f"{folder}: an older version wrote this student, and nothing there says how it was "
            "trained; give the run folder that it is of"
        )
    return record.run, (record.trial,)
