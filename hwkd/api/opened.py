"""`hwkd.open`: a run that is already there, as what `hwkd.search` returned."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome


def open(run: str | Path) -> "SearchOutcome":  # noqa: A001
    """Read a run, or a finished student; nothing is trained, measured or written.

    It works while the search runs, too, and shows what there is by then.

    Args:
        run: folder of a search or a distillation, or of a finished student.

    Raises:
        HwkdError: in one line, if the folder is no run or is damaged.
    """
    from hwkd.api.outcome import SearchOutcome
    from hwkd.io.student_folder import given_place
    from hwkd.report.read import read_report

    folder = given_place(run)
    return SearchOutcome(folder=folder, page=read_report(folder))
