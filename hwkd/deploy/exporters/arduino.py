"""The int8 student as a library for the Arduino IDE, arduino-cli and PlatformIO."""

from __future__ import annotations

from hwkd import __version__
from hwkd.core.catalog import EXPORTERS
from hwkd.deploy.exporter import Exported, ExportOptions, ExportSource
from hwkd.deploy.exporters.c99 import project_of
from hwkd.deploy.to_c.library import library_files, refuse_unfit
from hwkd.deploy.to_c.stream import listens

# Places of files: library specification 1.5 of Arduino, "Library Specification", folder format 1.5.
_FILES = {
    "library.properties": "arduino_library.properties",
    "keywords.txt": "arduino_keywords.txt",
    "README.md": "arduino_README.md",
    "examples/Check/Check.ino": "arduino_Check.ino",
}
_LISTENING = {"examples/Listen/Listen.ino": "arduino_Listen.ino"}


class Arduino:
    """Writes the C of --target c below src/, with library.properties and example sketches."""

    summary = "Arduino library"
    is_student_file = False

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Return the library; the sketch Check compares one example with ONNX Runtime."""
        refuse_unfit(options, "arduino")
        project, lines = project_of(source, options)
        templates = _FILES | (_LISTENING if listens(project) else {})
        return Exported(
            files=library_files(project, templates, {"version": __version__}), lines=lines
        )


EXPORTERS.register("arduino")(Arduino())
