"""What each distillation method adds to a training step, beside the step itself.

python -m tools.method_times [--write] [--json] [NAME ...]

The step is that of a 19,000-parameter keyword student at batch 128. `--write` renews the table that
`hwkd methods` shows; do it on a quiet machine. With names, only those are measured and renewed.
Fails if soft targets cost more than 5% of a step or a method more than 20 steps, contrastive memory
excepted: its paper asks for 16,384 negatives per sample.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from hwkd.core.catalog import METHODS
from hwkd.distill.method_times import STEPS_PER_STEP
from hwkd.distill.time_method import CLASSES, measure_method_s, measure_step_s, reference_student
from hwkd.io.discovery import discover
from hwkd.tasks.classes_head import ClassesHead

MOST_FOR_SOFT_TARGETS = 0.05
MOST_STEPS = 20.0
DEMANDED_BY_PAPER = {"crd"}
TABLE = Path(__file__).parents[1] / "hwkd" / "distill" / "method_times.py"


def main(arguments: list[str]) -> int:
    # Trials of a search run on one thread each.
    torch.set_num_threads(1)
    discover("hwkd.distill.losses")
    head = ClassesHead.numbered(CLASSES)
    step_s = measure_step_s(head, repeats=50)
    named = [name for name in arguments if not name.startswith("-")]
    # In steps of their own time, others are as they were.
    costs = {name: steps * step_s for name, steps in STEPS_PER_STEP.items()} if named else {}
    for name in named or METHODS.names():
        if METHODS.get(name).of_things:
            continue  # the student has no boxes
        costs[name] = measure_method_s(METHODS.get(name)(), head, repeats=100)
    parameters = sum(p.numel() for p in reference_student().parameters())
    if "--json" in arguments:
        print(json.dumps({"step_s": step_s, "methods_s": costs}))
    else:
        print(f"one step of a {parameters:,}-parameter student, batch 128: {step_s * 1e3:.2f} ms")
        for name, cost_s in sorted(costs.items(), key=lambda item: item[1]):
            print(f"{name:18} {cost_s * 1e3:9.3f} ms {cost_s / step_s:8.3f} steps")
    if "--write" in arguments:
        ordered = {name: costs[name] for name in sorted(costs)}
        TABLE.write_text(_module(step_s, ordered, parameters), encoding="utf-8")
    slow = [
        name
        for name, cost_s in costs.items()
        if cost_s > MOST_STEPS * step_s and name not in DEMANDED_BY_PAPER
    ]
    share = costs["kd"] / step_s
    is_good = share <= MOST_FOR_SOFT_TARGETS and not slow
    print(f"kd: {share:.1%} of a step; over 20 steps: {', '.join(slow) or 'none'}", file=sys.stderr)
    return 0 if is_good else 1


def _module(step_s: float, costs: dict[str, float], parameters: int) -> str:
    rows = "\n".join(f'        "{name}": {cost_s / step_s:.4f},' for name, cost_s in costs.items())
    measured_on = (
        f"{parameters:,}-parameter student, batch 128, processor time of "
        f"{torch.get_num_threads()} thread, torch {torch.__version__.split('+')[0]}"
    )
    return f'''"""What a method adds to a training step; written by `tools/method_times.py`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["MEASURED_ON", "STEPS_PER_STEP", "STEP_S"]

MEASURED_ON = "{measured_on}"
# Median of one step on hard labels, seconds of processor time.
STEP_S = {step_s:.6f}
# Method -> its forward and backward pass, in steps.
STEPS_PER_STEP: Mapping[str, float] = MappingProxyType(
    {{
{rows}
    }}
)
'''


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
