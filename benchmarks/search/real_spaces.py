"""The product's sampler against one of Optuna's on real spaces, for equal minutes of training.

usage: nice python -m benchmarks.search.real_spaces --rows FOLDER [--seeds 10] [--minutes 5]
           [--rival tpe] [OPTION ...]

Fashion-MNIST as PNG files, 500 of a class, on a Cortex-M4 with at most 10 kB of weights, three
spaces and four objectives: `hwkd search` with one worker, no teacher and no final training, so that
all its time goes to candidates. Samplers take turns, seed by seed. Every finished search is a file
in FOLDER, `SAMPLER-SEED.json`; what is there is not searched again. Options that this program does
not know go to `hwkd search`.

Both fronts of a seed, errors of the int8 files on validation and estimated costs, are measured from
one corner, a tenth beyond the worst of what the two fronts hold together. "Trainings to the rival's
front" is how many trainings reach the rival's final hypervolume, in shares of the rival's; a search
that never does counts as one training more than it made.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks.lib.hypervolume import hypervolume
from benchmarks.lib.search_command import run_search_command
from benchmarks.lib.verdict import Target, count, report
from benchmarks.search.search_limits import write_pictures
from hwkd.core.pareto import dominates
from hwkd.core.trial import read_trial_line
from hwkd.io.run_files import TRIALS_FILE
from hwkd.io.run_text import write_text

Point: TypeAlias = tuple[float, ...]

OURS = "surrogate"
SPACES = ("depthwise", "narrow_deep", "linear_attention")
LIMITS = ("--device", "cortex-m4", "--max-weights", "10kB")
HOW = ("--objective", "pareto", "--method", "none", "--no-final", "--workers", "1")
BETTER_SHARE, TRAININGS_SHARE = 0.9, 1 / 3
COVERAGE = (0.70, 0.90)  # of the 80% intervals of predicted accuracy
_MARGIN = 0.1  # of the reference corner beyond the fronts, in shares of their range


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--rows", type=Path, required=True, help="folder of finished searches")
    parser.add_argument("--rival", default="tpe", help="sampler of Optuna's")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each search")
    arguments, passed_on = parser.parse_known_args()
    spaces = [part for name in SPACES for part in ("--space", name)]
    settings = {
        "options": [*LIMITS, *HOW, *spaces, *passed_on],
        "minutes": arguments.minutes,
    }
    arguments.rows.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hwkd-spaces-") as temporary:
        folder = Path(temporary)
        data: Path | None = None
        for seed in range(arguments.seeds):
            for sampler in (OURS, arguments.rival):
                row = arguments.rows / f"{sampler}-{seed}.json"
                if _found(row, settings) is None:
                    data = data or write_pictures(arguments.source, folder / "pictures")
                    made = searched(data, sampler, seed, settings, folder)
                    write_text(row, json.dumps({"settings": settings, **made}) + "\n")
    return report(*judged(arguments.rows, arguments.rival, arguments.seeds, settings))


def searched(
    data: Path, sampler: str, seed: int, settings: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Search once; returns its trainings in order, the wall time and how many were rejected."""
    run = folder / f"{sampler}-{seed}"
    options = [
        "--data", str(data), *settings["options"], "--sampler", sampler, "--seed", str(seed),
        "--timeout", f"{60 * settings['minutes']:g}s", "--out", str(run),
    ]  # fmt: skip
    begun = time.monotonic()
    run_search_command(options, cache=folder / "cache")
    lines = (run / TRIALS_FILE).read_text(encoding="utf-8").splitlines()
    records = [read_trial_line(line, where=f"{run}/{TRIALS_FILE}") for line in lines]
    points, held = [], []
    for record in sorted(records, key=lambda record: record.number):
        if record.state == "completed" and record.cost is not None:
            assert record.objective is not None and record.cost.latency_s is not None
            costs = (record.cost.latency_s, record.cost.peak_ram_bytes, record.cost.flash_bytes)
            error = record.objective.task_error
            points.append([error, *map(float, costs)])
            predicted = None if record.proposal is None else record.proposal.task_error
            if predicted is not None:
                held.append(predicted.holds(error))
    return {
        "points": points,
        "intervals that held": held,
        "candidates": len(records),
        "wall s": round(time.monotonic() - begun, 1),
    }


def judged(
    rows: Path, rival: str, seeds: int, settings: Mapping[str, Any]
) -> tuple[list[Target], dict[str, Any]]:
    """Compare the finished searches of each seed."""
    table, held = [], []
    for seed in range(seeds):
        ours, theirs = (_found(rows / f"{name}-{seed}.json", settings) for name in (OURS, rival))
        if not ours or not ours["points"] or not theirs or not theirs["points"]:
            raise SystemExit(f"seed {seed}: a search without any training; give more --minutes")
        held += ours["intervals that held"]
        points = [[tuple(point) for point in found["points"]] for found in (ours, theirs)]
        table.append({"seed": seed, **compared(*points)})
    better = sum(row["volume"] > row["rival's"] for row in table)
    shares = [row["to the rival's front"] / row["rival's trainings"] for row in table]
    targets = [
        count(f"seeds of {seeds} with more hypervolume than {rival}", better,
              BETTER_SHARE * seeds, at_least=True),
        Target("trainings to the rival's front, median", statistics.median(shares),
               TRAININGS_SHARE),
    ]  # fmt: skip
    if held:
        share, what = sum(held) / len(held), "80% intervals of predicted accuracy cover"
        targets += [Target(what, share, COVERAGE[0], True), Target(what, share, COVERAGE[1])]
    return targets, {"predictions": len(held), "searches": table}


def compared(ours: Sequence[Point], theirs: Sequence[Point]) -> dict[str, Any]:
    """Compare two searches.

    Args:
        ours: error and costs of each training, in order.
        theirs: those of the rival.
    """
    together = np.array(front([*ours, *theirs]))
    best, worst = together.min(0), together.max(0)
    corner = worst + _MARGIN * (worst - best) + 1e-12
    scale = corner - best

    def volume(points: Sequence[Point]) -> float:
        placed = (np.array(points) - best) / scale
        return hypervolume(front(list(map(tuple, placed.tolist()))), (1.0,) * len(scale))

    goal = volume(theirs)
    needed = next((n for n in range(1, len(ours) + 1) if volume(ours[:n]) >= goal), len(ours) + 1)
    return {
        "volume": round(volume(ours), 4),
        "rival's": round(goal, 4),
        "trainings": len(ours),
        "rival's trainings": len(theirs),
        "to the rival's front": needed,
    }


def front(points: Sequence[Point]) -> list[Point]:
    """Return the undominated points, each once."""
    distinct = sorted(set(points))
    return [one for one in distinct if not any(dominates(other, one) for other in distinct)]


def _found(row: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a finished search; None where there is none.

    Raises:
        SystemExit: if it was another one.
    """
    if not row.is_file():
        return None
    found: dict[str, Any] = json.loads(row.read_text(encoding="utf-8"))
    if found["settings"] != json.loads(json.dumps(settings)):
        raise SystemExit(f"{row}: holds a search with other options; give another --rows")
    return found


if __name__ == "__main__":
    sys.exit(main())
