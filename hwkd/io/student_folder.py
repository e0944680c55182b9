"""A finished student as one folder: the names of its files, and the one reader of them.

`hwkd.engine.arms.student_folder` writes such folders; export, verify, report, profile and distill
read them. A folder is read whole or refused in one line: its description has the SHA-256 of every
file of the student, so that a file of another student or an edited one is never used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.core.strict_model import first_problem
from hwkd.core.student import Layers
from hwkd.core.student_record import StudentRecord
from hwkd.io.old_students import OLD_DESCRIPTION_FILE, complete_old_record, read_old_record
from hwkd.io.paths import require_there
from hwkd.io.run_files import JOURNAL_FILE, PLACE_FILE, RUN_FILE
from hwkd.io.run_text import write_text
from hwkd.io.text_files import MalformedTextError, read_json

DESCRIPTION_FILE = "student.json"
FLOAT_FILE = "student.onnx"
INT8_FILE = "student_int8.onnx"
WEIGHTS_FILE = "student.safetensors"
# Of a student with exits: int8, with its rule; see `hwkd.deploy.exit_rule`.
EXITS_FILE = "student_exits_int8.onnx"
CARD_FILE = "MODEL_CARD.md"
# Of a run: its best student.
BEST_FOLDER = "best"

_EXPECTED = "a run, a student's folder or a file of one"


@dataclass(frozen=True, slots=True)
class StudentFiles:
    """Where the files of a student are in a folder, whether or not they are there yet."""

    folder: Path

    @property
    def float_path(self) -> Path:
        """The float32 ONNX file."""
        return self.folder / FLOAT_FILE

    @property
    def int8_path(self) -> Path:
        """The int8 ONNX file."""
        return self.folder / INT8_FILE

    @property
    def exits_path(self) -> Path:
        """The int8 ONNX file with exits, where there are any."""
        return self.folder / EXITS_FILE

    @property
    def weights_path(self) -> Path:
        """The torch weights as safetensors."""
        return self.folder / WEIGHTS_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentFolder:
    """A finished student: a folder whose files are those that its description names."""

    folder: Path
    record: StudentRecord

    @property
    def layers(self) -> Layers:
        """The network."""
        return self.record.network

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each output; empty when that is not known."""
        return self.record.labels

    def file(self, name: str) -> Path:
        """Return a file of the student.

        Args:
            name: one of the names in this module.

        Raises:
            RunFolderError: if the folder has no such file; says how to get it.
        """
        if name not in self.record.files:
            raise RunFolderError(
                f"{self.folder}: holds no {name}, only {', '.join(sorted(self.record.files))}; "
                "export the student again with that file"
            )
        return self.folder / name


def given_place(path: str | Path) -> Path:
    """Return what a user names; the description of a student stands for the student's folder."""
    place = Path(path)
    described = place.name in (DESCRIPTION_FILE, OLD_DESCRIPTION_FILE) and place.is_file()
    return place.parent if described else place


def student_folder_of(path: Path) -> Path:
    """Return the folder of a run's best student, or of the student itself."""
    return path / BEST_FOLDER if (path / RUN_FILE).is_file() else path


def holds_student(path: Path) -> bool:
    """Tell whether a folder is that of a student, and not a run."""
    return any((path / name).is_file() for name in (DESCRIPTION_FILE, OLD_DESCRIPTION_FILE))


def read_student(path: Path, *, option: str = "", with_card: bool = True) -> StudentFolder:
    """Read the student of a folder, or the best one of a run.

    Args:
        option: that named it, for messages; empty for an argument.
        with_card: its model card counts, too; not for a report, which writes that again.

    Raises:
        ConfigError: if nothing is there.
        RunFolderError: if it holds no student, or a file that is missing, of another student or
            changed.
    """
    require_there(path, _EXPECTED, option=option)
    folder = student_folder_of(path)
    shown = f"{option} {path}" if option else str(path)
    if folder != path and not folder.is_dir():
        if not (path / JOURNAL_FILE).is_file() and not (path / PLACE_FILE).is_file():
            raise RunFolderError(
                f"{shown}: holds the records of a run without its files ({BEST_FOLDER}/ and "
                f"{JOURNAL_FILE} are missing); only `hwkd report` reads it"
            )
        raise RunFolderError(
            f"{shown}: has no best student yet; finish the search with `hwkd search --resume "
            f"{path}` or name a trial by its number"
        )
    if (folder / DESCRIPTION_FILE).is_file():
        record = read_record_file(folder / DESCRIPTION_FILE)
    elif (folder / OLD_DESCRIPTION_FILE).is_file():
        record = _read_older(folder)
    else:
        raise RunFolderError(f"{shown}: holds no student (no {DESCRIPTION_FILE}); give {_EXPECTED}")
    _require_unchanged(folder, record, but=None if with_card else CARD_FILE)
    return StudentFolder(folder=folder, record=record)


def read_record_file(path: Path, *, option: str = "") -> StudentRecord:
    """Read `student.json`, or the `spec.json` of an older version, without looking at other files.

    Raises:
        ConfigError: if it is no such file, or its fields do not belong together.
    """
    shown = f"{option} {path}" if option else str(path)
    require_there(path, "the student.json of a student's folder", option=option)
    try:
        content = read_json(path)
        if not isinstance(content, dict) or "spec" not in content:
            raise ConfigError(
                f"{shown}: describes no student (it has no spec); export the student again"
            )
        if "network" not in content:
            return read_old_record(content)
        return StudentRecord.model_validate(content)
    except MalformedTextError as error:
        raise ConfigError(
            f"{shown}: describes no student ({error}); export the student again"
        ) from None
    except ValidationError as error:
        problem = first_problem(error, whole="description", with_input=True)
        raise ConfigError(
            f"{shown}: describes no student ({problem}); export the student again"
        ) from None


def write_record(folder: Path, record: StudentRecord) -> StudentFolder:
    """Write the description of a student into the folder with its files."""
    for name, text in record_text(record).items():
        write_text(folder / name, text)
    return StudentFolder(folder=folder, record=record)


def record_text(record: StudentRecord) -> dict[str, str]:
    """Return the name and the text of the file that describes a student."""
    return {DESCRIPTION_FILE: record.model_dump_json(indent=2) + "\n"}


def write_card(folder: Path, text: str) -> None:
    """Write the model card of a student, and its digest into the description beside it."""
    write_text(folder / CARD_FILE, text)
    try:
        record = read_record_file(folder / DESCRIPTION_FILE)
    except ConfigError:
        return  # of an older version, or damaged, which whoever needs it says
    files = {**record.files, CARD_FILE: digest(text.encode())}
    if files != record.files:
        write_record(folder, record.model_copy(update={"files": files}))


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return name -> SHA-256 of files in a folder, as a description has them."""
    return {name: digest((folder / name).read_bytes()) for name in names}


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def model_of(path: Path, *names: str) -> Path:
    """Return an ONNX file of a run, of a student's folder, or the file itself.

    Args:
        names: files of a student that will do, the best first.

    Raises:
        ConfigError: if nothing is there.
        RunFolderError: if it holds none of them.
    """
    require_there(path, "a finished run, a student's folder or an .onnx file")
    if path.is_file():
        return path
    if not holds_student(path) and not (path / RUN_FILE).is_file():
        # Older versions exported such files by themselves.
        there = [name for name in names if (path / name).is_file()]
        if there:
            return path / there[0]
    student = read_student(path)
    return student.file(next((n for n in names if n in student.record.files), names[0]))


def _read_older(folder: Path) -> StudentRecord:
    """Describe a folder of an older version; its run, where it lies in one, knows the rest."""
    record = read_record_file(folder / OLD_DESCRIPTION_FILE)
    there = [n for n in (FLOAT_FILE, INT8_FILE, WEIGHTS_FILE) if (folder / n).is_file()]
    return complete_old_record(record, folder, digests(folder, there), int8_file=INT8_FILE)


def _require_unchanged(folder: Path, record: StudentRecord, *, but: str | None) -> None:
    for name, digest in record.files.items():
        if name == but:
            continue
        path = folder / name
        mend = "`hwkd report` writes it again" if name == CARD_FILE else "export the student again"
        if "/" in name or not path.is_file():
            raise RunFolderError(f"{folder}: {name} is missing; put it back or {mend}")
        found = digests(folder, [name])[name]
        if found != digest:
            raise RunFolderError(
                f"{path}: is not the file of this student (SHA-256 {found[:12]}, expected "
                f"{digest[:12]}); put the right one back or {mend}"
            )
