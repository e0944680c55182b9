"""The int8 student as C99 source that compiles for any core."""

from __future__ import annotations

from pathlib import Path

from hwkd.core.catalog import EXPORTERS
from hwkd.deploy.exporter import Exported, ExportOptions, ExportSource
from hwkd.deploy.to_c.export import build_project, foreign_files, project_contents

__all__ = ["C99"]


class C99:
    """Writes the network as C that holds the very numbers of the int8 file.

    `model_preprocess.c` turns a raw input into what the network takes, before quantisation.
    main.c runs one example of the student's validation data; seeded noise where there is none.
    """

    summary = "C99 source"
    is_student_file = False

    def foreign(self, folder: Path) -> list[str]:
        """Names that neither an earlier export nor its Makefile wrote."""
        return foreign_files(folder)

    def export(self, source: ExportSource, options: ExportOptions) -> Exported:
        """Return the sources, build files and the model that they were made from."""
        project = build_project(
            source.int8_path,
            rounding=options.rounding,
            kernels=options.kernels,
            labels=source.labels,
            sample=source.sample(),
        )
        return Exported(files=project_contents(project, source.preprocessing))


EXPORTERS.register("c")(C99())
