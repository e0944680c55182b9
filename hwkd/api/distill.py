"""`hwkd.distill`: trains one student in full, and says what the teacher was worth."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from hwkd.api.common import (
    AcceleratorOption,
    CalibrationOption,
    DataOption,
    DeviceOption,
    Methods,
    OutOption,
    Qat,
    SchemeOption,
    SeedOption,
    TaskOption,
    TeacherInputs,
    TeachersOption,
    TeacherWeights,
    TimeoutOption,
    Trust,
    Unlabelled,
    WorkersOption,
)
from hwkd.api.option import Here, Option, command_line, declares_options
from hwkd.core.choices import TASK

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome
    from hwkd.engine.search.listener import SearchListener


@declares_options
def distill(
    student: Annotated[
        str, Option("RUN (its best), RUN:TRIAL, a student's folder or student.json.")
    ],
    *,
    out: OutOption,
    methods: Methods = (),
    scheme: SchemeOption = None,
    epochs: Annotated[int | None, Option("Passes over the data.", minimum=1)] = None,
    task: Annotated[TaskOption | None, Here(f"For a student by itself; default: {TASK}.")] = None,
    data: Annotated[DataOption, Here("For a student by itself.")] = None,
    device: Annotated[
        DeviceOption | None,
        Here(
            "Costs are estimated for it, and --importance hardware weighs by it. Default: the "
            "run's; host for a student by itself."
        ),
    ] = None,
    teachers: Annotated[
        TeachersOption,
        Here("Default: the files of the run; without any, one is trained, or found in the cache."),
    ] = (),
    teacher_weights: TeacherWeights = (),
    teacher_inputs: TeacherInputs = (),
    unlabelled: Unlabelled = None,
    copies: Annotated[
        int, Option("Augmented copies of an input that teacher and student both see.", minimum=1)
    ] = 1,
    attribution: Annotated[bool, Option("Train the controls without a teacher too.")] = False,
    seeds: Annotated[
        int | None, Option("Trainings of each kind; 1, with --attribution 3.", minimum=1)
    ] = None,
    importance: Annotated[
        Literal["equal", "hardware"],
        Option("Of the stages of feature methods. hardware: what their layers cost."),
    ] = "equal",
    pairs: Annotated[
        Sequence[str],
        Option(
            "STAGE=PATH: a stage of the student from 1 and the module of your teacher that it "
            "follows, as 2=layer3.1; repeat for more. Default: proposed from shapes and depth.",
            flag="pair",
        ),
    ] = (),
    seed: SeedOption = 0,
    calibration: Annotated[CalibrationOption, Here("auto: the best on validation.")] = "auto",
    qat: Qat = "auto",
    accelerator: AcceleratorOption = "auto",
    workers: Annotated[WorkersOption, Here("Default: one per core.")] = None,
    timeout: Annotated[TimeoutOption, Here("What is trained by then is compared.")] = None,
    trust: Trust = False,
    listener: "SearchListener | None" = None,
) -> "SearchOutcome":
    """Train one student at full length with any distillation methods.

    With all labels a teacher often adds nothing to a small student; --attribution shows what it
    added over cross-entropy, label smoothing and the same transform without a teacher, and ships
    the control when that is at least as good. It pays with few labels: give what you have without
    labels as --unlabelled.

    A call that was interrupted or killed goes on where it was when it is made again.

    Args:
        listener: is told about every stage; None shows bars in a notebook, elsewhere nothing.

    Raises:
        HwkdError: in one line, if anything that was asked for cannot be; before any training.
    """
    from hwkd.io.stored_arrays import path_of_data

    data = path_of_data(data)
    command = command_line("hwkd distill", distill, locals())
    from hwkd.engine.arms.children import import_ahead
    from hwkd.engine.setup.time_plan import TimeLimit

    limit = TimeLimit(None, time.monotonic())  # the imports below take a part of it, too
    if timeout is not None:
        import_ahead()
    from hwkd.api.listening import heard
    from hwkd.api.outcome import SearchOutcome
    from hwkd.core.units import parse_duration_s
    from hwkd.engine.distill.run import DistillRequest, run_distillation
    from hwkd.report.write import write_report_files

    count = seeds or (3 if attribution else 1)
    student_folder = run_distillation(
        DistillRequest(
            student=student,
            methods=tuple(methods),
            scheme=scheme,
            epochs=epochs,
            task=task,
            data=None if data is None else str(data),
            device=device,
            teachers=tuple(teachers),
            teacher_weights=tuple(str(path) for path in teacher_weights),
            teacher_inputs=tuple(teacher_inputs),
            unlabelled=None if unlabelled is None else Path(unlabelled),
            copies=copies,
            with_controls=attribution,
            seeds=tuple(range(seed, seed + count)),
            by_hardware=importance == "hardware",
            pairs=tuple(pairs),
            calibration=calibration,
            qat=qat,
            accelerator=accelerator,
            workers=workers,
            timeout_s=None if timeout is None else parse_duration_s(timeout, option="--timeout"),
            command=command,
            trusts=trust,
            out=Path(out),
        ),
        limit=limit,
        listener=heard(listener),
    )
    folder = student_folder.folder
    return SearchOutcome(folder=folder, page=write_report_files(folder))
