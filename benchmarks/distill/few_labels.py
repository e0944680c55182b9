"""What a teacher is worth when labels are few: 1%, 10% and all of them, the rest without labels.

python -m benchmarks.distill.few_labels --data FASHION_MNIST --cells runs/few_labels.jsonl
    [--teacher-sees labelled] [--epochs 10] [--seeds 3]

The distilled student sees every training image and the labels of a part; the controls see that
part, for as many steps. The teacher has seen all labels (`--teacher-sees all`: it stands for one
that was trained elsewhere) or those that the student sees (`labelled`). A gain is the paired
difference in test accuracy to the control that was best on validation, with its 95% Student-t
interval. Fails if the gain is under +3 points at 1% or +1 at 10%. A killed run goes on where it
was with the same command.
"""

from __future__ import annotations

import sys

from benchmarks.distill.cells import CONTROLS, NO_TEACHER
from benchmarks.distill.grid import Grid, stored
from benchmarks.distill.setup import Labels, parser
from benchmarks.lib.verdict import Target, report

LEAST_GAIN = {0.01: 0.03, 0.10: 0.01}


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--shares", nargs="+", type=float, default=(0.01, 0.10, 1.0))
    options.add_argument("--method", default="kd:temperature=2")
    options.add_argument("--teacher-sees", choices=("all", "labelled"), default="all")
    chosen = options.parse_args(arguments)
    known = [Labels(share=share, teacher_sees=chosen.teacher_sees) for share in chosen.shares]
    grid = Grid.trained(
        chosen,
        sizes=("8k", "20k"),
        controls=(*CONTROLS, f"{NO_TEACHER}{chosen.method}"),
        methods=[chosen.method],
        known=known,
    )
    targets, values = [], {}
    for labels in known:
        title = f"{labels.share:.0%} of labels, the teacher saw {chosen.teacher_sees}"
        found = grid.show(labels, title)
        values[title] = stored(found)
        gain = min(row.gain.mean for row in found if row.gain is not None)
        if labels.share in LEAST_GAIN:
            least = LEAST_GAIN[labels.share]
            targets.append(Target(f"least gain with {title}", gain, least, True, unit=" points"))
    return report(targets, values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
