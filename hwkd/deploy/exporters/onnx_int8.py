"""The int8 ONNX file, in QDQ form."""

from __future__ import annotations

from hwkd.core.catalog import EXPORTERS
from hwkd.deploy.exporter import Exported, ExportOptions, ExportSource
from hwkd.io.student_folder import INT8_FILE


class Int8Onnx:
    """Copies the int8 file of the student."""

    summary = "int8 ONNX, QDQ form"
    is_student_file = True

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Return the file as it is."""
        del options
        path = source.student("onnx-int8").file(INT8_FILE)
        return Exported(files={INT8_FILE: path.read_bytes()})


EXPORTERS.register("onnx-int8")(Int8Onnx())
