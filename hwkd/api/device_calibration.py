"""From a measurement CSV and ONNX files to coefficients in a device file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hwkd.api.calibrate import CalibrationDone
from hwkd.api.device_file import with_calibration
from hwkd.core.choices import Dtype, FitKind
from hwkd.core.device import Device
from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.memory_model import FusionRules
from hwkd.core.progress import Progress, silent
from hwkd.cost.fit.calibrate import (
    Calibration,
    calibrate_model,
    known_stacks,
    refuse_outlier,
    refuse_worse,
)
from hwkd.cost.fit.credible import refuse_operators_without_cost
from hwkd.cost.fit.design import Measurement
from hwkd.cost.fit.rows import MeasuredRow, read_measurements
from hwkd.cost.fuse import fuse
from hwkd.io.device_catalog import device_names, load_device, parse_device
from hwkd.io.paths import written_atomically
from hwkd.trace.onnx_file import load_graph


def calibrate_file(
    device_path: Path,
    csv_path: Path,
    runtime: str | None,
    dtype: Dtype,
    fit: FitKind,
    *,
    keeps_outliers: bool,
    write: bool,
    progress: Progress = silent,
) -> CalibrationDone:
    """Calibrate one runtime of a user's device file.

    Args:
        device_path: the file; it is replaced in one step when everything went well.
        csv_path: measurements; the ONNX files that it names are looked up beside it.
        runtime: the device's default when None.
        keeps_outliers: fit to a row, too, that is far from the others or from what is known, and
            keep a fit that predicts rows left out worse than the start did.
        write: False to leave the file alone.
        progress: told about every row, and while coefficients are fitted.

    Raises:
        ConfigError: for anything wrong in the device file, the CSV or the options.
    """
    if str(device_path) in device_names():
        raise ConfigError(
            f"{device_path} is a packaged device; start your own with "
            f"`hwkd devices new my-board.toml --like {device_path}`"
        )
    device = load_device(str(device_path))
    name = device.default_runtime if runtime is None else runtime
    order = _Order(runtime=name, dtype=dtype, fit=fit, keeps_outliers=keeps_outliers)
    done = _calibrate(device, csv_path, order, progress=progress)
    if write:
        _write(device_path, name, dtype, done)
    interval = done.model.interval
    return CalibrationDone(
        device=device.name,
        runtime=name,
        dtype=dtype,
        rows=done.rows,
        started_from=done.started_from,
        error_before=done.error_before_ratio,
        error_after=done.error_after_ratio,
        interval=(interval.low_ratio, interval.high_ratio),
        interval_from=interval.calibrated_on,
        is_written=write,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is fitted, and to which rows; see `calibrate_file`."""

    runtime: str
    dtype: Dtype
    fit: FitKind
    keeps_outliers: bool


def _calibrate(device: Device, csv_path: Path, order: _Order, *, progress: Progress) -> Calibration:
    rows = read_measurements(csv_path)
    stack = device.runtime(order.runtime)
    graphs: dict[str, OpGraph] = {}
    for done, row in enumerate(rows):
        progress("read models", done, len(rows), row.model)
        if row.model not in graphs:
            graphs[row.model] = _executed(csv_path, row, stack.fusion)
    measurements = [
        _measurement(csv_path, device, row, graphs[row.model], stack.cycles_scale) for row in rows
    ]
    refuse_operators_without_cost(measurements, order.dtype)
    progress("fit coefficients", 0, 1)
    packaged = [load_device(name) for name in device_names()]
    today = datetime.now(UTC).date().isoformat()
    digest = hashlib.sha256(csv_path.read_bytes()).hexdigest()[:12]
    known = known_stacks(device, order.runtime, order.dtype, packaged)
    if not order.keeps_outliers:
        refuse_outlier(measurements, known, file=str(csv_path))
    fitted = calibrate_model(
        measurements, known, kind=order.fit,
        fitted_on=f"{len(rows)} rows measured on {device.board}, calibrated {today}",
        source=f"{csv_path.name}, SHA-256 {digest}",
    )  # fmt: skip
    if not order.keeps_outliers:
        refuse_worse(fitted)
    return fitted


def _executed(csv_path: Path, row: MeasuredRow, rules: FusionRules) -> OpGraph:
    path = csv_path.parent / row.model
    if not path.is_file():
        raise ConfigError(
            f"{csv_path} line {row.line}: {path} does not exist; model is a path beside the CSV"
        )
    return fuse(load_graph(path), rules).graph


def _measurement(
    csv_path: Path, device: Device, row: MeasuredRow, graph: OpGraph, scale: float
) -> Measurement:
    # Coefficients are those of the core; a board's `cycles_scale` multiplies them again.
    if row.op:
        op = next((op for op in graph.ops if op.name == row.op), None)
        if op is None:
            names = ", ".join(op.name for op in graph.ops[:6])
            raise ConfigError(
                f"{csv_path} line {row.line}: {row.model} runs no operator {row.op!r}; "
                f"it runs {names}{', ...' if len(graph.ops) > 6 else ''}"
            )
        graph = OpGraph(ops=(op,), tensors=graph.tensors, inputs=op.inputs, outputs=op.outputs)
    cycles = row.cycles
    if row.latency_s is not None:
        if device.clock_hz is None:
            raise ConfigError(f"{device.name} has no clock_hz; measure in cycles or add it")
        cycles = row.latency_s * device.clock_hz
    assert cycles is not None  # the reader fills in one of the two
    name = f"{row.model} {row.op}".strip()
    return Measurement(
        name=f"line {row.line} ({name})", graph=graph, cycles=cycles / scale, group=name
    )


def _write(device_path: Path, runtime: str, dtype: Dtype, done: Calibration) -> None:
    text = with_calibration(device_path.read_text(encoding="utf-8"), runtime, dtype, done.model)
    parse_device(text, origin=str(device_path))  # before anything is replaced
    with written_atomically(device_path) as draft:
        draft.write_text(text, encoding="utf-8")
