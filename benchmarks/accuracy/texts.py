"""Texts told apart in a program of 50 kB, words and code included: Reuters R8, in int8.

python -m benchmarks.accuracy.texts [--data FOLDER] [--seeds 3] [--trials 6] [--full-epochs 10]
    [--quick] [--out FOLDER]

FOLDER of --data is that of `python -m tools.make_task_data text`; without it, it is made. Every
seed is one search of `--task text` on `cortex-m7` with `--runtime hwkd-c --max-flash 50kB`. What is
judged is the int8 file on the collection's own test split, and the flash of the program that
`hwkd export --target c` makes of it and that `hwkd verify` links: code, weights and words.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import hwkd
from benchmarks.lib.verdict import Target, count, report
from tools.make_task_data import make_task_data

_ACCURACY, _FLASH_KB = 0.965, 50
_INPUTS = 32  # texts for the emulated core


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--full-epochs", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="one seed, two students")
    parser.add_argument("--out", type=Path, help="where runs are kept; those there are taken")
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.trials = 1, 2
    with tempfile.TemporaryDirectory() as folder:
        data = given.data or make_task_data("text", Path(folder) / "data")
        out = given.out or Path(folder)
        rows = [
            _searched(data, out / f"seed-{seed}", seed, given.trials, given.full_epochs)
            for seed in range(given.seeds)
        ]
    targets = [
        Target(
            f"accuracy on test, mean of {given.seeds} searches",
            statistics.mean(row["test int8"] for row in rows), _ACCURACY,
            at_least=True, scale=1.0, unit="",
        ),
        count("flash of the linked program, largest, bytes",
              max(row["flash [bytes]"] for row in rows), 1000 * _FLASH_KB),
        count("values of the program on the emulated core other than here",
              sum(row["values that differ"] for row in rows), 0),
    ]  # fmt: skip
    return report(targets, {"searches": rows})


def _searched(data: Path, out: Path, seed: int, trials: int, epochs: int) -> dict[str, Any]:
    """Return the scores of the student that ships, and what its program takes."""
    if not out.exists():
        hwkd.search(
            "cortex-m7", runtime="hwkd-c", task="text", data=data, max_flash=f"{_FLASH_KB}kB",
            trials=trials, full_epochs=epochs, workers=1, seed=seed, out=out,
        )  # fmt: skip
    best = hwkd.open(out).best
    if best is None or best.scores.test_int8 is None:
        raise RuntimeError(f"seed {seed}: no student was tested")
    linked = hwkd.verify(out, device="cortex-m7", inputs=_INPUTS).verification
    row = {
        "seed": seed,
        "test int8": best.scores.test_int8["accuracy"],
        "test float": (best.scores.test_float or {}).get("accuracy"),
        "flash [bytes]": linked.flash_bytes,
        "RAM [bytes]": linked.ram_bytes + linked.stack_bytes,
        "instructions": linked.instructions_per_inference,
        "values that differ": linked.mismatches.host_c,
    }
    print(*(f"{name}: {value}" for name, value in row.items()), sep=", ", flush=True)
    return row


if __name__ == "__main__":
    raise SystemExit(main())
