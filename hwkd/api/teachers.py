"""Teachers as a user names them: folders stand for the student in them, texts for lists."""

from collections.abc import Sequence
from pathlib import Path


def named_teachers(sources: Sequence[str]) -> tuple[str, ...]:
    """Return sources of teachers; a run or a student's folder becomes its `student.json`.

    Raises:
        ConfigError: if one is a trial of a run, which `--student` takes.
    """
    from hwkd.core.errors import ConfigError
    from hwkd.io.student_folder import DESCRIPTION_FILE, student_folder_of

    def named(source: str) -> str:
        place = Path(source)
        if place.is_dir():
            return str(student_folder_of(place) / DESCRIPTION_FILE)
        run, colon, trial = source.rpartition(":")
        if colon and Path(run).is_dir():
            raise ConfigError(
                f"--teacher {source}: is a trial of a run, and those were trained briefly; give "
                f"--teacher {run} for its best student, or write the trial into a folder first: "
                f"hwkd export {run} --trial {trial} --out FOLDER"
            )
        return source

    return tuple(named(str(source)) for source in sources)


def class_lists(texts: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the names of the outputs of each teacher.

    Raises:
        ConfigError: if one is no list of names.
    """
    from hwkd.core.teacher_classes import teacher_classes

    return tuple(teacher_classes(text) for text in texts)
