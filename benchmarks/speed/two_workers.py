"""How much sooner two workers on one machine train the same candidates than one does.

usage: python -m benchmarks.speed.two_workers [--trials 24] [--rounds 2] [OPTION ...]

`hwkd search` on the digits, random candidates (which depend on their number alone), so long that
processes which start do not count; the rounds alternate, and the shortest search phase of each
counts. Needs two idle cores. Options that this program does not know go to `hwkd search`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.lib.search_command import run_search_command
from benchmarks.lib.verdict import Target, report
from hwkd.io.machine import available_cores
from hwkd.io.run_files import RUN_FILE, TRIALS_FILE, read_run_record

LEAST_RATIO = 1.9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=100, help="of a brief training")
    parser.add_argument("--rounds", type=int, default=2)
    arguments, passed_on = parser.parse_known_args()
    if available_cores() < 2:
        sys.exit("this machine has one core: two workers cannot be faster there")
    found: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="hwkd-workers-") as folder:
        options = [
            "--device", "cortex-m7", "--sampler", "random", "--method", "none", "--no-final",
            "--trials", str(arguments.trials), "--brief-epochs", str(arguments.epochs), *passed_on,
        ]  # fmt: skip
        for repetition in range(arguments.rounds):
            for workers, seconds in found.items():
                run = Path(folder) / f"{workers}-{repetition}"
                seconds.append(search_s(options, workers, run, cache=Path(folder) / "cache"))
        networks = [trained(Path(folder) / f"{workers}-0") for workers in found]
    if networks[0] != networks[1]:
        sys.exit("the two searches did not train the same networks")
    one_s, two_s = min(found[1]), min(found[2])
    return report(
        [
            Target(
                "search of one worker over that of two",
                one_s / two_s,
                LEAST_RATIO,
                at_least=True,
                scale=1,
                unit=" x",
            )
        ],
        {"networks": len(networks[0]), "one worker s": one_s, "two workers s": two_s},
    )


def search_s(options: Sequence[str], workers: int, run: Path, *, cache: Path) -> float:
    """Search once; returns the seconds of its search phase."""
    run_search_command([*options, "--workers", str(workers), "--out", str(run)], cache=cache)
    seconds = read_run_record(run / RUN_FILE).phase_seconds["search"]
    print(f"  {workers} workers: {seconds:.1f} s", flush=True)
    return seconds


def trained(run: Path) -> set[str]:
    """Return the keys of the networks that a run trained."""
    rows = map(json.loads, (run / TRIALS_FILE).read_text().splitlines())
    return {row["spec"]["key"] for row in rows if row["state"] == "completed"}


if __name__ == "__main__":
    sys.exit(main())
