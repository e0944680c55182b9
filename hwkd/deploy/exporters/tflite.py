"""The int8 student as a TensorFlow Lite file, run in the interpreters that are installed."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwkd.core.catalog import EXPORTERS
from hwkd.core.errors import ConfigError, ExportError
from hwkd.core.markdown import facts_table
from hwkd.core.student_record import StudentRecord
from hwkd.deploy.exporter import Exported, ExportOptions, ExportSource
from hwkd.deploy.output_folder import MODEL_DESCRIPTION_FILE
from hwkd.deploy.student_facts import (
    METADATA_KEY,
    README_FILE,
    facts_markdown,
    metadata,
    student_facts,
)
from hwkd.deploy.tflite_axes import stored_shape
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.project import Project

if TYPE_CHECKING:
    from hwkd.deploy.tflite_check import TfliteCheck

_MODEL_FILE = "model.tflite"
_CHECKED_INPUTS = 32


class Tflite:
    """Writes model.tflite for TFLM, LiteRT, X-CUBE-AI and vela, with the numbers of the int8 file.

    It is compared with ONNX Runtime and the C of `--rounding tflite` before it is written.
    """

    summary = "TensorFlow Lite file"
    is_student_file = False

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Return the file, its description and the labels.

        Raises:
            ConfigError: if the optional package is missing.
            ModelFileError: if the model cannot be read.
            ExportError: if it has no form in TensorFlow Lite (names the node), if TFLM computes
                something else than the C, or a layer something else than ONNX Runtime's.
        """
        options.require_none("--target tflite")
        if find_spec("flatbuffers") is None:
            raise ConfigError(
                'the package flatbuffers is not installed; run `pip install "hwkd[tflite]"`'
            )
        from hwkd.deploy.tflite_check import check_tflite, seeded_steps
        from hwkd.deploy.to_tflite import write_tflite
        from hwkd.qgraph.read_qdq import read_qdq

        model_path, labels = source.int8_path, source.labels
        record = None if source.folder is None else source.folder.record
        data = write_tflite(read_qdq(model_path), metadata=metadata(record))
        project = build_project(model_path, rounding="tflite", labels=labels)
        found = check_tflite(data, model_path, project, seeded_steps(project, _CHECKED_INPUTS))
        _require_equal(model_path, found)
        files: dict[str, str | bytes] = {
            _MODEL_FILE: data, MODEL_DESCRIPTION_FILE: _description(project, found, record),
            README_FILE: _readme(project, found, record),
        }  # fmt: skip
        if labels:
            files["labels.txt"] = "".join(f"{label}\n" for label in labels)
        return Exported(files=files, facts=asdict(found), lines=_lines(found))


def _require_equal(model_path: Path, found: TfliteCheck) -> None:
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


def _lines(found: TfliteCheck) -> tuple[str, ...]:
    """Say how the file agrees with others."""
    lines = [
        f"{item.interpreter}: {item.mismatches:,} of {item.outputs:,} outputs over "
        f"{item.inputs} inputs differ from {program} (at most {item.max_lsb} LSB)"
        for items, program in (
            (found.against_c, "the C of --rounding tflite"),
            (found.against_onnxruntime, "ONNX Runtime"),
        )
        for item in items
    ]
    if found.layers is not None:
        lines.append(
            f"layer by layer: {found.layers.mismatches:,} of {found.layers.values:,} values of "
            f"{found.layers.layers} layers differ from ONNX Runtime's (at most "
            f"{found.layers.max_lsb} LSB: TensorFlow Lite rounds twice)"
        )
    if not found.against_c:
        lines.append('not run: no C compiler, or no interpreter (pip install "hwkd[tflite]")')
    return tuple(lines)


def _readme(project: Project, found: TfliteCheck, record: StudentRecord | None) -> str:
    rows = [
        (
            role,
            f"int8, {' x '.join(map(str, end['shape']))}, {end['layout']}: "
            f"real = {end['scale']!r} * (q - {end['zero_point']})",
        )
        for role, end in _ends(project).items()
    ]
    checked = "".join(f"- {line}\n" for line in _lines(found))
    return (
        f"# {_MODEL_FILE}\n\nMade by `hwkd export`. `model.json`, and where the student's run is "
        f"known the metadata buffer `{METADATA_KEY}` inside the file, say as JSON what stands "
        "here. An input is prepared as below, divided by the scale, rounded, moved by the zero "
        "point, and laid out as the table says, whose shapes are the file's own. The exact steps "
        "from raw values to an input are also C: `model_raw.c` of `hwkd export RUN --target c`, "
        "with every table.\n\n"
        f"{facts_table(rows)}\n\n## Checked\n\n{checked}"
        f"{'' if record is None else facts_markdown(record)}"
    )


def _ends(project: Project) -> dict[str, dict[str, Any]]:
    """Return what there is to know of the integers of input and output."""
    return {
        role: {
            "shape": list(stored_shape(tensor.shape)),
            "layout": "channels-last" if len(tensor.shape) == 4 else "row-major",
            "scale": float(tensor.scale),
            "zero_point": tensor.zero_point,
        }
        for role, tensor in (("input", project.input), ("output", project.output))
    }


def _description(project: Project, found: TfliteCheck, record: StudentRecord | None) -> str:
    facts = {
        "schema_version": 1,
        "source": project.source,
        "source_sha256": project.source_sha256,
        **_ends(project),
        **asdict(found),
        **({} if record is None else student_facts(record)),
    }
    return json.dumps(facts, indent=2) + "\n"


EXPORTERS.register("tflite")(Tflite())
