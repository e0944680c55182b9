"""What schemes of distillation are worth at equal processor time, beside their controls.

Every scheme has as many seconds as its control (the same without the edges that distil) and as
cross-entropy; a scheme of several phases divides its seconds among them. Accuracy is that of the
int8 file on the test split. A line of JSONL for each training, so that a run that was stopped goes
on. Trainings use one thread and are measured in seconds of a processor, which is their wall time
where nothing else runs and what a busy machine leaves alike.

    python -m benchmarks.distill.schemes --cells build/schemes.jsonl --seconds 60 --seeds 5
    python -m benchmarks.distill.schemes --cells build/all.jsonl --every --seeds 1
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.distill.setup import STUDENT_CHANNELS, load_data, student
from benchmarks.lib.scores import accuracy_ratio
from benchmarks.lib.verdict import report
from hwkd.core.catalog import SCHEMES
from hwkd.core.teaching import TrainingSet
from hwkd.core.verdict_record import Gain
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.engine.arms.evaluation import deploy_student, student_logits
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_course import train_scheme
from hwkd.engine.arms.scheme_stages import SchemeData
from hwkd.engine.arms.verdict import paired_gain
from hwkd.io.discovery import discover
from hwkd.tasks.base import TaskData
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.seeding import derive_seed

# The most promising for students below 50,000 parameters, by what is published.
FIRST = (
    "netaug", "netaug:distil=1", "multi_teacher", "multi_teacher:way=confidence", "early_exit",
    "dml:peers=2", "one", "pskd", "takd",
)  # fmt: skip
ALONE = "cross-entropy"
# More passes than any training makes in its time.
_MOST_EPOCHS = 10_000
_CALIBRATION = 256


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training: everything that its score depends on, and the clock.

    Attributes:
        scheme: as `--scheme` takes it, or `ALONE`.
        is_control: without the edges that distil.
        size: name of the student.
        images: of the train split that are learned from.
        seconds: of a processor, for all phases.
        data: fingerprint.
    """

    scheme: str
    is_control: bool
    size: str
    images: int
    seconds: float
    seed: int
    data: str

    def key(self) -> str:
        """Return the name of the cell in the file."""
        return json.dumps(asdict(self), sort_keys=True)


def train(cell: Cell, data: TaskData) -> dict[str, float]:
    """Train a cell; returns accuracies of its int8 file, 0 to 1, and passes over the data."""
    layers = student(cell.size, data)
    inputs = torch.from_numpy(np.array(data.train.inputs[: cell.images]))
    labels = torch.from_numpy(np.array(data.train.labels[: cell.images]))
    config = TrainConfig(
        epochs=_MOST_EPOCHS,
        batch_size=128,
        learning_rate=0.02,
        seed=derive_seed(cell.seed, layers.key, "cell"),
        time_budget_s=cell.seconds,
    )
    # The control of the past self is cross-entropy alone.
    scheme = parse_scheme("pskd" if cell.scheme == ALONE else cell.scheme)
    held = data.validation
    training = TrainingSet(copies=[inputs], labels=labels, head=data.head, batch_size=128)
    module, course = train_scheme(
        layers,
        SchemeData(
            training=training,
            batches=TensorBatches([inputs], labels),
            held_inputs=torch.from_numpy(np.array(held.inputs)),
            held_labels=torch.from_numpy(np.array(held.labels)),
        ),
        config,
        arm=Arm(name="cell", scheme=scheme, is_control=cell.is_control or cell.scheme == ALONE),
        clock=time.process_time,
    )
    with TemporaryDirectory() as folder:
        files = deploy_student(
            module, layers, Path(folder), calibration=inputs[:_CALIBRATION].numpy(), ranges="auto"
        )
        scores = {
            name: accuracy_ratio(
                student_logits(files.int8_path, data.split(name).inputs), data.split(name).labels
            )
            for name in ("validation", "test")
        }
    passes = course.finished[-1].training.epochs_made
    return {**scores, "passes": passes}


def cells_of(options: argparse.Namespace, data: TaskData) -> list[Cell]:
    """Return every training, seed by seed."""
    images = min(options.images, len(data.train))
    return [
        Cell(
            scheme=scheme, is_control=is_control, size=options.size, images=images,
            seconds=options.seconds, seed=seed, data=data.fingerprint[:12],
        )
        for seed in range(options.seeds)
        for scheme in (ALONE, *options.schemes)
        for is_control in ((False,) if scheme == ALONE else (False, True))
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what the file does not hold and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=None, help="images; none: the digits")
    parser.add_argument("--images", type=int, default=10_000, help="that are learned from")
    parser.add_argument("--size", default="8k", choices=STUDENT_CHANNELS)
    parser.add_argument("--schemes", nargs="+", default=FIRST)
    parser.add_argument("--every", action="store_true", help="every registered scheme")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each training")
    parser.add_argument("--cells", type=Path, required=True, help="JSONL; finished cells stay")
    options = parser.parse_args(arguments)
    if options.every:
        discover("hwkd.distill.schemes")
        options.schemes = SCHEMES.names()
    torch.set_num_threads(1)
    data = load_data(options.data)
    cells, found = cells_of(options, data), _read(options.cells)
    options.cells.parent.mkdir(parents=True, exist_ok=True)
    with options.cells.open("a") as out:
        for number, cell in enumerate(cells, start=1):
            if cell.key() in found:
                continue
            found[cell.key()] = score = train(cell, data)
            out.write(json.dumps({"cell": cell.key(), **score}) + "\n")
            out.flush()
            kind = "control of " if cell.is_control else ""
            print(f"[{number}/{len(cells)}] {kind}{cell.scheme}: {score['test']:.4f}", flush=True)
    return report([], {"seeds": options.seeds, "schemes": _rows(cells, found)})


def _rows(cells: Sequence[Cell], found: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Print each scheme with its gains over its control and over cross-entropy, and return them."""

    def scores(scheme: str, is_control: bool, of: str) -> list[float]:
        same = [c for c in cells if (c.scheme, c.is_control) == (scheme, is_control)]
        return [found[cell.key()][of] for cell in same]

    alone = scores(ALONE, False, "test")
    print(f"\n| scheme | int8 test | over its control | over {ALONE} |\n|---|--:|--:|--:|")
    print(f"| {ALONE} | {100 * np.mean(alone):.2f} % | | |")
    rows: list[dict[str, Any]] = [
        {"scheme": ALONE, "passes": np.mean(scores(ALONE, False, "passes")), "test": np.mean(alone)}
    ]
    for scheme in dict.fromkeys(cell.scheme for cell in cells if cell.scheme != ALONE):
        own, control = (scores(scheme, is_control, "test") for is_control in (False, True))
        over_control = paired_gain(own, control, over="control")
        over_alone = paired_gain(own, alone, over=ALONE)
        points = _points(over_control), _points(over_alone)
        print(f"| {scheme} | {100 * np.mean(own):.2f} % | {' | '.join(points)} |")
        rows.append(
            {
                "scheme": scheme,
                "passes": np.mean(scores(scheme, False, "passes")),
                "test": np.mean(own),
                "points over its control": points[0],
                "it is": over_control.verdict,
                f"points over {ALONE}": points[1],
                "that is": over_alone.verdict,
            }
        )
    return rows


def _points(gain: Gain) -> str:
    text = f"{100 * gain.mean:+.2f}"
    if gain.low is None or gain.high is None:
        return text
    return f"{text} ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})"


def _read(path: Path) -> dict[str, dict[str, float]]:
    """Return the finished cells of a file; a line that was cut off is not one."""
    found = {}
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[row.pop("cell")] = row
    return found


if __name__ == "__main__":
    sys.exit(main())
