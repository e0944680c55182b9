"""Float, int8 after training and int8 from training, side by side."""

from __future__ import annotations

from hwkd.core.final_record import QuantisationChoiceRecord
from hwkd.report.document import Cell, Column, Table

_RANGES = {
    "minmax": "ranges by minimum and maximum",
    "percentile": "ranges by percentiles",
    "mse": "ranges of least squared error",
}

_NOTE = "Chosen on validation; the test split took no part."
_TRAINED_NOTE = (
    " The int8 file has weights of its own, which quantising student.onnx again does not give."
)
_BEFORE_NOTE = " Scores are from before the student learned the validation examples."


def quantisation_table(choice: QuantisationChoiceRecord, *, learns_all: bool = False) -> Table:
    """List what each form reached on the validation split, by which the int8 file was chosen.

    Args:
        learns_all: the student learned from that split afterwards.
    """
    how = ", ".join((_RANGES[choice.calibration], *choice.corrections))
    rows = [
        _row("float32", "", choice.validation_float, choice),
        _row("int8 after training", how, choice.validation_ptq, choice, form="ptq"),
    ]
    if choice.validation_qat is not None:
        what = f"{choice.qat_epochs} more epochs with simulated rounding"
        rows.append(_row("int8 from training", what, choice.validation_qat, choice, form="qat"))
    return Table(
        title="What 8 bits cost",
        columns=(
            Column(title="weights and activations"),
            Column(title="made by"),
            Column(title=f"validation {choice.metric.name}", basis="measured", is_number=True),
            Column(title="against float", basis="measured", is_number=True),
            Column(title="verdict"),
        ),
        rows=tuple(rows),
        note="".join(
            (
                _NOTE,
                _TRAINED_NOTE if choice.ships == "qat" else "",
                _BEFORE_NOTE if learns_all else "",
            )
        ),
    )


def _row(
    name: str,
    how: str,
    score: float,
    choice: QuantisationChoiceRecord,
    *,
    form: str = "float",
) -> tuple[Cell, ...]:
    metric = choice.metric
    gain = metric.gain(score, choice.validation_float)
    return (
        Cell(name),
        Cell(how),
        Cell(metric.text(score)),
        Cell("" if form == "float" else metric.difference(gain)),
        Cell("ships" if form == choice.ships else ""),
    )
