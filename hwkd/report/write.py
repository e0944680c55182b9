"""Writes the report files of a run folder from its records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwkd.core.errors import RunFolderError
from hwkd.core.progress import Progress, silent
from hwkd.io.student_folder import holds_student, student_folder_of, write_card
from hwkd.report.build import build_report
from hwkd.report.columns import front_columns, trial_columns, write_csv
from hwkd.report.document import Report
from hwkd.report.model_card import model_card
from hwkd.report.read import read_run

_STAGE, _STEPS = "report", 3


def write_report_files(
    folder: Path,
    *,
    on_warning: Callable[[str], None] | None = None,
    progress: Progress = silent,
) -> Report:
    """Make `report.html` and the student's card again, and of a search tables and picture.

    Each file is written whole or not at all.

    Args:
        on_warning: told about a last record that was cut.

    Raises:
        RunFolderError: if the folder is no run folder, is corrupt or cannot be written.
    """
    # What draws takes half a second to import, which a search has not lost when it begins.
    from hwkd.report.html import write_html

    # Nothing is said of a folder that is refused.
    run, records = read_run(folder, on_warning=on_warning)
    progress(_STAGE, 0, _STEPS, "find the front")
    report = build_report(run, records, of_one_student=holds_student(folder))
    picture = None
    try:
        if report.is_search:
            from hwkd.report.pareto_png import write_pareto_png  # likewise, of a search alone

            progress(_STAGE, 1, _STEPS, "draw the front")
            picture = folder / "pareto.png"
            write_csv(front_columns(report), folder / "pareto.csv")
            write_csv(trial_columns(report), folder / "trials.csv")
            write_pareto_png(report, picture)
        student = student_folder_of(folder)
        if run.final is not None and report.best is not None and student.is_dir():
            write_card(student, model_card(run, report.best))
        progress(_STAGE, 2, _STEPS, "write the page")
        write_html(report, folder / "report.html", picture=picture)
    except OSError as error:
        raise RunFolderError(
            f"{folder}: cannot write the report: {error.strerror}; "
            "free space or make the folder writable, then run `hwkd report` again"
        ) from None
    progress(_STAGE, _STEPS, _STEPS)
    return report
