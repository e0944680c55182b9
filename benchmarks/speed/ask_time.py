"""Processor time of one ask, screenings included, after 100, 1,000 and 20,000 trainings.

Run: python -m benchmarks.speed.ask_time [--trained 100 1000 20000] [--asks 12] [--profile]

The trials are made up: random students that fit, with an error that follows their size. An ask is
everything between two trainings: what is the history, what is tried next, queued and taken. The
first one that asks a model also surveys the spaces; it is told apart.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.lib.made_up_trials import made_up_record, made_up_trials
from benchmarks.lib.verdict import Target, report
from hwkd.core.progress import silent
from hwkd.engine.run.storage import create_study, load_study
from hwkd.engine.run.trials import Trials
from hwkd.engine.search.proposer import make_proposer
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import SearchContext, make_context
from hwkd.engine.setup.prepare import prepare_data
from hwkd.io.discovery import registered_spaces

TARGETS_S = {100: 0.040, 1000: 0.080, 20_000: 0.150}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trained", type=int, nargs="+", default=list(TARGETS_S))
    parser.add_argument("--asks", type=int, default=12)
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    arguments = parser.parse_args()
    targets, rows = [], []
    with tempfile.TemporaryDirectory() as folder:
        context = context_in(Path(folder))
        for trained in arguments.trained:
            trials = made_up(context, trained, Path(folder) / f"{trained}.journal")
            first_s, asks_s = time_asks(trials, context, arguments.asks, arguments.profile)
            mean_s = float(np.mean(asks_s))
            rows.append({
                "trained": trained, "mean ms": round(1e3 * mean_s, 1),
                "longest ms": round(1e3 * max(asks_s), 1), "first s": round(first_s, 2),
            })  # fmt: skip
            print(rows[-1], flush=True)
            if trained in TARGETS_S:
                what = f"an ask after {trained:,} trainings"
                targets.append(Target(what, mean_s, TARGETS_S[trained], scale=1e3, unit=" ms"))
    return report(targets, {"asks": rows})


def context_in(folder: Path) -> SearchContext:
    """Return a search over all spaces on grey images of 28 x 28, four objectives."""
    random = np.random.default_rng(0)
    inputs, labels = random.normal(size=(400, 28, 28)).astype(np.float32), np.arange(400) % 10
    np.savez(folder / "data.npz", x_train=inputs, y_train=labels)
    config = SearchConfig.checked(
        {
            "device": "cortex-m4",
            "data": str(folder / "data.npz"),
            "spaces": registered_spaces(),
            "trials": 100_000,
            "limits": {"latency_s": 0.05, "ram_bytes": 65536},
            "objective": {"mode": "pareto"},
            "training": {"brief_epochs": 1},
            "distill": [{"method": "none"}],
        },
        where="ask_time",
    )
    prepared = prepare_data(config, progress=silent)
    return make_context(prepared.config, prepared.task, prepared.transfer, None)


def made_up(context: SearchContext, count: int, journal: Path) -> Trials:
    """Return trials on a journal file: distinct students that fit, each with a record."""
    create_study(journal, objectives=context.config.objective.objectives)
    study = load_study(journal)
    for made in made_up_trials(context, count):
        study.add_trial(made.trial)
    return Trials(study, run="ask_time")


def time_asks(
    trials: Trials, context: SearchContext, asks: int, is_profiled: bool
) -> tuple[float, list[float]]:
    """Ask and file; returns the seconds of the first choice by a model and of those after it."""
    proposer = make_proposer(context)
    profiler = cProfile.Profile()
    spent: list[float] = []
    random = Random(1)
    while len(spent) <= asks:
        begun = time.process_time()
        if is_profiled and spent:
            profiler.enable()
        assert not trials.is_complete(context.config) and not trials.has_queued()
        history = trials.history(context.config.objective)
        trials.queue(proposer.propose(history, 1))
        taken = trials.take()
        profiler.disable()
        assert taken is not None and taken.proposal.spec is not None
        why = taken.proposal.why
        if why is not None and why.task_error is not None:  # reference designs come before
            spent.append(time.process_time() - begun)
        record = made_up_record(taken.number, context.screen.candidate(taken.proposal.spec), random)
        trials.file(taken, record)
    if is_profiled:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(45)
    return spent[0], spent[1:]


if __name__ == "__main__":
    sys.exit(main())
