"""How long a search of a benchmark may take: by the clock, or by networks and passes.

Networks and passes are the same on a busy machine, where half an hour is not half an hour.
"""

from __future__ import annotations

import argparse
from typing import Any

_QUICK: dict[str, Any] = {"trials": 2, "methods": ["none"]}


def add_effort(parser: argparse.ArgumentParser) -> None:
    """Add the options that `effort_of` reads."""
    parser.add_argument("--timeout", default="30min")
    parser.add_argument("--trials", type=int, help="networks to compare, in place of a time")
    parser.add_argument("--full-epochs", type=int, help="passes of the last trainings")
    parser.add_argument("--labels-alone", action="store_true", help="no teacher")
    parser.add_argument("--quick", action="store_true", help="compare two networks, no teacher")


def effort_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `hwkd.search` takes."""
    if arguments.quick:
        return dict(_QUICK)
    effort: dict[str, Any] = {"full_epochs": arguments.full_epochs}
    if arguments.trials is None:
        effort["timeout"] = arguments.timeout
    else:
        effort["trials"] = arguments.trials
    return effort | ({"methods": ["none"]} if arguments.labels_alone else {})
