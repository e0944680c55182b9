"""`hwkd.finish`: the end of a search again, with more time."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import StorageOption, StudyOption, Trust
from hwkd.api.option import Option, declares_options

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome
    from hwkd.engine.search.listener import SearchListener

__all__ = ["finish"]


@declares_options
def finish(
    run: Annotated[
        str | Path, Option("Run folder of `hwkd search` with a completed trial.", metavar="RUN")
    ],
    *,
    timeout: Annotated[
        str | None, Option("Bound on the whole call, as 20min. Default: trainings in full.")
    ] = None,
    controls: Annotated[
        int | None,
        Option(
            "Seeds over which the best student is trained with the teacher and without. Default: "
            "what the search was asked for.",
            minimum=0,
        ),
    ] = None,
    trust: Trust = False,
    storage: StorageOption = None,
    study: StudyOption = None,
    listener: "SearchListener | None" = None,
) -> "SearchOutcome":
    """Train the best students of a run in full, again, and ship the best.

    No further candidate is tried. What the folder holds from earlier ends competes: what ships is
    never worse on validation than what shipped before.

    Args:
        listener: is told about every stage; None is silence.

    Raises:
        HwkdError: in one line, if there is nothing to finish.
    """
    from hwkd.engine.arms.children import import_ahead
    from hwkd.engine.setup.time_plan import TimeLimit

    limit = TimeLimit(None, time.monotonic())  # the imports below take a part of it, too
    import_ahead()
    from hwkd.api.outcome import outcome_of
    from hwkd.core.units import parse_duration_s
    from hwkd.engine.run.join import opened_run
    from hwkd.engine.search.listener import SilentListener
    from hwkd.engine.search.run import finish_run
    from hwkd.report.write import write_report_files

    limit.limit_s = None if timeout is None else parse_duration_s(timeout, option="--timeout")
    result = finish_run(
        opened_run(Path(run), storage, study),
        limit=limit,
        seeds=controls,
        trusts=trust,
        listener=listener or SilentListener(),
        write_report=write_report_files,
    )
    return outcome_of(result)
