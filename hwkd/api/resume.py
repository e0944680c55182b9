"""`hwkd.resume`: goes on with a search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import (
    RunFolder,
    StorageOption,
    StudyOption,
    TimeoutOption,
    TrialsOption,
    Trust,
    WorkersOption,
)
from hwkd.api.option import Here, declares_options
from hwkd.io.command_clock import command_began_s

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome
    from hwkd.engine.run.listener import SearchListener


@declares_options
def resume(
    run: RunFolder,
    *,
    trials: Annotated[
        TrialsOption, Here("Default: as many in all as were asked for first.")
    ] = None,
    timeout: Annotated[TimeoutOption, Here("Default: none.")] = None,
    workers: Annotated[WorkersOption, Here("Default: as many as were asked for first.")] = None,
    trust: Trust = False,
    storage: StorageOption = None,
    study: StudyOption = None,
    listener: "SearchListener | None" = None,
) -> "SearchOutcome":
    """Go on with a search; what is fixed by the run stays as it was.

    Args:
        listener: is told about every stage and candidate; None shows bars in a notebook, elsewhere
            nothing.

    Raises:
        HwkdError: in one line, if it cannot go on.
    """
    from hwkd.core.units import parse_duration_s
    from hwkd.engine.arms.children import import_ahead
    from hwkd.engine.setup.time_plan import TimeLimit
    from hwkd.io.machine import waiting_ratio

    limit = TimeLimit(None, command_began_s())  # the imports below take a part of it, too
    limit.limit_s = None if timeout is None else parse_duration_s(timeout, option="--timeout")
    limit.require_start(waiting_ratio())
    import_ahead()
    from hwkd.api.listening import heard
    from hwkd.api.outcome import outcome_of
    from hwkd.engine.run.join import opened_run
    from hwkd.engine.search.resume import resume_search
    from hwkd.report.write import write_report_files

    result = resume_search(
        opened_run(Path(run), storage, study),
        trials=trials,
        limit=limit,
        workers=workers,
        trusts=trust,
        listener=heard(listener),
        write_report=write_report_files,
    )
    return outcome_of(result)
