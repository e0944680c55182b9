"""`hwkd.worker`: one more process for a search that lies in a database."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from hwkd.api.common import Database, StudyName, Trust
from hwkd.api.option import Option, declares_options
from hwkd.core.units import Duration

if TYPE_CHECKING:
    from hwkd.engine.search.shared_worker import WorkerResult

IdleExit: TypeAlias = Annotated[
    Duration | None,
    Option(
        "End after this time without a candidate, as 10min. Default: with the search.",
        amount="10min",
    ),
]
Scratch: TypeAlias = Annotated[
    str | Path | None,
    Option("Folder for files of the worker. Default: the system's temporary one."),
]
WorkerData: TypeAlias = Annotated[
    str | Path | None,
    Option("Where the search's data lies on this machine. Default: where the search read it."),
]
WorkerSpaces: TypeAlias = Annotated[
    Sequence[str],
    Option(
        "The file on this machine of the search's own search space, which may then run; may be "
        "repeated.",
        flag="space",
    ),
]


def _silent(line: str) -> None:
    del line


@declares_options
def worker(
    *,
    storage: Database,
    study: StudyName,
    max_time: Annotated[
        Duration | None,
        Option(
            "End after this time, as 8h. Default: with the search; a Slurm job's own end counts in "
            "any case.",
            amount="8h",
        ),
    ] = None,
    idle_exit: IdleExit = None,
    scratch: Scratch = None,
    data: WorkerData = None,
    spaces: WorkerSpaces = (),
    trust: Trust = False,
    on_line: Callable[[str], None] | None = None,
) -> "WorkerResult":
    """Work on a search that `hwkd search --storage` keeps in a database.

    Takes candidates until the search is over. Data, teacher, version and Python files must be
    the search's. SIGTERM ends it within half a minute: a candidate that is nearly done is filed,
    another one given back. Exit code 75 says that a server did not answer: try again.

    Args:
        on_line: hears a line about each step; None is silence.

    Raises:
        HwkdError: in one line, if it cannot work on that search.
    """
    from hwkd.core.units import parse_duration_s
    from hwkd.engine.run.database import Database
    from hwkd.engine.search.shared_worker import WorkerWishes, work_on

    wishes = WorkerWishes(
        max_s=None if max_time is None else parse_duration_s(max_time, option="--max-time"),
        idle_s=None if idle_exit is None else parse_duration_s(idle_exit, option="--idle-exit"),
        scratch=None if scratch is None else Path(scratch),
        data=None if data is None else Path(data),
        spaces=[Path(file) for file in spaces],
        trusts=trust,
    )
    return work_on(Database.of(storage), study, wishes, say=on_line or _silent)
