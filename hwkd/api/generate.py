"""`hwkd.generate`: samples to learn from, made out of a teacher alone or out of data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import (
    DataOption,
    SeedOption,
    StoredStudent,
    TaskOption,
    TeacherInputs,
    TeachersOption,
    TeacherWeights,
    Trust,
)
from hwkd.api.option import Here, Option, declares_options

if TYPE_CHECKING:
    from hwkd.core.progress import Progress
    from hwkd.engine.distill.generate import Generated


@declares_options
def generate(
    student: StoredStudent,
    *,
    by: Annotated[
        str,
        Option(
            "inversion (statistics that the teacher remembers), generator (dafl, dfad or zskt), "
            "condense (a few samples that stand for the data) or boundary (the data, and samples "
            "moved to where the teacher changes its mind), with options as inversion:samples=2000."
        ),
    ] = "inversion",
    out: Annotated[str | Path, Option("NPZ file to write.")],
    task: TaskOption | None = None,
    data: Annotated[DataOption, Here("For a student by itself.")] = None,
    teachers: Annotated[TeachersOption, Here("A torch one, which has gradients.")] = (),
    teacher_weights: TeacherWeights = (),
    teacher_inputs: TeacherInputs = (),
    seed: SeedOption = 0,
    trust: Trust = False,
    progress: "Progress | None" = None,
) -> "Generated":
    """Make samples that students learn from where there is no data, or that stand for much data.

    inversion and generator look at a teacher alone; of the data they take shape, range and classes.
    `hwkd distill --made FILE` then learns from the file in place of the train split. It is a data
    set like any other, so `--data FILE` takes it, too.

    Args:
        progress: is told about every stage; None is silence.

    Raises:
        HwkdError: in one line, if anything that was asked for cannot be; before anything is made.
    """
    from hwkd.core.progress import silent
    from hwkd.engine.distill.generate import generate_samples
    from hwkd.engine.distill.request import DistillRequest
    from hwkd.io.stored_arrays import path_of_data

    given = path_of_data(data)
    return generate_samples(
        DistillRequest(
            student=student,
            out=Path(out),
            task=task,
            data=None if given is None else str(given),
            teachers=tuple(teachers),
            teacher_weights=tuple(str(path) for path in teacher_weights),
            teacher_inputs=tuple(teacher_inputs),
            trusts=trust,
        ),
        by=by,
        seed=seed,
        progress=progress or silent,
    )
