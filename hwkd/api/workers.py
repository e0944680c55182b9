"""`hwkd.workers`: who works on a search."""

from typing import TYPE_CHECKING

from hwkd.api.common import RunPlace, StudyOption
from hwkd.api.option import declares_options

if TYPE_CHECKING:
    from hwkd.engine.run.at_work import AtWork


@declares_options
def workers(
    run: RunPlace,
    *,
    study: StudyOption = None,
) -> "tuple[AtWork, ...]":
    """Show the processes at work on a search, and on which candidate.

    Raises:
        HwkdError: in one line, if there is no such run or the database does not answer.
    """
    from hwkd.engine.run.at_work import at_work

    return at_work(run, study)
