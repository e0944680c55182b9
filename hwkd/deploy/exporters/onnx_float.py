"""The float32 ONNX file."""

from __future__ import annotations

from hwkd.core.catalog import EXPORTERS
from hwkd.deploy.exporter import Exported, ExportOptions, ExportSource
from hwkd.io.student_folder import FLOAT_FILE


class FloatOnnx:
    """Copies the float32 file of the student."""

    summary = "float32 ONNX"
    is_student_file = True

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Return the file as it is."""
        del options
        path = source.student("onnx").file(FLOAT_FILE)
        return Exported(files={FLOAT_FILE: path.read_bytes()})


EXPORTERS.register("onnx")(FloatOnnx())
