"""Exports an int8 file as C in one call."""

from __future__ import annotations

from pathlib import Path

from hwkd.deploy.output_folder import write_folder
from hwkd.deploy.to_c.export import build_project, project_contents


def export_c(model_path: Path, out: Path, **options) -> tuple[Path, ...]:
    """Write the C of a model; the options are those of `build_project`."""
    files = project_contents(build_project(model_path, **options))
    write_folder(files, out)
    return tuple(sorted(out.iterdir()))
