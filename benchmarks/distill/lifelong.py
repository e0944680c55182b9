"""Classes in five tasks of two: what is forgotten with and without the network before.

Every way trains the same student for as many passes over each task. Fine-tuning has neither a
network before nor exemplars; joint training has all classes at once. Accuracy is on the test split,
in float, among the classes known then.

    python -m benchmarks.distill.lifelong --seeds 3
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.distill.setup import STUDENT_CHANNELS, load_data, student
from benchmarks.lib.verdict import Target, report
from hwkd.core.final_record import LifelongRecord
from hwkd.core.metric import ACCURACY
from hwkd.core.teaching import TrainingSet
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_course import learned_in_turn, train_scheme
from hwkd.engine.arms.scheme_stages import SchemeData
from hwkd.tasks.base import TaskData
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.loop import predict_logits

# Name -> scheme, and whether it is without what the network before teaches.
WAYS = {
    "fine-tuning": ("lifelong:tasks=5,exemplars=0", True),
    "exemplars alone": ("lifelong:tasks=5,exemplars=20", True),
    "LwF": ("lifelong:tasks=5,exemplars=0,way=lwf", False),
    "POD": ("lifelong:tasks=5,exemplars=20,way=pod", False),
    "iCaRL": ("lifelong:tasks=5,exemplars=20", False),
}
# The control of the past self is cross-entropy alone.
JOINT = "pskd"


def train(
    text: str, data: TaskData, *, is_control: bool, size: str, config: TrainConfig
) -> tuple[float, LifelongRecord | None]:
    """Return the accuracy over all classes at the end, 0 to 1, and what is left of each task."""
    inputs = torch.from_numpy(np.array(data.train.inputs))
    labels = torch.from_numpy(np.array(data.train.labels))
    arm = Arm(name="cell", scheme=parse_scheme(text), is_control=is_control)
    module, course = train_scheme(
        student(size, data),
        SchemeData(
            training=TrainingSet(
                copies=[inputs], labels=labels, head=data.head, batch_size=config.batch_size
            ),
            batches=TensorBatches([inputs], labels),
            held_inputs=torch.from_numpy(np.array(data.validation.inputs)),
            held_labels=torch.from_numpy(np.array(data.validation.labels)),
        ),
        config,
        arm=arm,
    )
    tested = torch.from_numpy(np.array(data.test.inputs))
    wanted = torch.from_numpy(np.array(data.test.labels))
    right = data.scores("test", predict_logits(module, tested).numpy())[ACCURACY.name]
    return right, learned_in_turn(arm, course, tested, wanted, data.head)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="images; none: the digits")
    parser.add_argument("--size", default="8k", choices=STUDENT_CHANNELS)
    parser.add_argument("--epochs", type=int, default=15, help="of each task")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(given.data)
    forgotten: dict[str, float] = {}
    rows: dict[str, Any] = {}
    print("| way | accuracy at the end | forgetting | forward transfer |\n|---|--:|--:|--:|")
    for name, (text, is_control) in {**WAYS, "joint": (JOINT, True)}.items():
        found = [
            train(
                text, data, is_control=is_control, size=given.size,
                config=TrainConfig(
                    epochs=given.epochs, batch_size=32, learning_rate=0.003, seed=seed
                ),
            )
            for seed in range(given.seeds)
        ]  # fmt: skip
        rows[name] = {"accuracy": float(np.mean([right for right, _ in found]))}
        records = [record for _, record in found if record is not None]
        shown = " | "
        if records:
            forgotten[name] = float(np.mean([record.forgetting for record in records]))
            ahead = float(np.mean([record.forward_transfer for record in records]))
            rows[name] |= {"forgetting": forgotten[name], "forward transfer": ahead}
            shown = f"{100 * forgotten[name]:.1f} | {100 * ahead:+.1f}"
        print(f"| {name} | {100 * rows[name]['accuracy']:.1f} % | {shown} |", flush=True)
    ratio = forgotten["iCaRL"] / max(forgotten["fine-tuning"], 1e-9)
    return report(
        [Target("forgetting of iCaRL, of that of fine-tuning", ratio, 0.5)], {"ways": rows}
    )


if __name__ == "__main__":
    sys.exit(main())
