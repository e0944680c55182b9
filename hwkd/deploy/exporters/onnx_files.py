"""The ONNX files of a student, float32 and int8, with what is known of it inside."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import EXPORTERS
from hwkd.deploy.exporter import Exported, ExportOptions, ExportSource
from hwkd.deploy.student_facts import with_facts
from hwkd.io.student_folder import FLOAT_FILE, INT8_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """Copies one file; `metadata_props` of the copy hold labels, preprocessing and scores.

    Attributes:
        summary: see `Exporter`.
        is_student_file: see `Exporter`.
    """

    target: str
    file: str
    summary: str
    is_student_file: bool = True

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Return the file with the facts added."""
        options.require_none(self.target)
        student = source.student(self.target)
        content = student.file(self.file).read_bytes()
        return Exported(files={self.file: with_facts(content, student.record)})


EXPORTERS.register("onnx")(OnnxFile(target="onnx", file=FLOAT_FILE, summary="float32 ONNX"))
EXPORTERS.register("onnx-int8")(
    OnnxFile(target="onnx-int8", file=INT8_FILE, summary="int8 ONNX, QDQ form")
)
