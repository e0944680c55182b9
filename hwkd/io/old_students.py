"""Students that versions before `student.json` wrote: `spec.json`, and `metrics.json` in a run.

Runs are kept for years, so these readers stay for ever; see `tests/golden/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from hwkd.core import catalog
from hwkd.core.errors import RunFolderError
from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.core.student import Layer, Layers, StudentSpec
from hwkd.core.student_record import LARGEST_CHOICE, StudentRecord
from hwkd.core.trial import StoredSpec
from hwkd.io import discovery
from hwkd.io.run_files import RUN_FILE, read_run_record

OLD_DESCRIPTION_FILE = "spec.json"


class _SpecFile(StrictModel):
    """`spec.json`: a spec and its layers, without the places that distillation taps."""

    schema_version: StoredInt = 1
    spec: StoredSpec
    layers: tuple[Layer, ...] = Field(min_length=1)


def read_old_record(content: Mapping[str, Any]) -> StudentRecord:
    """Return the student of a `spec.json`.

    Raises:
        ValidationError: if the content is none.
    """
    found = _SpecFile.model_validate(content)
    plain = Layers(input_shape=found.spec.input_shape, layers=found.layers)
    layers = Layers(
        input_shape=plain.input_shape, layers=plain.layers, taps=_taps(found.spec, plain)
    )
    return StudentRecord.model_validate({"spec": found.spec, "network": layers})


def complete_old_record(
    record: StudentRecord, folder: Path, files: Mapping[str, str], *, int8_file: str
) -> StudentRecord:
    """Add what the run around a folder knows of its best student.

    Args:
        record: of its `spec.json`.
        files: name -> SHA-256 of those that are there.
        int8_file: the one that the run measured, whose SHA-256 it has.

    Raises:
        RunFolderError: if a file is another than the run has measured, or of another student.
    """
    run = None
    if (folder.parent / RUN_FILE).is_file():
        run = read_run_record(folder.parent / RUN_FILE)
    final = None if run is None else run.final
    if final is not None and final.spec.key != record.spec.key:
        raise RunFolderError(
            f"{folder}: is of student {record.spec.key}, and the run's best one is "
            f"{final.spec.key}; do its end again with `hwkd finish {folder.parent}`"
        )
    measured = None if final is None or final.profile is None else final.profile.file_sha256
    if measured is not None and files.get(int8_file, measured) != measured:
        raise RunFolderError(
            f"{folder / int8_file}: is not the file of this student (SHA-256 "
            f"{files[int8_file][:12]}, expected {measured[:12]}); put the right one back or do "
            f"the end of the run again with `hwkd finish {folder.parent}`"
        )
    return record.model_copy(update={"files": dict(files), "run": run})


def _taps(spec: StudentSpec, layers: Layers) -> dict[str, str]:
    """Return the places that a registered space taps in exactly these layers; none of others."""
    numbers = [n for n in (*spec.input_shape, *spec.params.values()) if not isinstance(n, str)]
    discovery.discover("hwkd.search_spaces")
    if spec.space not in catalog.SEARCH_SPACES:
        return {}
    if not all(abs(number) <= LARGEST_CHOICE for number in numbers):
        return {}
    try:
        made = catalog.SEARCH_SPACES.get(spec.space).layers(spec)
    except Exception:  # spaces trust their own choices; these may be anyone's
        return {}
    return dict(made.taps) if made.key == layers.key else {}
