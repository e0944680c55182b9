"""`hwkd search` and `hwkd finish`: from data to the best student that fits the device."""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import hwkd
from hwkd.api.option import declared
from hwkd.cli.command import Command
from hwkd.core.errors import ConfigError

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome

EXIT_NOT_VERIFIED = 1
_RUN, *_REST = declared(hwkd.resume)
_RESUME = (
    replace(
        _RUN,
        default=None,
        option=replace(
            _RUN.option,
            help="Go on with this run folder; only --trials, --timeout, --workers, --trust, "
            "--storage and --study may be given beside it.",
            metavar=None,
            flag="resume",
            panel=_REST[0].option.panel,
        ),
    ),
    *(option for option in _REST if option.name == "trust"),
)


@wraps(hwkd.search)
def _search_or_resume(**given: Any) -> SearchOutcome:
    if _RUN.name not in given:
        if "trust" in given:
            raise ConfigError(
                "--trust: goes with --resume; a new search runs the files it is given"
            )
        return hwkd.search(**given)
    fixed = sorted(set(given) - {option.name for option in (_RUN, *_REST)} - {"listener"})
    if fixed:
        raise ConfigError(
            f"--{fixed[0].replace('_', '-')}: is fixed by the run; with --resume only --trials, "
            "--timeout, --workers, --trust, --storage and --study may be given; start a new run "
            "for anything else"
        )
    return hwkd.resume(**given)


def _show(outcome: SearchOutcome) -> None:
    from rich.console import Console

    from hwkd.report.tables import best_view, front_view, verdict_view
    from hwkd.report.verification_section import verdict

    console = Console()
    console.print(front_view(outcome.page))
    console.print(best_view(outcome.page))
    console.print(verdict_view(outcome.page))
    console.print(f"report: {outcome.folder / 'report.html'}", soft_wrap=True)
    if outcome.best is not None and outcome.best.verification is not None:
        console.print(verdict(outcome.best.verification))
    if outcome.best is not None:
        console.print(f"student: {outcome.folder / 'best'}", soft_wrap=True)


def _exit_code(outcome: SearchOutcome) -> int:
    verification = outcome.best.verification if outcome.best is not None else None
    return EXIT_NOT_VERIFIED if verification is not None and not verification.passed else 0


COMMANDS = (
    Command(
        name="search",
        function=_search_or_resume,
        show=_show,
        examples=(
            "hwkd search --device cortex-m7",
            "hwkd search --device cortex-m4 --data photos --max-latency 20ms --max-ram 64KiB",
            "hwkd search --resume runs/cortex-m7-20260102-101500 --trials 200",
        ),
        exit_code=_exit_code,
        reads_config=True,
        instead=_RESUME,
    ),
    Command(
        name="finish",
        function=hwkd.finish,
        show=_show,
        examples=(
            "hwkd finish runs/digits --timeout 20min",
            "hwkd finish runs/digits --controls 3",
        ),
        exit_code=_exit_code,
    ),
)
