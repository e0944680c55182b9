"""The same search under a time limit with several seeds, each from an empty cache."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.lib.search_command import run_search_command
from hwkd.core.metric import ACCURACY
from hwkd.io.run_files import RUN_FILE, read_run_record

_TRAINING = ("teacher", "search", "final training")


@dataclass(frozen=True)
class TimedSearches:
    """What the searches reached, one entry for each seed.

    Attributes:
        test_int8: accuracies of the int8 students on the test split, 0 to 1.
        walls_s: wall time of each command.
        final_s: of the final training in it.
        training_shares: of the wall time, what trainings and their scoring took.
    """

    test_int8: list[float] = field(default_factory=list)
    walls_s: list[float] = field(default_factory=list)
    final_s: list[float] = field(default_factory=list)
    training_shares: list[float] = field(default_factory=list)


def search_with_seeds(options: Sequence[str], *, seeds: int, folder: Path) -> TimedSearches:
    """Run `hwkd search OPTIONS` with seeds 0, 1, ... and print a line for each.

    Args:
        options: without --seed and --out.
        seeds: how many.
        folder: for runs and caches.

    Raises:
        SystemExit: if a search fails or leaves no student.
    """
    found = TimedSearches()
    for seed in range(seeds):
        run = folder / f"run{seed}"
        started = time.monotonic()
        run_search_command(
            [*options, "--seed", str(seed), "--out", str(run)], cache=folder / f"cache{seed}"
        )
        found.walls_s.append(time.monotonic() - started)
        record = read_run_record(run / RUN_FILE)
        final = record.final
        if final is None:
            sys.exit("the search ended without a student")
        found.test_int8.append(ACCURACY.of(final.scores.test_int8 or {}))
        phases = record.phase_seconds
        found.final_s.append(phases.get("final training", 0.0))
        training_s = sum(phases.get(name, 0.0) for name in _TRAINING)
        found.training_shares.append(training_s / found.walls_s[-1])
        print(
            f"  seed {seed}: int8 test {found.test_int8[-1]:.4f}, {found.walls_s[-1]:.1f} s, "
            f"{found.training_shares[-1]:.0%} of it training and scoring; "
            f"{final.spec.space}, {final.cost.params:,} parameters, "
            f"{final.verdict.weights} weights, {final.epochs} epochs, "
            f"{final.verdict.networks_compared} networks compared",
            flush=True,
        )
    return found
