"""`hwkd.search`: from data to the best student that fits a device."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import (
    AcceleratorOption,
    CalibrationOption,
    ClassWeightsOption,
    ClockOption,
    ControlsOption,
    Database,
    DataOption,
    DeviceOption,
    FalseAlarms,
    FeaturesOption,
    GroupOption,
    LabelOption,
    MaxEnergy,
    MaxFalseAccepts,
    MaxFlash,
    MaxLatency,
    MaxRam,
    MaxWeights,
    Methods,
    Metric,
    NormalOption,
    OutOption,
    Qat,
    RateOption,
    RiskOption,
    RuntimeOption,
    SchemeOption,
    SeedOption,
    SplitOption,
    StrideOption,
    StudyOption,
    TaskOption,
    TeacherClassesOption,
    TeacherInputs,
    TeacherSeesOption,
    TeachersOption,
    TeacherWeights,
    TimeoutOption,
    TrackOption,
    TrialsOption,
    Unlabelled,
    WindowOption,
    WordsOption,
    WorkersOption,
)
from hwkd.api.idle import refuse_idle
from hwkd.api.option import Here, command_line, declares_options
from hwkd.api.search_options import (
    AlphaOption,
    ArtifactsOption,
    BetaOption,
    BriefEpochsOption,
    CandidatesOption,
    FinalOption,
    FullEpochsOption,
    GammaOption,
    InputSizeOption,
    LayoutOption,
    MatchOption,
    ObjectiveOption,
    SamplerOption,
    SearchFeaturesOption,
    SearchInputOption,
    SpacesOption,
    TargetLatencyOption,
    TeacherTimeOption,
    TrialTimeoutOption,
    VerifyOption,
)
from hwkd.core.choices import (
    ALPHA,
    BETA,
    CONTROLS,
    GAMMA,
    SAMPLER,
    TASK,
    TRIAL_TIMEOUT_S,
)
from hwkd.io.command_clock import command_began_s

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome
    from hwkd.engine.run.listener import SearchListener


@declares_options
def search(
    device: DeviceOption,
    *,
    runtime: RuntimeOption = None,
    clock: ClockOption = None,
    task: TaskOption = TASK,
    data: Annotated[
        DataOption,
        Here(
            "Without it: the example data of the task, for classes the handwritten digits of "
            "scikit-learn."
        ),
    ] = None,
    input_size: InputSizeOption = None,
    search_input: SearchInputOption = False,
    search_features: SearchFeaturesOption = False,
    layout: LayoutOption = "auto",
    metric: Metric = None,
    class_weights: ClassWeightsOption = "auto",
    label: LabelOption = None,
    split: SplitOption = None,
    group: GroupOption = None,
    rate: RateOption = None,
    window: WindowOption = None,
    stride: StrideOption = None,
    words: WordsOption = None,
    normal: NormalOption = None,
    false_alarms: FalseAlarms = None,
    max_false_accepts: MaxFalseAccepts = None,
    features: FeaturesOption = None,
    teachers: Annotated[
        TeachersOption, Here("Without it one is trained on the data and cached.")
    ] = (),
    teacher_weights: TeacherWeights = (),
    teacher_inputs: TeacherInputs = (),
    teacher_classes: TeacherClassesOption = (),
    teacher_sees: Annotated[TeacherSeesOption, Here("Default: students.")] = None,
    teacher_time: TeacherTimeOption = None,
    unlabelled: Unlabelled = None,
    spaces: SpacesOption = (),
    max_latency: MaxLatency = None,
    max_ram: MaxRam = None,
    max_flash: MaxFlash = None,
    max_weights: MaxWeights = None,
    max_energy: MaxEnergy = None,
    risk: RiskOption = "upper",
    objective: ObjectiveOption = "weighted",
    alpha: AlphaOption = ALPHA,
    beta: BetaOption = BETA,
    gamma: GammaOption = GAMMA,
    target_latency: TargetLatencyOption = None,
    calibration: Annotated[
        CalibrationOption,
        Here("auto: min-max; for the best student whatever is best on validation."),
    ] = "auto",
    qat: Qat = "auto",
    methods: Methods = (),
    match: MatchOption = False,
    scheme: Annotated[
        SchemeOption, Here("For the last trainings; candidates learn from labels alone.")
    ] = None,
    brief_epochs: BriefEpochsOption = None,
    full_epochs: FullEpochsOption = None,
    controls: ControlsOption = CONTROLS,
    final: FinalOption = True,
    verify: VerifyOption = False,
    trials: Annotated[TrialsOption, Here("Default: 40, or as many as --timeout allows.")] = None,
    candidates: CandidatesOption = None,
    sampler: SamplerOption = SAMPLER,
    timeout: Annotated[TimeoutOption, Here("From its first line to the report.")] = None,
    trial_timeout: TrialTimeoutOption = f"{TRIAL_TIMEOUT_S / 60:g}min",
    workers: Annotated[
        WorkersOption,
        Here("Default: one per core. 0, with --storage: only `hwkd worker` works.", minimum=0),
    ] = None,
    accelerator: AcceleratorOption = "auto",
    seed: SeedOption = 0,
    out: Annotated[OutOption | None, Here("Default: runs/DEVICE-DATE-TIME.")] = None,
    storage: Annotated[
        Database | None,
        Here("`hwkd worker` on other machines joins the run there. Default: in the run folder."),
    ] = None,
    study: StudyOption = None,
    artifacts: ArtifactsOption = None,
    track: TrackOption = (),
    listener: "SearchListener | None" = None,
) -> "SearchOutcome":
    """Find, distill and export the best small network for a device.

    Draws small networks (students), drops by arithmetic those that cannot fit, trains the rest
    briefly with the help of a larger one (the teacher), scores them in 8 bits, and trains the
    best one in full. RUN/report.html shows it all.

    Args:
        listener: is told about every stage and candidate; None shows bars in a notebook, elsewhere
            nothing.

    Raises:
        HwkdError: in one line, if an option, the data or the teacher is wrong.
    """
    from hwkd.io.stored_arrays import path_of_data

    data = path_of_data(data)
    command = command_line("hwkd search", search, locals())
    weights = ("alpha", "beta", "gamma", "target_latency")
    refuse_idle(
        search,
        locals(),
        {
            "--objective pareto weighs nothing": weights if objective == "pareto" else (),
            "--match names the spaces": ("spaces",) if match else (),
            "--split says how to divide": ("group",) if split else (),
            "--method none asks no teacher": ("teacher_time",) if [*methods] == ["none"] else (),
            "nothing is counted with --gamma 0": ("target_latency",) if not gamma else (),
            "--teacher gives one and none is trained": ("teacher_time",) if teachers else (),
        },
    )
    from hwkd.core.units import parse_duration_s
    from hwkd.engine.arms.children import import_ahead
    from hwkd.engine.setup.time_plan import TimeLimit
    from hwkd.io.machine import waiting_ratio

    limit = TimeLimit(None, command_began_s())  # the imports below take a part of it, too
    limit.limit_s = None if timeout is None else parse_duration_s(timeout, option="--timeout")
    limit.require_start(waiting_ratio(), verifies=verify)
    import_ahead()
    from hwkd.api.listening import heard
    from hwkd.api.outcome import outcome_of
    from hwkd.api.search_config import (
        default_folder,
        default_spaces,
        frequency,
        limit_amounts,
        per_hour,
        sample_rate,
        seconds,
        share,
        shared_place,
        size,
        whole_path,
        whole_teacher,
        without_password,
    )
    from hwkd.api.teachers import class_lists, named_teachers
    from hwkd.api.track import require_trackers, tracked
    from hwkd.engine.search.run import run_search
    from hwkd.engine.setup.config import SearchConfig
    from hwkd.engine.setup.match import match_teachers
    from hwkd.engine.setup.methods import NO_METHOD, method_tables, scheme_of_search
    from hwkd.engine.setup.trust import named_by_user
    from hwkd.io.machine import available_cores
    from hwkd.report.write import write_report_files

    matched = match_teachers(teachers) if match else None
    named = spaces if matched is None else matched.spaces
    raw = {
        "device": whole_path(device, ".toml"),
        "runtime": runtime,
        "clock_hz": frequency(clock, "--clock"),
        "task": task,
        "data": None if data is None else str(Path(data).resolve()),
        "search_input": search_input,
        "search_features": search_features,
        "reading": {
            "input_size": size(input_size, "--input-size"),
            "layout": layout,
            "features": features,
            "metric": metric,
            "class_weights": class_weights,
            "label": label,
            "split": split or (f"group:{group}" if group else None),
            "rate_hz": sample_rate(rate, "--rate"),
            "window_s": seconds(window, "--window"),
            "stride_s": seconds(stride, "--stride"),
            "words": [word.strip() for word in (words or "").split(",") if word.strip()],
            "normal": normal,
            "false_alarms_ratio": share(false_alarms, "--false-alarms"),
            "max_false_accepts_per_hour": per_hour(max_false_accepts, "--max-false-accepts"),
        },
        "spaces": [whole_path(name, ".py") for name in named] or default_spaces(task),
        "trials": trials,
        "candidates": candidates,
        "sampler": sampler,
        "timeout_s": seconds(timeout, "--timeout"),
        "seed": seed,
        "workers": available_cores() if workers is None else workers,
        "accelerator": accelerator,
        "train_best": final,
        "verify_best": verify,
        "limits": {
            **limit_amounts(max_latency, max_ram, max_flash, max_weights, max_energy),
            "risk": risk,
        },
        "objective": {
            "mode": objective,
            "alpha": alpha,
            "beta": beta,
            "gamma": gamma,
            "target_latency_s": seconds(target_latency, "--target-latency"),
        },
        "teacher": {
            "sources": [whole_teacher(teacher) for teacher in named_teachers(teachers)],
            "weights": [str(Path(path).resolve()) for path in teacher_weights],
            "inputs": list(teacher_inputs),
            "classes": class_lists(teacher_classes),
            "sees": teacher_sees or "students",
            "time_budget_s": seconds(teacher_time, "--teacher-time"),
        },
        "transfer": {"unlabelled": str(Path(unlabelled).resolve()) if unlabelled else None},
        "training": {
            "brief_epochs": brief_epochs,
            "full_epochs": full_epochs,
            "controls": controls,
            "trial_timeout_s": seconds(trial_timeout, "--trial-timeout"),
        },
        "quantisation": {"calibration": calibration, "qat": qat},
        "distill": method_tables(methods if scheme is None else (NO_METHOD,)),
        "scheme": scheme_of_search(scheme, methods, teachers),
    }
    config = named_by_user(SearchConfig.checked(raw, where="options"))
    limit.limit_s = config.timeout_s
    require_trackers(track)
    folder = Path(out) if out else default_folder(device)
    place = shared_place(storage, study, artifacts, folder, workers=config.workers)
    with tracked(heard(listener), track, folder) as told:
        for reason in () if matched is None else matched.reasons:
            told.on_note(f"--match: {reason}")
        result = run_search(
            config,
            folder,
            limit=limit,
            listener=told,
            command=[without_password(word) for word in command],
            write_report=write_report_files,
            place=place,
        )
        outcome = outcome_of(result)
        told.end(outcome)
    return outcome
