"""What a teacher is worth when labels are few: 1%, 10% and all of them, the rest without labels.

python -m benchmarks.distil_few_labels --data FASHION_MNIST --cells runs/few_labels.jsonl
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

from benchmarks.distil_cells import CONTROLS, NO_TEACHER, Cell, make_cells, rows, run_cells, show
from benchmarks.distil_setup import (
    Labels,
    Place,
    load_data,
    parameters,
    parser,
    student,
    teacher_accuracy,
)

LEAST_GAIN = {0.01: 0.03, 0.10: 0.01}


def main(arguments: list[str]) -> int:
    options = parser(__doc__ or "")
    options.add_argument("--shares", nargs="+", type=float, default=(0.01, 0.10, 1.0))
    options.add_argument("--method", default="kd:temperature=2")
    options.add_argument("--teacher-sees", choices=("all", "labelled"), default="all")
    chosen = options.parse_args(arguments)
    place = Place(data=chosen.data, teacher=chosen.teacher, teacher_epochs=chosen.teacher_epochs)
    sizes = chosen.students or ("8k", "20k")
    controls = (*CONTROLS, f"{NO_TEACHER}{chosen.method}")
    known = [Labels(share=share, teacher_sees=chosen.teacher_sees) for share in chosen.shares]
    cells: list[Cell] = []
    for labels in known:
        cells += make_cells(
            place,
            sizes,
            [*controls, chosen.method],
            labels,
            seeds=chosen.seeds,
            epochs=chosen.epochs,
            batch=chosen.batch,
        )
    scores = run_cells(cells, place, chosen.cells, processes=chosen.processes)
    is_good = True
    for labels in known:
        print(
            f"\n{labels.share:.0%} of labels; the teacher saw {chosen.teacher_sees}: test accuracy "
            f"{teacher_accuracy(place, labels):.4f}"
        )
        for size in sizes:
            mine = {c: s for c, s in scores.items() if (c.student, c.labels) == (size, labels)}
            count = parameters(student(size, load_data(place.data)))
            print(f" {size}: {count:,} parameters, {chosen.epochs} epochs, {chosen.seeds} seeds")
            table = rows(mine, controls)
            show(table)
            least = LEAST_GAIN.get(labels.share, -1.0)
            is_good = is_good and all(row.gain is None or row.gain.mean >= least for row in table)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
