"""A distillation benchmark from its options to its tables: students, arms, kinds of labels."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.distill.cells import (
    Cell,
    Row,
    Score,
    make_cells,
    rows,
    run_cells,
    show,
    show_markdown,
)
from benchmarks.distill.setup import (
    Labels,
    Place,
    load_data,
    parameters,
    student,
    teacher_accuracy,
)
from benchmarks.lib.results import Json


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every cell of a benchmark, trained.

    Attributes:
        place: of data and teacher.
        sizes: of the students.
        controls: arms without a teacher.
        length: of each training, in words.
        as_markdown: print one table for all students, as in docs/methods.md.
        scores: of all cells.
    """

    place: Place
    sizes: Sequence[str]
    controls: Sequence[str]
    length: str
    as_markdown: bool
    scores: Mapping[Cell, Score]

    @classmethod
    def trained(
        cls,
        chosen: argparse.Namespace,
        *,
        sizes: Sequence[str],
        controls: Sequence[str],
        methods: Sequence[str],
        known: Sequence[Labels],
    ) -> Grid:
        """Train what the file of cells does not hold yet.

        Args:
            chosen: by `benchmarks.distill.setup.parser`.
            sizes: of the students unless some were chosen.
            controls: arms without a teacher.
            methods: arms with one.
            known: kinds of labels.
        """
        place = Place(
            data=chosen.data, teacher=chosen.teacher, teacher_epochs=chosen.teacher_epochs
        )
        sizes = chosen.students or sizes
        cells = [
            cell
            for labels in known
            for cell in make_cells(
                place,
                sizes,
                [*controls, *methods],
                labels,
                seeds=chosen.seeds,
                epochs=chosen.epochs,
                batch=chosen.batch,
            )
        ]
        return cls(
            place=place,
            sizes=sizes,
            controls=controls,
            length=f"{chosen.epochs} epochs, {chosen.seeds} seeds",
            as_markdown=chosen.markdown,
            scores=run_cells(cells, place, chosen.cells, processes=chosen.processes),
        )

    def show(self, labels: Labels, title: str) -> list[Row]:
        """Print the tables of the students for a kind of labels; returns the rows of all.

        Args:
            labels: as they were given to `trained`.
            title: what is special about them.
        """
        data = load_data(self.place.data)
        accuracy = teacher_accuracy(self.place, labels)
        print(f"\n{data.source}, {title}; the teacher's test accuracy is {accuracy:.4f}")
        tables = {}
        for size in self.sizes:
            count = parameters(student(size, data))
            wanted = (size, labels)
            mine = {c: s for c, s in self.scores.items() if (c.student, c.labels) == wanted}
            tables[f"{size}: {count:,} parameters, {self.length}"] = rows(mine, self.controls)
        if self.as_markdown:
            show_markdown(tables)
        else:
            show(tables)
        return [row for table in tables.values() for row in table]


def stored(rows: Sequence[Row]) -> list[Json]:
    """Return rows as the file of results holds them: accuracies 0 to 1."""
    found: list[Json] = []
    for row in rows:
        gain = None if row.gain is None else round(row.gain.mean, 5)
        found.append({"arm": row.arm, "test": round(row.test, 5), "over": row.over, "gain": gain})
    return found
