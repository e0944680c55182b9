"""`hwkd.distill`: trains one student in full, and says what the teacher was worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from hwkd.api.common import (
    AcceleratorOption,
    CalibrationOption,
    DataOption,
    DeviceOption,
    LabelOption,
    LayerRatesOption,
    Methods,
    OutOption,
    Qat,
    SchemeOption,
    SeedOption,
    TaskOption,
    TeacherClassesOption,
    TeacherInputs,
    TeacherSeesOption,
    TeachersOption,
    TeacherWeights,
    TimeoutOption,
    TrackOption,
    Trust,
    Unlabelled,
    WorkersOption,
)
from hwkd.api.option import Here, Option, command_line, declares_options
from hwkd.core.choices import TASK
from hwkd.core.errors import ConfigError
from hwkd.io.command_clock import command_began_s

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome
    from hwkd.engine.run.listener import SearchListener


_TOLERANCE = 0.02


@declares_options
def distill(
    student: Annotated[
        str,
        Option(
            "RUN (its best), RUN:TRIAL, a student's folder or student.json. Or an ONNX file, a "
            "model of yours, whose layers are the student and which is its teacher."
        ),
    ],
    *,
    out: OutOption,
    methods: Methods = (),
    scheme: SchemeOption = None,
    epochs: Annotated[int | None, Option("Passes over the data.", minimum=1)] = None,
    task: Annotated[
        TaskOption | None,
        Here(f"For a student by itself; default: as its description says, else {TASK}."),
    ] = None,
    data: Annotated[
        DataOption, Here("For a student by itself; default: those that its description names.")
    ] = None,
    label: Annotated[LabelOption, Here("For a student by itself.")] = None,
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
    teacher_classes: TeacherClassesOption = (),
    teacher_sees: Annotated[
        TeacherSeesOption, Here("Default: as the run has it, else students.")
    ] = None,
    unlabelled: Unlabelled = None,
    made: Annotated[
        str | Path | None,
        Option(
            "NPZ of `hwkd generate` (or any with x_train and y_train) that is learned from in "
            "place of the train split.",
            opens="an .npz file",
        ),
    ] = None,
    copies: Annotated[
        int, Option("Augmented copies of an input that teacher and student both see.", minimum=1)
    ] = 1,
    layer_rates: LayerRatesOption = None,
    keep: Annotated[
        float | None,
        Option(
            "Share of the channels of every layer that the student keeps, as 0.5; of an ONNX file "
            "the strongest, with their weights."
        ),
    ] = None,
    compression: Annotated[
        str | None,
        Option(
            "Train ever smaller forms of the student, each taught by the one before, as "
            "latency:2,4,8,16: so many times less latency (ram, flash, weights, energy, macs) on "
            "the device. Beside them the same size is trained directly."
        ),
    ] = None,
    gates: Annotated[
        Sequence[str],
        Option(
            "What a stage of --compression must hold, as accuracy:2% (may be lost), latency:5ms, "
            "ram:20KiB, flash:64KiB, weights:30KiB or energy:1mJ; repeat for more. Default: "
            "accuracy:3%.",
            flag="gate",
        ),
    ] = (),
    capacity: Annotated[
        bool,
        Option(
            "Train the student at several widths with the teacher and without, and ship the "
            "smallest that loses less than --tolerance of the teacher's score."
        ),
    ] = False,
    tolerance: Annotated[
        str | None, Option("What --capacity may lose, as 1%. Default: 2%.", amount="1%")
    ] = None,
    robustness: Annotated[
        str | None,
        Option(
            "Attack on every training, as pgd:eps=0.1,steps=10: accuracy on test inputs whose raw "
            "values may change by so much of their range."
        ),
    ] = None,
    attribution: Annotated[bool, Option("Train the controls without a teacher too.")] = False,
    arms: Annotated[
        Sequence[str],
        Option(
            "Other ways to compare with, on labels alone, as fine-tune,prune,low-rank: a student "
            "that was trained before goes on; the teacher is pruned, or split into products of "
            "a lower rank, until it costs no more on the device than the student, and goes on. "
            "With --attribution those that are possible stand beside it of their own accord.",
        ),
    ] = (),
    seeds: Annotated[
        int | None,
        Option(
            "Trainings of each kind. Default: 1; 3 with --attribution, --arms, --compression or "
            "--capacity.",
            minimum=1,
        ),
    ] = None,
    importance: Annotated[
        Literal["equal", "hardware"],
        Option(
            "How much each stage counts in methods that compare features, and in schemes that "
            "teach stages. hardware: as much as its layers cost."
        ),
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
    track: TrackOption = (),
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
    from hwkd.core.units import parse_duration_s
    from hwkd.engine.arms.children import import_ahead
    from hwkd.engine.setup.time_plan import TimeLimit
    from hwkd.io.machine import waiting_ratio

    limit = TimeLimit(None, command_began_s())  # the imports below take a part of it, too
    limit.limit_s = None if timeout is None else parse_duration_s(timeout, option="--timeout")
    limit.require_start(waiting_ratio())
    if timeout is not None:
        import_ahead()
    from hwkd.api.listening import heard
    from hwkd.api.outcome import SearchOutcome
    from hwkd.api.search_config import share
    from hwkd.api.teachers import class_lists, named_teachers
    from hwkd.api.track import require_trackers, tracked
    from hwkd.engine.distill.rivals import parse_arms
    from hwkd.engine.distill.run import DistillRequest, run_distillation
    from hwkd.engine.distill.rungs import require_sizes
    from hwkd.report.write import write_report_files

    if keep is not None and not 0 < keep < 1:
        raise ConfigError(f"--keep {keep:g}: expected a share above 0 and below 1, as 0.5")
    several = {"--compression": compression is not None, "--capacity": capacity}
    require_sizes(
        [name for name, given in several.items() if given],
        beside={
            "--scheme": scheme is not None,
            "--attribution": attribution,
            "--arms": bool(arms),
            "--timeout": timeout is not None,
            "--keep": keep is not None,
        },
        lacking={"--gate": bool(gates), "--tolerance": tolerance is not None},
    )
    compared = attribution or bool(arms) or any(several.values())
    count = seeds or (3 if compared else 1)
    request = DistillRequest(
        student=student,
        methods=tuple(methods),
        scheme=scheme,
        epochs=epochs,
        task=task,
        data=None if data is None else str(data),
        label=label,
        device=device,
        teachers=named_teachers(teachers),
        teacher_weights=tuple(str(path) for path in teacher_weights),
        teacher_inputs=tuple(teacher_inputs),
        teacher_classes=class_lists(teacher_classes),
        teacher_sees=teacher_sees,
        unlabelled=None if unlabelled is None else Path(unlabelled),
        made=None if made is None else Path(made),
        copies=copies,
        robustness=robustness,
        layer_rates=layer_rates,
        with_controls=attribution,
        arms=parse_arms(arms),
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
        width=1.0 if keep is None else keep,
        out=Path(out),
    )
    require_trackers(track)
    with tracked(heard(listener), track, Path(out)) as told:
        if compression is not None:
            from hwkd.engine.distill.compression import run_compression

            finished = run_compression(request, compression=compression, gates=gates, listener=told)
        elif capacity:
            from hwkd.engine.distill.capacity import run_capacity

            allowed = share(tolerance, "--tolerance") or _TOLERANCE
            finished = run_capacity(request, tolerance=allowed, listener=told)
        else:
            finished = run_distillation(request, limit=limit, listener=told)
        folder = finished.folder
        outcome = SearchOutcome(folder=folder, page=write_report_files(folder))
        told.end(outcome)
    return outcome
