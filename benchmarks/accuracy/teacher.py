"""How good the teacher is that hwkd trains, and for how much processor time.

Run: python benchmarks/accuracy/teacher.py [--data PATH] [--seeds 1] [--time-budget 300s] [--json]
Without --data: the handwritten digits, target .985 on validation. Fashion-MNIST:
--data /usr/share/datasets/fashion-mnist, target .93. Trains afresh in a temporary cache. Processor
seconds change less on a busy machine than wall seconds; both are printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.lib.verdict import Target, report
from hwkd.core.units import parse_duration_s
from hwkd.tasks.classification import ClassifyTask
from hwkd.train.logit_cache import cached_logits
from hwkd.train.teacher import require_knowledge
from hwkd.train.teacher_trained import TeacherTraining, train_or_load_teacher

TARGET_DIGITS, TARGET_OTHER = 0.985, 0.93


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--time-budget")
    parser.add_argument("--epochs", type=int)
    args = parser.parse_args()
    budget_s = args.time_budget and parse_duration_s(args.time_budget, option="--time-budget")
    rows = []
    for seed in range(args.seeds):
        training = TeacherTraining(seed=seed, epochs=args.epochs, time_budget_s=budget_s or None)
        rows.append(measure(args.data, training))
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    target = TARGET_DIGITS if args.data is None else TARGET_OTHER
    mean = sum(row["validation_accuracy"] for row in rows) / len(rows)
    name = "the digits" if args.data is None else args.data.name
    what = f"validation accuracy of the teacher on {name}, mean of {args.seeds}"
    return report([Target(what, mean, target, at_least=True)], {"seeds": rows})


def measure(source: Path | None, training: TeacherTraining) -> dict[str, Any]:
    data = ClassifyTask().data(source)
    with tempfile.TemporaryDirectory() as folder:
        cache_dir = Path(folder)
        wall, processor = time.monotonic(), time.process_time()
        teacher = train_or_load_teacher(
            data, training, device=torch.device("cpu"), cache_dir=cache_dir / "teachers"
        )
        train_s, train_cpu_s = time.monotonic() - wall, time.process_time() - processor
        logits = cached_logits(teacher, data, split="validation", cache_dir=cache_dir / "logits")
        outputs = logits.astype(np.float32)
        require_knowledge(teacher, data, validation_outputs=outputs)
        accuracy = data.head.scores(outputs, data.validation.labels)["accuracy"]
    return {
        "seed": training.seed,
        "validation_accuracy": round(accuracy, 4),
        "train_s": round(train_s, 1),
        "train_processor_s": round(train_cpu_s, 1),
        "threads": torch.get_num_threads(),
        "teacher": teacher.description,
    }


if __name__ == "__main__":
    sys.exit(main())
