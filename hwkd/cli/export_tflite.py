"""The TensorFlow Lite part of `hwkd export`: an int8 ONNX file becomes model.tflite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hwkd.core.errors import ConfigError, ExportError

if TYPE_CHECKING:
    from hwkd.deploy.tflite_check import TfliteCheck
    from hwkd.deploy.to_c.project import Project

__all__ = ["export_tflite"]

_FILES = ("model.tflite", "model.json", "labels.txt")
_CHECKED_INPUTS = 32


def export_tflite(
    model_path: Path, out: Path, *, labels: Sequence[str] = ()
) -> tuple[tuple[Path, ...], TfliteCheck]:
    """Write the network as a .tflite file, run in the interpreters that are installed.

    Args:
        model_path: int8 QDQ ONNX file.
        out: new or empty folder, or one that an earlier export wrote.
        labels: name of each output.

    Returns:
        The files written, and how they agree with ONNX Runtime and the C of `--rounding tflite`.

    Raises:
        ConfigError: if the optional package is missing.
        ModelFileError: if the model cannot be read.
        ExportError: if it has no form in TensorFlow Lite (names the node), if TFLM computes
            something else than the C, or a layer something else than ONNX Runtime's, or if `out`
            cannot be used.
    """
    if find_spec("flatbuffers") is None:
        raise ConfigError(
            'the package flatbuffers is not installed; run `pip install "hwkd[tflite]"`'
        )
    from hwkd.deploy.output_folder import write_folder
    from hwkd.deploy.tflite_check import check_tflite, seeded_steps
    from hwkd.deploy.to_c.export import build_project
    from hwkd.deploy.to_tflite import write_tflite
    from hwkd.qgraph.read_qdq import read_qdq

    data = write_tflite(read_qdq(model_path))
    project = build_project(model_path, rounding="tflite", labels=labels)
    found = check_tflite(data, model_path, project, seeded_steps(project, _CHECKED_INPUTS))
    for item in found.against_c:
        if item.interpreter == "tflite-micro" and item.mismatches:
            raise ExportError(
                f"{model_path}: tflite-micro computes {item.mismatches} of {item.outputs} outputs "
                "otherwise than the C; report it with this file"
            )
    if found.layers is not None and found.layers.faults:
        raise ExportError(
            f"{model_path}: {found.layers.faults[0]} from ONNX Runtime's layer that reads the same "
            "integers; report it with this file"
        )
    files: dict[str, str | bytes] = {
        "model.tflite": data, "model.json": _description(project, found),
    }  # fmt: skip
    if labels:
        files["labels.txt"] = "".join(f"{label}\n" for label in labels)
    write_folder(files, out, _foreign(out))
    return tuple(out / name for name in files), found


def _foreign(out: Path) -> list[str]:
    if not out.exists():
        return []
    if not out.is_dir():
        return [out.name]
    names = sorted(entry.name for entry in out.iterdir())
    return [name for name in names if name not in _FILES or "model.tflite" not in names]


def _description(project: Project, found: TfliteCheck) -> str:
    ends = {
        role: {
            "shape": list(tensor.shape),
            "layout": "channels-last" if len(tensor.shape) == 4 else "row-major",
            "scale": float(tensor.scale),
            "zero_point": tensor.zero_point,
        }
        for role, tensor in (("input", project.input), ("output", project.output))
    }
    facts = {
        "schema_version": 1,
        "source": project.source,
        "source_sha256": project.source_sha256,
        **ends,
        **asdict(found),
    }
    return json.dumps(facts, indent=2) + "\n"
