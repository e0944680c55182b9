"""`hwkd.report`: the report of a run folder again, from its records."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.option import Option, declares_options

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome

__all__ = ["report"]


@declares_options
def report(
    run: Annotated[str | Path, Option("Folder that `hwkd search --out RUN` wrote.", metavar="RUN")],
    *,
    on_warning: Callable[[str], None] | None = None,
) -> "SearchOutcome":
    """Make pareto.csv, trials.csv, pareto.png and report.html again and show the Pareto front.

    Reads run.json and trials.jsonl only, so it works while the search runs, after it was
    killed, and on another machine. Nothing is trained or measured.

    Args:
        on_warning: is told about a last record that was cut; None is silence.

    Raises:
        RunFolderError: if the folder is no run folder, is damaged or cannot be written.
    """
    from hwkd.api.outcome import SearchOutcome
    from hwkd.report.write import write_report_files

    folder = Path(run)
    return SearchOutcome(folder=folder, page=write_report_files(folder, on_warning=on_warning))
