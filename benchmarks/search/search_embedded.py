"""The embedded default from nothing: `hwkd search --device cortex-m7` on the handwritten digits.

usage: python -m benchmarks.search.search_embedded [--quick] [--device cortex-m7] [OPTION ...]

The cache is empty, so reading the data, training the teacher, every trial, the final training with
its control, the report and the start of all processes are inside the time. Options that this
program does not know go to `hwkd search`. `--quick` runs six trials and a short final training and
judges only that all of it works.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.lib.search_command import run_search_command
from benchmarks.lib.verdict import Target, count, report
from hwkd.report.read import read_run

LIMIT_S = 180.0
FEWEST_SAMPLED = 30
FEWEST_ON_FRONT = 5
QUICK_OPTIONS = ("--trials", "6", "--brief-epochs", "2", "--full-epochs", "2")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cortex-m7")
    parser.add_argument("--quick", action="store_true")
    arguments, passed_on = parser.parse_known_args()
    options = ["--device", arguments.device, *(QUICK_OPTIONS if arguments.quick else ())]
    with tempfile.TemporaryDirectory(prefix="hwkd-embedded-") as folder:
        run = Path(folder) / "run"
        started = time.monotonic()
        found = run_search_command(
            [*options, *passed_on, "--out", str(run)], cache=Path(folder) / "cache"
        )
        seconds = time.monotonic() - started
        run_record, records = read_run(run)
    for phase, spent in run_record.phase_seconds.items():
        print(f"  {phase}: {spent:.1f} s")
    states = Counter(record.state for record in records)
    spaces = Counter(record.spec.space for record in records if record.spec)
    print("  trials:", ", ".join(f"{count} {state}" for state, count in states.items()))
    print("  sampled:", ", ".join(f"{count} {name}" for name, count in sorted(spaces.items())))
    best, teacher = found["best"], found["teacher"]
    print(
        f"  best: trial {best['trial']}, test accuracy int8 {best['test_accuracy_int8']:.4f}, "
        f"teacher {teacher['test_accuracy']:.4f}"
    )
    targets = [
        count("search spaces sampled", len(spaces), 3, at_least=True),
        count("points on the front", len(found["front"]), 1, at_least=True),
    ]
    if not arguments.quick:
        targets = [
            Target("wall time, teacher included", seconds, LIMIT_S, scale=1.0, unit=" s"),
            count("candidates sampled", len(records), FEWEST_SAMPLED, at_least=True),
            targets[0],
            count("points on the front", len(found["front"]), FEWEST_ON_FRONT, at_least=True),
        ]
    else:
        print(f"  wall time {seconds:.1f} s (not judged)")
    return report(targets)


if __name__ == "__main__":
    sys.exit(main())
