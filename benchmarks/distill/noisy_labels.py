"""What a teacher is worth when labels are wrong: a part of them replaced by another class.

python -m benchmarks.distill.noisy_labels --data FASHION_MNIST --cells runs/noisy_labels.jsonl
    [--teacher-sees labelled] [--noise 0.2 0.4] [--epochs 10] [--seeds 3]

Students and controls see the same wrong labels; validation and test labels are right. The teacher
has seen the right labels (`--teacher-sees all`: one that was trained elsewhere) or the wrong ones
(`labelled`). A gain is the paired difference in test accuracy to the control that was best on
validation, with its 95% Student-t interval. Nothing is passed or failed here. A killed run goes on
where it was with the same command.
"""

from __future__ import annotations

import sys

from benchmarks.distill.cells import CONTROLS
from benchmarks.distill.grid import Grid, stored
from benchmarks.distill.setup import Labels, parser
from benchmarks.lib.verdict import report


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--noise", nargs="+", type=float, default=(0.2, 0.4))
    options.add_argument("--methods", nargs="+", default=("kd:temperature=2", "kd:temperature=4"))
    options.add_argument("--teacher-sees", choices=("all", "labelled"), default="labelled")
    chosen = options.parse_args(arguments)
    known = [Labels(noise=noise, teacher_sees=chosen.teacher_sees) for noise in chosen.noise]
    grid = Grid.trained(
        chosen, sizes=("8k",), controls=CONTROLS, methods=chosen.methods, known=known
    )
    values = {}
    for labels in known:
        title = f"{labels.noise:.0%} of labels wrong, the teacher saw {chosen.teacher_sees}"
        values[title] = stored(grid.show(labels, title))
    return report([], values)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
