"""Time limits of searches: wall time, cold and warm cache, and whether the best found ships.

usage: python -m benchmarks.search.time_limits [--budgets 60 120 300] [--load N] [--quick]

Four data sets (images, digits, an unbalanced question, signals) x budgets x an empty and a filled
cache. A search may end two seconds after its limit on an idle machine, and 1.05 x of it beside
`--load` processes that only compute. What ships is compared on validation with everything that the
run folder holds: with the candidates' brief weights, less the luck of the best of so many, and with
every full training, on varied examples where they answered them.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.lib.search_command import run_search_command
from benchmarks.lib.verdict import Target, report
from benchmarks.search.search_limits import write_pictures
from hwkd.core.best import judged_value, ranked_trials
from hwkd.core.metric import ACCURACY
from hwkd.engine.arms.contest import BRIEF
from hwkd.engine.arms.orders import finished_orders
from hwkd.engine.arms.verdict import expected_luck
from hwkd.engine.run.run_folder import RunFolder
from hwkd.io.run_files import RUN_FILE, read_run_record

GRACE_S, GRACE_UNDER_LOAD = 2.0, 0.05


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budgets", type=int, nargs="+", default=[60, 120, 300])
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--quick", action="store_true", help="one data set, one budget")
    arguments = parser.parse_args()
    budgets = [45] if arguments.quick else arguments.budgets
    late, worse, runs = [0.0], 0, 0
    with tempfile.TemporaryDirectory(prefix="hwkd-time-") as temporary, load(arguments.load):
        folder = Path(temporary)
        for name, data in data_sets(folder, arguments.source, quick=arguments.quick):
            for budget in budgets:
                for state in ("cold", "warm"):
                    cache, run = folder / f"{name}-{budget}", folder / f"{name}-{budget}-{state}"
                    wall_s = search(data, budget, cache=cache, run=run)
                    has_better, line = what_ships(run)
                    runs += 1
                    worse += has_better
                    late.append(wall_s - budget - GRACE_UNDER_LOAD * budget * bool(arguments.load))
                    print(f"  {name} {budget} s {state}: {wall_s:.1f} s; {line}", flush=True)
    return report(
        [
            Target("searches that shipped less than they held", worse, 0, scale=1, unit=""),
            Target(f"latest of {runs} searches", max(late), GRACE_S, scale=1, unit=" s late"),
        ]
    )


def data_sets(folder: Path, source: Path, *, quick: bool) -> Iterator[tuple[str, str | None]]:
    """Yield names and paths; None is the data that hwkd ships."""
    yield "digits", None
    if quick:
        return
    yield "pictures", str(write_pictures(source, folder / "pictures"))
    digits = load_digits()
    yield "eights", save(folder / "eights.npz", digits.images, (digits.target == 8).astype(int))
    generator = np.random.default_rng(0)
    labels = np.arange(1200) % 4
    time_s = np.linspace(0.0, 1.0, 96)
    waves = np.sin(2 * np.pi * (3 + 2 * labels)[:, None, None] * time_s)
    noisy = waves * generator.normal(1, 0.3, (1200, 3, 1)) + generator.normal(0, 1, (1200, 3, 96))
    yield "signals", save(folder / "signals.npz", noisy.astype(np.float32), labels)


def save(path: Path, inputs: np.ndarray, labels: np.ndarray) -> str:
    np.savez(path, x_train=inputs, y_train=labels)
    return str(path)


def search(data: str | None, budget: int, *, cache: Path, run: Path) -> float:
    """Search for `budget` seconds; return the wall time."""
    given = [] if data is None else ["--data", data]
    options = ["--device", "cortex-m4", *given, "--timeout", f"{budget}s", "--out", str(run)]
    started = time.monotonic()
    run_search_command(options, cache=cache)
    return time.monotonic() - started


def what_ships(run: Path) -> tuple[bool, str]:
    """Return whether the folder holds something better than what ships, and what is in it."""
    record, store = read_run_record(run / RUN_FILE), RunFolder(run)
    final, goal = record.final, record.objective
    if final is None:
        sys.exit(f"{run}: ended without a student")
    ranked = ranked_trials(goal, store.trials.records())
    brief = [judged_value(goal, r.objective) for r in ranked if r.objective is not None]
    results = {job.full_name: (job, found) for job, found in finished_orders(store.path)}
    full = {name: found for name, (job, found) in results.items() if not job.name.startswith(BRIEF)}
    error = 1.0 - ACCURACY.of(final.scores.validation_int8 or {})
    held_back = next(split.samples for split in record.data.splits if split.name == "validation")
    luck = expected_luck(len(brief), goal.alpha * math.sqrt(error * (1.0 - error) / held_back))
    # The same validation accuracy may have been reached twice; the objective is then the same too.
    ships = [
        found
        for job, found in results.values()
        if job.spec.key == final.spec.key
        and found.scores.validation_int8 == final.scores.validation_int8
    ]
    shipped = min(judged_value(goal, found.objective) for found in ships if found.objective)
    has_better = shipped > min(brief) + luck + 1e-9
    varied = [found.varied_error for found in full.values() if found.varied_error is not None]
    if final.verdict.weights == "full" and len(varied) == len(full):
        has_better |= min(v for v in (s.varied_error for s in ships) if v is not None) > min(varied)
    line = (
        f"{len(ranked)} candidates, {final.verdict.weights} weights ship, validation "
        f"{ACCURACY.of(final.scores.validation_int8 or {}):.4f}, test "
        f"{ACCURACY.of(final.scores.test_int8 or {}):.4f}"
    )
    return has_better, line


@contextmanager
def load(count: int) -> Iterator[None]:
    """Keep so many processes computing meanwhile."""
    processes: Sequence[multiprocessing.Process] = [
        multiprocessing.Process(target=compute, daemon=True) for _ in range(count)
    ]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def compute() -> None:
    value = 1
    while True:
        value = (value * 48_271) % 2_147_483_647


if __name__ == "__main__":
    sys.exit(main())
