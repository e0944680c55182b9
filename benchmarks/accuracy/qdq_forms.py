"""Is every int8 ONNX file computed exactly, or refused with the true reason?

    python -m benchmarks.accuracy.qdq_forms           # every form of `benchmarks.lib.qdq_files`
    python -m benchmarks.accuracy.qdq_forms --only brevitas --inputs 32 --json

For each file: the C with float rounding, compiled for this computer, against ONNX Runtime, every
tensor and the output; then the .tflite file, whose integers TFLM runs, against the C that equals
it, and each layer of that C against ONNX Runtime. Exit code 1 when a file that has an exact form
differs or is refused, or one that has none is taken, or refused in other words.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.lib.qdq_files import FORMS, Form
from benchmarks.lib.verdict import Target, report
from hwkd.core.errors import ExportError, HwkdError
from hwkd.deploy.tflite_check import check_tflite, installed, seeded_steps
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_tflite import write_tflite
from hwkd.deploy.toolchain import find_host_compiler
from hwkd.deploy.verify import seeded_samples
from hwkd.deploy.verify_layers import LayerComparison
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host, run_host
from hwkd.qgraph.float_tail import without_float_tail
from hwkd.qgraph.read_qdq import read_qdq


@dataclass(kw_only=True)
class Row:
    """What one file showed.

    Attributes:
        form: its name.
        refused: the reader's message; "" where the file was read.
        values: int8 values compared with ONNX Runtime's, of all layers and inputs.
        mismatches: of them.
        averages_within_bound: averages that the order of a float sum decides.
        outputs_differing: outputs of inputs without such an average.
        tflite: "" where TFLM equals the C and each layer is ONNX Runtime's, else what is wrong or
            why there is no TFLite form.
        tflite_is_wrong: whether it is the former.
        fault: what is wrong; "" where the form is as it should be.
    """

    form: str
    refused: str = ""
    values: int = 0
    mismatches: int = 0
    averages_within_bound: int = 0
    outputs_differing: int = 0
    tflite: str = ""
    tflite_is_wrong: bool = False
    fault: str = ""


def check(name: str, form: Form, folder: Path, *, inputs: int) -> Row:
    """Write one file and try it every way."""
    row = Row(form=name)
    with without_float_tail(form.write(folder)) as (path, _):
        return _checked(row, form, path, inputs=inputs)


def _checked(row: Row, form: Form, path: Path, *, inputs: int) -> Row:
    folder = path.parent
    try:
        project = build_project(path)
    except HwkdError as error:
        row.refused = str(error).removeprefix(f"{path}: ")
        if not form.refusal:
            row.fault = "refused"
        elif form.refusal not in row.refused:
            row.fault = f"refused in other words than {form.refusal!r}"
        return row
    if form.refusal:
        row.fault = f"taken, expected {form.refusal!r}"
    samples = seeded_samples(path, inputs)
    steps = to_c_inputs(project, samples)
    comparison = LayerComparison(path, project)
    programs = build_host(project, _subfolder(folder, "c"), find_host_compiler())
    ours = run_host(programs.plain, project, steps).outputs
    comparison.add(steps, run_host(programs.traced, project, steps).step_outputs)
    row.values = sum(step.values for step in comparison.steps)
    row.mismatches = sum(step.differing for step in comparison.steps)
    row.averages_within_bound = sum(step.averages_within_bound for step in comparison.steps)
    same = ours == reference_outputs(path, project, samples)
    row.outputs_differing = int((~same[~comparison.has_other_tie]).sum())
    if row.mismatches or row.outputs_differing:
        row.fault = (
            f"{row.mismatches} of {row.values} values, {row.outputs_differing} outputs differ"
        )
    _check_tflite(row, path, inputs)
    return row


def _subfolder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _check_tflite(row: Row, path: Path, inputs: int) -> None:
    try:
        data = write_tflite(read_qdq(path))
        project = build_project(path, rounding="tflite")
    except ExportError as error:
        row.tflite = str(error).removeprefix(f"{path}: ")
        return
    found = check_tflite(data, path, project, seeded_steps(project, inputs))
    wrong = [
        f"{item.mismatches} outputs of {item.interpreter} differ from the C"
        for item in found.against_c
        if item.mismatches and item.interpreter == "tflite-micro"
    ]
    wrong += found.layers.faults if found.layers else ()
    if wrong:
        row.tflite, row.tflite_is_wrong = "; ".join(wrong), True
        row.fault = row.fault or row.tflite


def main(arguments: Sequence[str] | None = None) -> int:
    """Check all forms and print a table; returns 1 when one is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="forms whose name holds this")
    parser.add_argument("--inputs", type=int, default=16)
    given = parser.parse_args(arguments)
    rows = []
    for name, form in FORMS.items():
        if given.only not in name:
            continue
        with TemporaryDirectory() as folder:
            rows.append(check(name, form, Path(folder), inputs=given.inputs))
        print(f"{name}: {rows[-1].fault or 'as it should be'}", file=sys.stderr, flush=True)
    _print(rows)
    wrong = sum(bool(row.fault) for row in rows)
    refused = sum(bool(row.refused) and not row.fault for row in rows)
    return report(
        [Target(f"wrong of {len(rows)} int8 files of other tools", wrong, 0, scale=1, unit="")],
        {"exact": len(rows) - wrong - refused, "refused with the expected reason": refused},
    )


def _print(rows: list[Row]) -> None:
    table = Table(title="C against ONNX Runtime, all layers; TFLite file against both")
    for column in ("form", "values", "differ", "ties", "TFLite", "refused with"):
        table.add_column(column, overflow="fold")
    for row in rows:
        numbers = (row.values, row.mismatches + row.outputs_differing, row.averages_within_bound)
        shown = ("", "", "") if row.refused else tuple(f"{number:,}" for number in numbers)
        tflite = "" if row.refused else row.tflite or ("equal" if installed() else "not run")
        table.add_row(row.form, *shown, tflite, row.refused)
    Console(width=160).print(table)


if __name__ == "__main__":
    np.seterr(all="raise")
    sys.exit(main())
