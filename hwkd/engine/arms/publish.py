"""Puts the student that ships into `best/`: its files and what firmware needs beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import numpy_helper

from hwkd.core.final_record import FinalRecord, QuantisationRecord
from hwkd.engine.setup.context import SearchContext
from hwkd.io.run_text import write_text

__all__ = ["BEST_FOLDER", "publish_student", "read_quantisation"]

BEST_FOLDER = "best"


def publish_student(source: Path, target: Path, final: FinalRecord, context: SearchContext) -> None:
    """Put the student's files and `metrics.json` into `best/`, all at once."""
    with TemporaryDirectory(prefix=".best-", dir=target.parent) as temporary:
        folder = Path(temporary) / "best"
        folder.mkdir()
        for name in ("student.onnx", "student_int8.onnx", "student.safetensors", "spec.json"):
            shutil.copyfile(source / name, folder / name)
        write_text(folder / "metrics.json", _metrics_json(final, context))
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)


def read_quantisation(int8_path: Path, calibration_samples: int) -> QuantisationRecord:
    """Read scale and zero point of input and output from the file itself."""
    graph = onnx.load(int8_path).graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    first = next(
        n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == graph.input[0].name
    )
    last = next((n for n in graph.node if graph.output[0].name in n.output), None)
    is_quantised = last is not None and last.op_type == "DequantizeLinear"
    return QuantisationRecord(
        scheme="ONNX Runtime static QDQ: int8 activations (asymmetric), int8 weights per channel",
        calibration_samples=calibration_samples,
        input_scale=float(values[first.input[1]]),
        input_zero_point=int(values[first.input[2]]),
        output_scale=float(values[last.input[1]]) if last is not None and is_quantised else None,
        output_zero_point=int(values[last.input[2]]) if last is not None and is_quantised else None,
    )


def _metrics_json(final: FinalRecord, context: SearchContext) -> str:
    """Return what firmware and other tools need beside the model files."""
    metrics = {
        "schema_version": 1,
        "final": final.model_dump(mode="json"),
        "labels": list(context.data.class_names),
        "metrics": [metric.model_dump(mode="json") for metric in context.data.head.metrics],
        "pipeline": context.data.pipeline.record().model_dump(mode="json"),
        "data_fingerprint": context.data.fingerprint,
    }
    return json.dumps(metrics, indent=2) + "\n"
