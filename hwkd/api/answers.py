"""`hwkd.answers`: what a teacher says of a data set, as one small file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import (
    DataOption,
    LabelOption,
    StoredStudent,
    TaskOption,
    TeacherClassesOption,
    TeacherInputs,
    TeacherSeesOption,
    TeachersOption,
    TeacherWeights,
    Trust,
)
from hwkd.api.option import Here, Option, declares_options

if TYPE_CHECKING:
    from hwkd.core.progress import Progress
    from hwkd.engine.distill.answers import WrittenAnswers


@declares_options
def answers(
    student: StoredStudent,
    *,
    out: Annotated[str | Path, Option("File to write, .safetensors.")],
    top: Annotated[
        int | None,
        Option(
            "Classes kept of each answer; the others share the rest. Default: all, or as many as "
            "--extend has.",
            minimum=1,
        ),
    ] = None,
    extend: Annotated[
        str | Path | None,
        Option(
            "File of answers from before the data grew: examples that it knows keep their answers, "
            "and the teacher is asked about new ones alone.",
            opens="a file of answers",
            suffix=".safetensors",
        ),
    ] = None,
    task: TaskOption | None = None,
    data: Annotated[DataOption, Here("For a student by itself.")] = None,
    label: Annotated[LabelOption, Here("For a student by itself.")] = None,
    teachers: Annotated[TeachersOption, Here("Default: the one of the run.")] = (),
    teacher_weights: TeacherWeights = (),
    teacher_inputs: TeacherInputs = (),
    teacher_classes: TeacherClassesOption = (),
    teacher_sees: Annotated[
        TeacherSeesOption, Here("Default: as the run has it, else students.")
    ] = None,
    trust: Trust = False,
    progress: "Progress | None" = None,
) -> "WrittenAnswers":
    """Write what a teacher says of every example of a student's data, to distill without it.

    `hwkd distill --teacher FILE` then learns from the file wherever the same data is: on a machine
    that does not have the teacher, or may not. It is refused for other data. When the data grows,
    `--extend FILE` keeps what was answered.

    Args:
        progress: is told about every stage; None is silence.

    Raises:
        HwkdError: in one line, if the teacher cannot be had or its answers do not fit.
    """
    from hwkd.api.teachers import class_lists, named_teachers
    from hwkd.core.progress import silent
    from hwkd.engine.distill.answers import write_teacher_answers
    from hwkd.engine.distill.request import DistillRequest
    from hwkd.io.stored_arrays import path_of_data

    given = path_of_data(data)
    request = DistillRequest(
        student=student,
        out=Path(out),
        task=task,
        data=None if given is None else str(given),
        label=label,
        teachers=named_teachers(teachers),
        teacher_weights=tuple(str(path) for path in teacher_weights),
        teacher_inputs=tuple(teacher_inputs),
        teacher_classes=class_lists(teacher_classes),
        teacher_sees=teacher_sees,
        trusts=trust,
    )
    older = None if extend is None else Path(extend)
    return write_teacher_answers(request, top=top, extends=older, progress=progress or silent)
