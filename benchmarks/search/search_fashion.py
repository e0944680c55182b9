"""Fashion-MNIST with a limit on weights: the test accuracy that a bounded search reaches.

usage: python -m benchmarks.search.search_fashion [--quick] [--timeout 20min] [--seeds 0 1 2]
           [OPTION ...]

A run for each seed; with `--out`, seeds that this folder already holds are read and not run again,
so that an hour can be spent in parts. Everything is inside `--timeout`: reading the data, training
the teacher (the cache is empty), the trials, the final training and the report. Options that this
program does not know go to `hwkd search`. `--quick` is a short search that judges only that all of
it works.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.lib.search_command import run_search_command
from benchmarks.lib.verdict import Target, report
from hwkd.core.final_record import FinalRecord
from hwkd.core.metric import ACCURACY
from hwkd.core.units import parse_duration_s
from hwkd.io.run_files import RUN_FILE, read_run_record

TARGET_ACCURACY = 0.925
# Of a process that ends after the limit has passed.
GRACE_S = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--device", default="cortex-m7")
    parser.add_argument("--max-weights", default="20kB")
    parser.add_argument("--timeout", default="20min")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, help="kept teacher, to tune the rest; default empty")
    parser.add_argument("--out", type=Path, help="folder for the runs; default a temporary one")
    parser.add_argument("--quick", action="store_true")
    arguments, passed_on = parser.parse_known_args()
    if arguments.quick:
        arguments.timeout, arguments.seeds = "4min", arguments.seeds[:1]
        passed_on += ["--full-epochs", "1"]
    with tempfile.TemporaryDirectory(prefix="hwkd-fashion-") as folder:
        runs = [
            one_run(arguments, passed_on, seed, arguments.out or Path(folder), Path(folder))
            for seed in arguments.seeds
        ]
    accuracies, seconds = zip(*runs, strict=True)
    limit_s = parse_duration_s(arguments.timeout, option="--timeout") + GRACE_S
    code = report(
        [
            Target(
                "int8 test accuracy, median",
                statistics.median(accuracies),
                TARGET_ACCURACY,
                at_least=True,
            ),
            Target("longest search", max(seconds), limit_s, scale=1, unit=" s"),
        ],
        {"accuracies": " ".join(f"{accuracy:.4f}" for accuracy in accuracies)},
    )
    return 0 if arguments.quick else code


def one_run(
    arguments: argparse.Namespace, passed_on: Sequence[str], seed: int, runs: Path, scratch: Path
) -> tuple[float, float]:
    """Search once; returns the accuracy of the int8 student on the test split, and the seconds."""
    run = runs / f"seed{seed}"
    options = [
        "--data", arguments.data,
        "--device", arguments.device,
        "--max-weights", arguments.max_weights,
        "--timeout", arguments.timeout,
        "--workers", str(arguments.workers),
        "--seed", str(seed),
        *passed_on,
        "--out", str(run),
    ]  # fmt: skip
    kept = runs / f"seed{seed}.json"
    if not kept.exists():
        started = time.monotonic()
        found = run_search_command(options, cache=arguments.cache or scratch / f"cache{seed}")
        found["wall_s"] = time.monotonic() - started
        kept.write_text(json.dumps({"options": options, "found": found}))
    known = json.loads(kept.read_text())
    if known["options"] != options:
        sys.exit(f"{kept} is of other options: {' '.join(known['options'])}")
    found = known["found"]
    final = read_run_record(run / RUN_FILE).final
    if final is None:
        sys.exit("the search ended without a final training")
    print_result(found, final)
    return ACCURACY.of(final.scores.test_int8 or {}), found["wall_s"]


def print_result(found: dict[str, object], final: FinalRecord) -> None:
    print(
        f"  {found['trials']} trials: {found['completed']} completed, "
        f"{found['rejected']} rejected, {found['failed']} failed; teacher {found['teacher']}"
    )
    print(
        f"  best: trial {final.trial}, {final.spec.space}, {final.cost.params:,} parameters, "
        f"{final.cost.weight_bytes:,} bytes of weights, {final.epochs} epochs, test accuracy float "
        "{1:.4f}, int8 {0:.4f}".format(*_test(final))
    )


def _test(final: FinalRecord) -> tuple[float, float]:
    """Return the test accuracy of the int8 and the float file."""
    scores = final.scores
    return ACCURACY.of(scores.test_int8 or {}), ACCURACY.of(scores.test_float or {})


if __name__ == "__main__":
    sys.exit(main())
