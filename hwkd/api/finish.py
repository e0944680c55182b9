"""`hwkd.finish`: the end of a search again, with more time."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import (
    ControlsOption,
    RunFolder,
    StorageOption,
    StudyOption,
    TimeoutOption,
    Trust,
)
from hwkd.api.option import Here, declares_options
from hwkd.io.command_clock import command_began_s

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome
    from hwkd.engine.run.listener import SearchListener


@declares_options
def finish(
    run: Annotated[RunFolder, Here("It needs a completed trial.")],
    *,
    timeout: Annotated[TimeoutOption, Here("Default: trainings in full.")] = None,
    controls: Annotated[
        ControlsOption | None, Here("Default: what the search was asked for.")
    ] = None,
    trust: Trust = False,
    storage: StorageOption = None,
    study: StudyOption = None,
    listener: "SearchListener | None" = None,
) -> "SearchOutcome":
    """Train the best students of a run in full, again, and ship the best.

    No further candidate is tried. What the folder holds from earlier ends competes, and what
    ships is chosen from all of it by the rule of a search.

    Args:
        listener: is told about every stage; None shows bars in a notebook, elsewhere nothing.

    Raises:
        HwkdError: in one line, if there is nothing to finish.
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
    from hwkd.engine.search.resume import finish_run
    from hwkd.report.write import write_report_files

    result = finish_run(
        opened_run(Path(run), storage, study),
        limit=limit,
        seeds=controls,
        trusts=trust,
        listener=heard(listener),
        write_report=write_report_files,
    )
    return outcome_of(result)
