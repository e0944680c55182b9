"""How good the teacher is that hwkd trains, and for how much processor time.

Run: python benchmarks/accuracy/teacher.py [--data PATH] [--seeds 1] [--time-budget 300s] [--json]
Without --data: the handwritten digits, target .985 on validation. Fashion-MNIST:
--data /usr/share/datasets/fashion-mnist, target .93. Trains afresh in a temporary cache. Processor
seconds change less on a busy machine than wall seconds; both are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from hwkd.core.units import parse_duration_s
from hwkd.tasks.classification import ClassifyTask
from hwkd.train.logit_cache import cached_logits
from hwkd.train.teacher import require_knowledge
from hwkd.train.teacher_trained import TeacherTraining, train_or_load_teacher

TARGET_DIGITS, TARGET_OTHER = 0.985, 0.93


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--time-budget")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    budget_s = args.time_budget and parse_duration_s(args.time_budget, option="--time-budget")
    rows = []
    for seed in range(args.seeds):
        training = TeacherTraining(seed=seed, epochs=args.epochs, time_budget_s=budget_s or None)
        rows.append(measure(args.data, training))
        if not args.json:
            print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    target = TARGET_DIGITS if args.data is None else TARGET_OTHER
    mean = sum(row["validation_accuracy"] for row in rows) / len(rows)
    if args.json:
        print(json.dumps({"target": target, "mean_validation_accuracy": mean, "rows": rows}))
    else:
        print(f"mean validation accuracy {mean:.4f}, target {target}, ratio {mean / target:.4f}")
    sys.exit(0 if mean >= target else 1)


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
        require_knowledge(teacher, data, validation_outputs=logits)
        accuracy = data.head.scores(logits, data.validation.labels)["accuracy"]
    return {
        "seed": training.seed,
        "validation_accuracy": round(accuracy, 4),
        "train_s": round(train_s, 1),
        "train_processor_s": round(train_cpu_s, 1),
        "threads": torch.get_num_threads(),
        "teacher": teacher.description,
    }


if __name__ == "__main__":
    main()
