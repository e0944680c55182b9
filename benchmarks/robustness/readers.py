"""Damages one file in a valid folder and reads it through what the product reads it with.

usage: python -m benchmarks.robustness.readers [--count 10000] [--only TEXT] [--seed 0] [--quick]
           [--keep FOLDER]

Every mutant must be read, or refused in one line, within 5 s and 256 MiB. The first of each kind of
fault is put into --keep; with its cause mended it goes into `tests/golden/damaged`, which a test
reads. `reader_ways` holds the files and what reads them, `reader_list` which readers there are.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.lib.verdict import count, report
from benchmarks.robustness.data_mutants import MOST_GROWTH_BYTES, MOST_S, peak_bytes
from benchmarks.robustness.reader_files import fill_folder, make_run, mutate
from benchmarks.robustness.reader_list import unlisted
from benchmarks.robustness.reader_ways import WAYS, Way
from hwkd.core.errors import HwkdError


def attempt(
    way: Way, folder: Path, rng: random.Random, *, keep: Path | None = None
) -> tuple[str, str]:
    """Damage one file, read, and put it back; returns what happened and what was wrong with it.

    Args:
        keep: folder that a file with a fault is put into, where it holds none of that name yet.
    """
    path = rng.choice(sorted(p for pattern in way.files for p in folder.glob(pattern)))
    whole = path.read_bytes()
    try:
        mutate(path, rng)
        outcome, fault = judged_reading(way, folder)
        if fault and keep is not None:
            kept = keep / f"{fault.split(':')[0]}" / path.relative_to(folder)
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(path.read_bytes())
    finally:
        path.write_bytes(whole)
    return outcome, f"{path.name}: {fault}" if fault else ""


def judged_reading(way: Way, folder: Path) -> tuple[str, str]:
    """Read what is there; returns whether it was read, refused or failed, and what was wrong."""
    before, started, fault = peak_bytes(), time.process_time(), ""
    try:
        way.read(folder)
        outcome = "read"
    except HwkdError as error:
        outcome = "refused"
        if "\n" in str(error):
            fault = f"several lines: {error}"
    except Exception as error:
        outcome, fault = "failed", f"{type(error).__name__}: {str(error)[:120]}"
    if time.process_time() - started > MOST_S:
        fault = fault or "slow"
    if peak_bytes() - before > MOST_GROWTH_BYTES:
        fault = fault or "memory"
    return outcome, fault


def try_way(
    name: str, folder: Path, *, mutants: int, seed: int, keep: Path | None = None
) -> tuple[Counter[str], Counter[str]]:
    """Try many mutants of one way; returns outcomes and faults, how often each."""
    outcomes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for number in range(mutants):
        rng = random.Random(f"{seed} {name} {number}")
        outcome, fault = attempt(WAYS[name], folder, rng, keep=keep and keep / name)
        outcomes[outcome] += 1
        if fault:
            faults[fault] += 1
            if faults[fault] == 1:
                print(f"{name}, mutant {number}: {fault}", flush=True)
    return outcomes, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="mutants of each way")
    parser.add_argument("--only", default="", help="ways whose name holds this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files with a fault")
    parser.add_argument("--quick", action="store_true", help="50 mutants of each way")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.count = 50
    targets = [count("readers without a bench", len(unlisted()), 0)]
    values = {}
    with tempfile.TemporaryDirectory(prefix="hwkd-readers-") as temporary:
        folder = Path(temporary)
        make_run(folder)
        fill_folder(folder)
        for name in WAYS:
            if arguments.only not in name:
                continue
            outcomes, faults = try_way(
                name, folder, mutants=arguments.count, seed=arguments.seed, keep=arguments.keep
            )
            values[name] = {**outcomes, "faults": dict(faults)}
            what = f"faults of {arguments.count:,} damaged files: {name}"
            targets.append(count(what, sum(faults.values()), 0))
            print(f"{name}: {dict(outcomes)} {dict(faults.most_common(5))}", flush=True)
    return report(targets, values)


if __name__ == "__main__":
    sys.exit(main())
