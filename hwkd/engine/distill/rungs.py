"""Trainings of one student at several sizes, in a folder beside that of the result.

Each is a distillation of its own. A call that was interrupted goes on with the same command: what
is finished is read, and what was cut off goes on where it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hwkd.core.errors import ConfigError
from hwkd.core.run_record import RunRecord
from hwkd.core.verdict_record import ArmRecord
from hwkd.deploy.output_folder import require_free_out
from hwkd.engine.arms.student_folder import write_student
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.run import run_distillation
from hwkd.engine.run.listener import SearchListener
from hwkd.io.run_text import run_writes, write_text
from hwkd.io.student_folder import StudentFiles, StudentFolder, read_student

_ASKED_FILE = "asked.txt"


def require_sizes(
    asked: Sequence[str], *, beside: Mapping[str, bool], lacking: Mapping[str, bool]
) -> None:
    """Refuse options that do not go together.

    Args:
        asked: of `--compression` and `--capacity` those that were given.
        beside: option -> whether it was given; none goes with several sizes.
        lacking: option of one of them -> whether it was given.

    Raises:
        ConfigError: names both options.
    """
    wanted = {"--gate": "--compression", "--tolerance": "--capacity"}
    for option, given in lacking.items():
        if given and wanted[option] not in asked:
            raise ConfigError(f"{option}: goes with {wanted[option]}; give that, too")
    if len(asked) > 1:
        raise ConfigError(f"{' and '.join(asked)}: are two distillations; give one")
    for option, given in beside.items():
        if asked and given:
            raise ConfigError(
                f"{option}: does not go with {asked[0]}, which has students of its own to compare "
                "with and trains each as long as --epochs says; leave it out"
            )


class Rungs:
    """Students by name, trained once."""

    def __init__(self, request: DistillRequest, folder: Path, listener: SearchListener) -> None:
        """Keep what they share; see `rungs`."""
        self.request = request
        self._folder = folder
        self._listener = listener

    def trained(self, name: str, request: DistillRequest) -> StudentFolder:
        """Return a student, trained now unless it was before.

        Args:
            name: of its folder.
            request: `self.request` with what is its own; the folder is chosen here.
        """
        out = self._folder / name.replace(" ", "-")
        if out.is_dir():
            return read_student(out)
        self._listener.on_note(f"Training {name}.")
        return run_distillation(replace(request, out=out), listener=self._listener)

    def published(self, student: StudentFolder, run: RunRecord) -> StudentFolder:
        """Write a student as the result.

        Args:
            run: its own, with what was found of all of them.
        """
        record = student.record.model_copy(update={"run": run})
        return write_student(self.request.out, StudentFiles(student.folder), record)


@contextmanager
def rungs(request: DistillRequest, *, asked: str, listener: SearchListener) -> Iterator[Rungs]:
    """Give the trainings of a request, new or as an interrupted call left them.

    What was trained stays until the result is written.

    Args:
        request: of the student as it was given.
        asked: what the trainings depend on beside it.

    Raises:
        ConfigError: if the output is in use, or another request was interrupted there.
    """
    require_free_out(request.out)
    out = request.out.resolve()
    folder = out.with_name(f".{out.name}.sizes")
    text = f"{asked}\n{replace(request, command=())!r}\n"
    path = folder / _ASKED_FILE
    if path.is_file():
        if path.read_text(encoding="utf-8", errors="replace") != text:
            raise ConfigError(
                f"--out {request.out}: a distillation with other options was interrupted there; "
                f"give the same options to go on, or another --out, or delete {folder}"
            )
    else:
        with run_writes(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    try:
        yield Rungs(request, folder, listener)
    except BaseException:
        if not any(place.is_dir() for place in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)  # nothing was trained
        raise
    shutil.rmtree(folder, ignore_errors=True)


def run_of(student: StudentFolder) -> RunRecord:
    """Return the record of the distillation that a student comes from."""
    run = student.record.run
    assert run is not None
    return run


def arm_of(student: StudentFolder, index: int = 0) -> ArmRecord:
    """Return how a student was trained as it was asked for, or in a control's way."""
    final = run_of(student).final
    assert final is not None
    return final.verdict.arms[index]
