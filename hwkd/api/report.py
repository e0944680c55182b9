"""`hwkd.report`: the report of a run folder again, from its records."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import StorageOption, StudyOption
from hwkd.api.option import Option, declares_options

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome
    from hwkd.core.progress import Progress


@declares_options
def report(
    run: Annotated[
        str | Path, Option("Folder of a search, or of a finished student.", metavar="RUN|STUDENT")
    ],
    *,
    storage: StorageOption = None,
    study: StudyOption = None,
    on_warning: Callable[[str], None] | None = None,
    progress: "Progress | None" = None,
) -> "SearchOutcome":
    """Make pareto.csv, trials.csv, pareto.png and report.html again and show the Pareto front.

    Reads run.json and trials.jsonl only, so it works while the search runs, after it was
    killed, and on another machine. A run in a database is read from there first. Of a finished
    student it reads student.json and makes report.html alone. Nothing is trained or measured.

    Args:
        on_warning: is told about a last record that was cut; None is silence.
        progress: is told about every file; None is silence.

    Raises:
        RunFolderError: if the folder is no run folder, is damaged or cannot be written.
    """
    from hwkd.api.outcome import SearchOutcome
    from hwkd.core.progress import silent
    from hwkd.io.run_files import PLACE_FILE
    from hwkd.io.student_folder import given_place
    from hwkd.report.write import write_report_files

    folder = given_place(run)
    if storage is not None or (folder / PLACE_FILE).is_file():
        from hwkd.engine.run.join import read_again

        read_again(folder, storage, study)
    page = write_report_files(folder, on_warning=on_warning, progress=progress or silent)
    return SearchOutcome(folder=folder, page=page)
