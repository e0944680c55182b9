"""Tells whether an exported student's folder is still what `hwkd export` wrote."""

from __future__ import annotations

from hwkd.deploy.exporters.torch_weights import LOADER, LOADER_FILE
from hwkd.deploy.output_folder import require_as_written
from hwkd.deploy.student_facts import README_FILE, student_readme
from hwkd.io.student_folder import DESCRIPTION_FILE, StudentFolder, record_text


def require_exported_student(student: StudentFolder) -> None:
    """Compare what the digests of a student do not cover: the README, the loader, further files.

    A module beside the loader would be imported in place of an installed one.

    Raises:
        ExportError: if a file is another than an export writes, or one too many; names it.
    """
    folder, record = student.folder, student.record
    if not (folder / README_FILE).is_file() and not (folder / LOADER_FILE).is_file():
        return  # of a run, not exported
    files: dict[str, str | bytes] = {
        README_FILE: student_readme(record, record.files),
        **record_text(record),
        **{name: student.file(name).read_bytes() for name in record.files},
    }
    if (folder / LOADER_FILE).is_file():
        files[LOADER_FILE] = LOADER
    require_as_written(files, folder, DESCRIPTION_FILE)
