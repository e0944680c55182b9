"""`hwkd finish`: the end of a search again, with more time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hwkd.cli import search_options as opt
from hwkd.cli.search import present

__all__ = ["finish"]


def finish(
    run: Annotated[Path, typer.Argument(help="Run folder of `hwkd search`.")],
    timeout: Annotated[
        str | None,
        typer.Option(help="Bound on the whole command, as 20min. Default: trainings in full."),
    ] = None,
    controls: Annotated[
        int | None,
        typer.Option(
            help="Seeds over which the best student is trained with the teacher and without. "
            "Default: what the search was asked for.",
            min=0,
        ),
    ] = None,
    trust: opt.Trust = False,
    as_json: opt.AsJson = False,
) -> None:
    """Train the best students of a run in full, again, and ship the best.

    No further candidate is tried. What the folder holds from earlier ends competes: what ships is
    never worse on validation than what shipped before.

    Examples:
      hwkd finish runs/digits --timeout 20min

      hwkd finish runs/digits --controls 3
    """
    started_s = time.monotonic()  # the imports below take seconds of a time limit, too
    from hwkd import api
    from hwkd.cli.search_display import search_display

    with search_display(quiet=as_json) as listener:
        outcome = api.finish(
            run,
            timeout=timeout,
            controls=controls,
            trust=trust,
            listener=listener,
            started_s=started_s,
        )
    present(outcome, as_json=as_json)
