"""One student in several forms: stages of a compression, a ladder of widths, before and after."""

from __future__ import annotations

from statistics import fmean

from hwkd.core.finetune_record import FinetuneRecord
from hwkd.core.ladder_record import CapacityRecord, CompressionRecord, RungRecord
from hwkd.core.metric import Metric
from hwkd.core.run_record import RunRecord
from hwkd.report import format as fmt
from hwkd.report.document import Cell, Column, Table


def ladder_tables(run: RunRecord) -> tuple[Table, ...]:
    """Return the table of a compression, a ladder or a fine-tuning; none of another training."""
    found = []
    basis = run.device.basis.name
    if run.compression is not None:
        found.append(_compression(run.compression, basis))
    if run.capacity is not None:
        found.append(_capacity(run.capacity, basis))
    if run.finetune is not None:
        found.append(_finetune(run.finetune))
    return tuple(found)


def _compression(record: CompressionRecord, basis: str) -> Table:
    rungs = [*record.rungs, *(() if record.direct is None else (record.direct,))]
    rows = tuple(
        (
            *_row(rung, record.metric, ships=record.ships),
            Cell("; ".join(rung.closed) or "held"),
        )
        for rung in rungs
    )
    return Table(
        title=f"Compression by {record.of}, gates {', '.join(record.gates)}",
        columns=(*_columns("size", basis), Column(title="gates")),
        rows=rows,
        marked=frozenset(i for i, rung in enumerate(rungs) if rung.name == record.ships),
        note=" ".join(record.sentences),
    )


def _capacity(record: CapacityRecord, basis: str) -> Table:
    rows = tuple(
        (
            *_row(rung, record.metric, ships=record.ships),
            Cell(record.metric.text(fmean(rung.alone_test_int8))),
            Cell("" if rung.gain is None else rung.gain.text(record.metric)),
        )
        for rung in record.rungs
    )
    return Table(
        title="Capacity: the student at several widths",
        columns=(
            *_columns("width", basis),
            Column(title="test, int8, labels alone", basis="measured", is_number=True),
            Column(title="gain of the teacher", basis="measured"),
        ),
        rows=rows,
        marked=frozenset(i for i, r in enumerate(record.rungs) if r.name == record.ships),
        note=" ".join(record.sentences),
    )


def _finetune(record: FinetuneRecord) -> Table:
    rows = tuple(
        (
            Cell(name),
            *(
                Cell(record.metric.text(record.score(scores, split)))
                for split in ("validation", "test")
            ),
        )
        for name, scores in (
            (f"before: {record.student}", record.before),
            ("after (ships)", record.after),
        )
    )
    return Table(
        title="Fine-tuning: the student on the new data",
        columns=(Column(title="student"), *_measured_columns()),
        rows=rows,
        marked=frozenset({1}),
        note=" ".join(record.sentences),
    )


def _measured_columns() -> tuple[Column, ...]:
    return (
        Column(title="validation, int8", basis="measured", is_number=True),
        Column(title="test, int8", basis="measured", is_number=True),
    )


def _columns(name: str, basis: str) -> tuple[Column, ...]:
    return (
        Column(title=name),
        Column(title="parameters", is_number=True),
        Column(title="latency", basis=basis, is_number=True),
        Column(title="peak RAM", basis=basis, is_number=True),
        Column(title="flash", basis=basis, is_number=True),
        *_measured_columns(),
    )


def _row(rung: RungRecord, metric: Metric, *, ships: str) -> tuple[Cell, ...]:
    return (
        Cell(f"{rung.name} (ships)" if rung.name == ships else rung.name),
        Cell(fmt.integer(rung.params)),
        Cell(fmt.time(rung.latency_s)),
        Cell(fmt.kib(rung.peak_ram_bytes)),
        Cell(fmt.kib(rung.flash_bytes)),
        Cell(metric.text(fmean(rung.validation_int8))),
        Cell(metric.text(fmean(rung.test_int8))),
    )
