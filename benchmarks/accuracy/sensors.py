"""Anomalies of a machine and gestures of people never seen, from the package's data to int8.

python -m benchmarks.accuracy.sensors [--only anomaly|gesture] [--seed 0] [--seeds 1] [--quick]
       [--trials 12] [--full-epochs N]

Data comes from `tools.make_task_data`. Networks are searched within the budget of their task, and
what is judged is the int8 file on the test split. Each seed of the gestures draws anew which two
people test; of several seeds, means are judged. Takes about ten minutes; with `--quick`, which
compares three networks instead of twelve, about three. `--full-epochs` shortens the last trainings.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import hwkd
from benchmarks.lib.verdict import Target, report
from tools.make_task_data import make_task_data

OPTIONS: dict[str, dict[str, Any]] = {
    "anomaly": {"label": "anomaly", "false_alarms": "0.1%", "methods": ["none"]},
    # What learned from labels alone goes on with the people of validation, a quarter of all known.
    "gesture": {
        "label": "exercise",
        "group": "subject",
        "window": "8s",
        "stride": "1s",
        "methods": ["none"],
    },
}
WANTED_FALSE_ALARMS = 0.001


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(OPTIONS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="of the gestures")
    parser.add_argument("--trials", type=int, default=12, help="networks to compare")
    parser.add_argument("--full-epochs", type=int, help="of the last trainings")
    parser.add_argument("--quick", action="store_true", help="compare three networks")
    arguments = parser.parse_args()
    targets: list[Target] = []
    trials = 3 if arguments.quick else arguments.trials
    values: dict[str, dict[str, float]] = {}
    for task in [arguments.only] if arguments.only else sorted(OPTIONS):
        count = arguments.seeds if task == "gesture" else 1
        found = [
            _scores(task, seed, trials=trials, epochs=arguments.full_epochs)
            for seed in range(arguments.seed, arguments.seed + count)
        ]
        values |= {f"{task}, seed {arguments.seed + at}": each for at, each in enumerate(found)}
        targets += _judged(task, {name: fmean(each[name] for each in found) for name in found[0]})
    return report(targets, values)


def _scores(task: str, seed: int, *, trials: int, epochs: int | None) -> dict[str, float]:
    """Return what the shipped student reaches on test in int8."""
    with tempfile.TemporaryDirectory() as folder:
        data = make_task_data(task, Path(folder) / f"{task}.csv")
        found = hwkd.search(
            "cortex-m4", task=task, data=data, seed=seed, workers=1, trials=trials,
            full_epochs=epochs, out=Path(folder) / "run", **OPTIONS[task],
        )  # fmt: skip
        if found.best is None or found.best.scores.test_int8 is None:
            raise RuntimeError(f"{task}: no student was tested")
        return dict(found.best.scores.test_int8)


def _judged(task: str, scores: dict[str, float]) -> list[Target]:
    if task == "gesture":
        return [
            Target("windows of people never seen", scores["accuracy"], 0.900, at_least=True),
            Target("their recordings", scores["recording accuracy"], 0.960, at_least=True),
        ]
    alarms = scores["false alarms"]
    apart = max(alarms, WANTED_FALSE_ALARMS) / max(1e-9, min(alarms, WANTED_FALSE_ALARMS))
    return [
        Target("Shuttle, average precision", scores["average precision"], 0.990, at_least=True),
        Target("false alarms on test beside those asked for", apart, 2.0, scale=1.0, unit=" x"),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
