"""Fashion-MNIST with a limit on weights: the test accuracy that a bounded search reaches.

usage: python -m benchmarks.search_fashion [--quick] [--timeout 20min] [OPTION ...]

Everything is inside `--timeout`: reading the data, training the teacher (the cache is empty), the
trials and the final training. Afterwards, outside it, the student that was found is trained with
and without the teacher over the same seeds, and both are printed. Options that this program does
not know go to `hwkd search`. `--quick` is a short search that judges only that all of it works.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.search_command import run_search_command
from benchmarks.verdict import Target, report
from hwkd.core.final_record import FinalRecord
from hwkd.core.run_files import RUN_FILE, read_run_record
from hwkd.core.units import parse_duration_s
from hwkd.engine.search_methods import Recipe
from hwkd.engine.store import RunStore
from hwkd.engine.train_job import TrainJob, run_jobs

TARGET_ACCURACY = 0.918
# Starting processes and writing the report after the limit has passed.
GRACE_S = 20.0
RECIPES: tuple[Recipe, Recipe] = ("distilled", "cross-entropy")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--device", default="cortex-m7")
    parser.add_argument("--max-weights", default="20kB")
    parser.add_argument("--timeout", default="20min")
    parser.add_argument("--trials", default="400")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, help="kept teacher, to tune the rest; default empty")
    parser.add_argument("--out", type=Path, help="run folder to keep; default a temporary one")
    parser.add_argument("--quick", action="store_true")
    arguments, passed_on = parser.parse_known_args()
    timeout = "4min" if arguments.quick else arguments.timeout
    if arguments.quick:
        passed_on += ["--teacher-time", "20s", "--full-epochs", "1"]
    with tempfile.TemporaryDirectory(prefix="hwkd-fashion-") as folder:
        run = arguments.out or Path(folder) / "run"
        options = [
            "--data", arguments.data,
            "--device", arguments.device,
            "--max-weights", arguments.max_weights,
            "--timeout", timeout,
            "--trials", arguments.trials,
            "--workers", str(arguments.workers),
            "--controls", "0",
            *passed_on,
            "--out", str(run),
        ]  # fmt: skip
        cache = arguments.cache or Path(folder) / "cache"
        started = time.monotonic()
        found = run_search_command(options, cache=cache)
        seconds = time.monotonic() - started
        os.environ["HWKD_CACHE_DIR"] = str(cache)  # the controls learn from the same logits
        final = read_run_record(run / RUN_FILE).final
        if final is None:
            sys.exit("the search ended without a final training")
        print_result(found, final)
        show_controls(
            run, final, seeds=1 if arguments.quick else arguments.seeds, workers=arguments.workers
        )
    limit_s = parse_duration_s(timeout, option="--timeout") + GRACE_S
    code = report(
        [
            Target("int8 test accuracy", final.test_accuracy_int8, TARGET_ACCURACY, at_least=True),
            Target("wall time of the search", seconds, limit_s, scale=1, unit=" s"),
        ]
    )
    return 0 if arguments.quick else code


def print_result(found: dict[str, object], final: FinalRecord) -> None:
    print(
        f"  {found['trials']} trials: {found['completed']} completed, "
        f"{found['rejected']} rejected, {found['failed']} failed; teacher {found['teacher']}"
    )
    print(
        f"  best: trial {final.trial}, {final.spec.space}, {final.cost.params:,} parameters, "
        f"{final.cost.weight_bytes:,} bytes of weights, {final.epochs} epochs, test accuracy float "
        f"{final.test_accuracy_float:.4f}, int8 {final.test_accuracy_int8:.4f}"
    )


def show_controls(run: Path, final: FinalRecord, *, seeds: int, workers: int) -> None:
    """Train the student with and without the teacher for as long as the one that ships."""
    processes = min(workers, 2 * seeds)
    jobs = [
        TrainJob(
            name=f"{recipe}{seed}",
            spec=final.spec,
            repetition=seed,
            recipe=recipe,
            processes=processes,
            epochs=final.epochs,
        )
        for seed in range(seeds)
        for recipe in RECIPES
    ]
    scores = run_jobs(RunStore(run), jobs, progress=lambda *_: None)
    for recipe, name in zip(RECIPES, ("with teacher", "without teacher"), strict=True):
        chosen = [scores[job.name] for job in jobs if job.recipe == recipe]
        int8 = [score.test_int8 for score in chosen]
        spread = f" +- {statistics.stdev(int8):.4f}" if len(int8) > 1 else ""
        each = ", ".join(f"{value:.4f}" for value in int8)
        mean_float = statistics.mean(score.test_float for score in chosen)
        print(
            f"  same student {name}, {len(int8)} seed(s): int8 {statistics.mean(int8):.4f}{spread} "
            f"({each}); float {mean_float:.4f}"
        )


if __name__ == "__main__":
    sys.exit(main())
