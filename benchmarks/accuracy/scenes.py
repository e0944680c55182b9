"""Things found, counted and outlined in scenes of things and grounds never seen, in int8.

python -m benchmarks.accuracy.scenes [--only detect|count|segment] [--data FOLDER]
    [--timeout 30min | --trials N | --quick] [--full-epochs N] [--taught [--seeds 1]] [--seed 0]
    [--workers N] [--out FOLDER]

Data comes from `tools.make_task_data`; a folder with the name of a task below `--data` is not made
again. Each task is searched on `cortex-m7` within its weights, with labels alone; what is judged is
the int8 file on the test split. With --taught a network that knows ImageNet (`tools.scene_teacher`)
teaches boxes and outlines, and what it gained over the best control is judged, too, over --seeds
trainings of each.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import hwkd
from benchmarks.lib.effort import add_effort, effort_of
from benchmarks.lib.verdict import Target, report
from tools.make_task_data import make_task_data
from tools.scene_teacher import as_teacher, make_scene_teacher

_MOST_WEIGHTS = {"detect": "60kB", "count": "60kB", "segment": "30kB"}
_WANTED = {"detect": ("mAP@50", 0.50), "count": ("F1", 0.80), "segment": ("mean IoU", 0.45)}
_TAUGHT = ("detect", "segment")
_GAIN = "gain of the teacher over the best control"
_WORDS = {
    "detect": "boxes of five classes, 96x96 grey, 60 kB",
    "count": "points of things, 96x96 grey, 60 kB",
    "segment": "outlines of five classes, 64x64, 30 kB",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(_WANTED))
    parser.add_argument("--data", type=Path, help="where folders of the tasks are, or are made")
    add_effort(parser)
    parser.add_argument("--taught", action="store_true", help="teach boxes and outlines")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of student and control")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=Path, help="where the folders of the runs are kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = arguments.data or Path(folder) / "data"
        rows = [
            _searched(task, place, (arguments.out or Path(folder)) / task, arguments)
            for task in ([arguments.only] if arguments.only else _WANTED)
        ]
    targets = [_judged(row) for row in rows]
    targets += [
        Target(f"{row['task']}: {_GAIN}", row[_GAIN], 0.0, at_least=True)
        for row in rows
        if _GAIN in row
    ]
    return report(targets, {"searches": rows})


def _searched(task: str, place: Path, out: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the scores of the student that ships, and what they took."""
    data = place / task
    if not data.is_dir():
        make_task_data(task, data)
    effort = effort_of(arguments)
    if arguments.taught and task in _TAUGHT:
        teacher = out.parent / f"{task}_teacher.onnx"
        teacher.parent.mkdir(parents=True, exist_ok=True)
        make_scene_teacher(data, teacher, task=task)
        effort |= as_teacher(teacher) | {"controls": arguments.seeds}
    else:
        effort["methods"] = ["none"]
    begun = time.monotonic()
    found = hwkd.search(
        "cortex-m7", task=task, data=data, max_weights=_MOST_WEIGHTS[task],
        workers=arguments.workers, seed=arguments.seed, out=out, **effort,
    )  # fmt: skip
    if found.best is None or found.best.scores.test_int8 is None:
        raise RuntimeError(f"{task}: no student was tested")
    scores = found.best.scores
    row = {
        "task": task,
        **{f"test int8 {name}": value for name, value in (scores.test_int8 or {}).items()},
        **{f"test float {name}": value for name, value in (scores.test_float or {}).items()},
        "students": len(found.records),
        "wall [min]": (time.monotonic() - begun) / 60,
    }
    verdict = found.best.verdict
    row |= {f"test int8 {arm.name}": statistics.mean(arm.test_int8) for arm in verdict.arms}
    if verdict.gain is not None and verdict.is_taught:
        row |= {_GAIN: verdict.gain.mean, "gain": verdict.gain.text(verdict.metric)}
    print(*(f"{name}: {value}" for name, value in row.items()), sep=", ", flush=True)
    return row


def _judged(row: dict[str, Any]) -> Target:
    metric, wanted = _WANTED[row["task"]]
    return Target(
        f"{_WORDS[row['task']]}: {metric} on test", row[f"test int8 {metric}"], wanted,
        at_least=True, scale=1.0, unit="",
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
