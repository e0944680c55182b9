"""Which student `hwkd distill` trains, and on what: a run's, a trial's, a folder's or a file's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hwkd.core.choices import TASK
from hwkd.core.errors import ConfigError, HwkdError
from hwkd.core.progress import Progress
from hwkd.core.reading import Reading
from hwkd.core.run_record import DeviceRecord, RunRecord
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.student_record import StudentRecord
from hwkd.core.widened import widened
from hwkd.engine.distill.finetune import (
    FEWER_EPOCHS,
    RATE_RATIO,
    Start,
    finetune_config,
    read_alike,
    run_of_student,
    start_of,
)
from hwkd.engine.distill.own_data import Learned, reading_again
from hwkd.engine.distill.own_model import SUFFIX, OwnModel, normalised, prepared_alike
from hwkd.engine.distill.request import FINE_TUNE, DistillRequest, distill_config, with_epochs
from hwkd.engine.run.run_teacher import TEACHER_FOLDER
from hwkd.engine.setup.config import LimitsConfig, SearchConfig, TeacherConfig
from hwkd.engine.setup.resolve import load_data, resolve_config
from hwkd.engine.setup.screening import load_spaces
from hwkd.engine.setup.stored_student import layers_of_record, layers_of_spec
from hwkd.engine.setup.trust import named_by_user, trusted
from hwkd.io.device_catalog import load_device
from hwkd.io.paths import require_there
from hwkd.io.run_files import CONFIG_FILE, RUN_FILE, TRIALS_FILE, read_run_record
from hwkd.io.student_folder import (
    BEST_FOLDER,
    DESCRIPTION_FILE,
    read_record_file,
    read_student,
)
from hwkd.io.trials_file import read_trials
from hwkd.tasks.base import Task, TaskData

# Begins the note of a search in which the teacher was not ready in time, or knew nothing.
_ALONE = "Students learned from labels alone"
_EXPECTED = f"RUN, RUN:TRIAL, the folder of a student, its {DESCRIPTION_FILE} or an ONNX file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedStudent:
    """The student, its data and the configuration that both belong to.

    Attributes:
        config: of the distillation; every choice resolved.
        run: that it comes from; None for a student by itself.
        device: of the run; None where another was asked for.
        start: what it goes on from; None begins anew.
        own: the user's model that it is drawn from; None of any other student.
        teacher_dir: where the run keeps a teacher that is of use to it alone; None without a run.
    """

    spec: StudentSpec
    layers: Layers
    task: Task
    data: TaskData
    config: SearchConfig
    run: RunRecord | None = None
    device: DeviceRecord | None = None
    teacher_dir: Path | None = None
    start: Start | None = None
    own: OwnModel | None = None


def resolve_student(request: DistillRequest, *, progress: Progress) -> ResolvedStudent:
    """Find the student and read the data that it was made for.

    Args:
        request: names a run, one of its trials, a student's folder, description or ONNX file.

    Raises:
        ConfigError: if there is no such student, or it does not fit the data.
        RunFolderError: if it is neither.
    """
    if request.finetunes:
        return _finetuned(request, progress=progress)
    path, _, trial = request.student.partition(":")
    source = Path(path)
    require_there(source, _EXPECTED, option="--student")
    found = _as_asked(_found(request, source, trial), request)
    spec, layers, model, config = found.spec, found.layers, found.own, found.config
    config = distill_config(request, config.in_setting(spec.features))
    if model is not None and request.scheme is None and model.is_kept(layers):
        slower = config.training.model_copy(update={"rate_ratio": RATE_RATIO})
        config = config.model_copy(update={"training": slower})
    if request.teachers:
        config = named_by_user(config)
    task, data = _loaded(config, found.learned, progress)
    if model is not None and config.teacher.inputs and not request.teachers:
        config = prepared_alike(config, data.pipeline.record())
        task, data = load_data(config, progress=progress)
    if model is not None:
        model.require_answers(data.head.kind, where=f"--student {request.student}")
    if (data.input_shape, data.num_outputs) != (spec.input_shape, spec.num_outputs):
        raise ConfigError(
            f"--student {request.student}: was made for inputs {spec.input_shape} and "
            f"{spec.num_outputs} classes; the data has {data.input_shape} and {data.num_outputs}"
        )
    resolved = resolve_config(config, load_device(config.device), data)
    resolved = with_epochs(resolved, request.epochs)
    return ResolvedStudent(
        spec=spec,
        layers=layers,
        task=task,
        data=data,
        config=resolved,
        run=found.run,
        device=found.device,
        teacher_dir=None if found.run is None else source / TEACHER_FOLDER,
        own=model,
    )


def _loaded(
    config: SearchConfig, learned: Learned | None, progress: Progress
) -> tuple[Task, TaskData]:
    """Read data; where they are what the student learned from, they must be it still."""
    try:
        task, data = load_data(config, progress=progress)
    except HwkdError as error:
        if learned is None:
            raise
        raise learned.unreadable(error) from error
    if learned is not None:
        learned.require_same(data, is_named=config.data is not None)
    return task, data


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A student before its data is read; fields as those of `ResolvedStudent`.

    Attributes:
        learned: what it learns from again; None where that is not known, or others were given.
    """

    spec: StudentSpec
    layers: Layers
    config: SearchConfig
    learned: Learned | None = None
    run: RunRecord | None = None
    device: DeviceRecord | None = None
    own: OwnModel | None = None


def _found(request: DistillRequest, source: Path, trial: str) -> _Found:
    """Return the student that a file, a run, one of its trials or a folder holds."""
    if source.suffix.lower() == SUFFIX and source.is_file():
        own = OwnModel.read(source)
        config = _config_alone(request, str(source))
        return _Found(spec=own.spec, layers=own.layers, config=config, own=own)
    if not (source / CONFIG_FILE).is_file():
        return _alone(request, source)
    config = _config_of_run(request, source, needs_space=bool(trial))
    spec, layers = _of_trial(source, trial, config) if trial else _of_folder(source)
    run = read_run_record(source / RUN_FILE) if (source / RUN_FILE).is_file() else None
    device, learned = None, None
    if run is not None:
        advice = f"put it back, or give --student {source / BEST_FOLDER} and --data"
        device, learned = run.device, Learned(given=str(source), record=run.data, advice=advice)
    return _Found(spec=spec, layers=layers, config=config, learned=learned, run=run, device=device)


def _alone(request: DistillRequest, source: Path) -> _Found:
    """Return a student by itself, with the data of its description where no other was given."""
    record = _record_of(source)
    layers, run = layers_of_record(record, where=f"--student {source}"), record.run
    config, learned = _config_alone(request), None
    if run is not None and request.data is None and request.task in (None, run.data.task):
        config = reading_again(config, run, source)
        learned = Learned(given=str(source), record=run.data, advice="put it back, or give --data")
    elif FINE_TUNE in request.arms and source.is_dir():
        before = run_of_student(read_student(source, option="--student"))
        config = config.model_copy(update={"reading": read_alike(config.reading, before)})
    return _Found(spec=record.spec, layers=layers, config=config, learned=learned)


def _as_asked(found: _Found, request: DistillRequest) -> _Found:
    """Return a student of the width and for the device that were asked for."""
    if request.width != 1.0:
        layers = widened(found.layers, request.width)
        params = {**found.spec.params, "width": round(request.width, 6)}
        found = replace(
            found,
            layers=layers if found.own is None else normalised(layers),
            spec=replace(found.spec, params=params),
        )
    if request.device is not None:  # its limits and its runtime are none of the run's
        own = {"runtime": None, "clock_hz": None, "limits": LimitsConfig()}
        config = found.config.model_copy(update={"device": request.device, **own})
        found = replace(found, config=config, device=None)
    return found


def _finetuned(request: DistillRequest, *, progress: Progress) -> ResolvedStudent:
    """Find the student that goes on, and read the data that it goes on with."""
    student = read_student(Path(request.student))
    base = finetune_config(request, student, Path(request.student) / CONFIG_FILE)
    config = distill_config(request, base)
    task, data = load_data(config, progress=progress)
    start = start_of(student, data, given=request.student)
    resolved = resolve_config(config, load_device(config.device), data)
    length = request.epochs or max(1, round((resolved.training.full_epochs or 1) * FEWER_EPOCHS))
    run = student.record.run
    return ResolvedStudent(
        spec=replace(student.record.spec, num_outputs=data.num_outputs),
        layers=start.layers,
        task=task,
        data=data,
        config=with_epochs(resolved, length),
        run=run,
        device=None if run is None else run.device,
        start=start,
    )


def _config_alone(request: DistillRequest, *teachers: str) -> SearchConfig:
    """Return the configuration of a student by itself.

    Args:
        teachers: who teaches it where nothing else is asked for.
    """
    if request.trusts:
        raise ConfigError(f"--trust: goes with a run; {request.student} runs no Python file")
    return SearchConfig(
        device="host",
        task=request.task or TASK,
        data=request.data,
        reading=Reading(label=request.label),
        teacher=TeacherConfig(sources=teachers),
    )


def learned_without(run: RunRecord) -> str | None:
    """Say that, and why, students of a run learned without a teacher; None if they had one."""
    if run.teacher is None:
        return next((c.rstrip(".") for c in run.events if c.startswith(_ALONE)), _ALONE)
    if run.teacher.left_out is not None:
        return f"The run left its teacher out: {run.teacher.left_out}"
    return None


def _config_of_run(request: DistillRequest, run: Path, *, needs_space: bool) -> SearchConfig:
    """Return the configuration of a run, once the Python files that are needed may run."""
    asked = (("--task", request.task), ("--data", request.data), ("--label", request.label))
    for option, given in asked:
        if given is not None:
            raise ConfigError(
                f"{option} {given}: goes with a student by itself; run {run} has its own, so leave "
                f"it out or give --student {run / 'best'}"
            )
    return trusted(
        SearchConfig.from_toml(run / CONFIG_FILE),
        where=f"--student {run}",
        trusts=request.trusts,
        with_teacher=not request.teachers,
        with_spaces=needs_space,
    )


def _of_folder(source: Path) -> tuple[StudentSpec, Layers]:
    """Return the student of a run; its layers say what it is."""
    record = _record_of(source)
    return record.spec, layers_of_record(record, where=f"--student {source}")


def _record_of(source: Path) -> StudentRecord:
    """Return what describes the student of a run, a folder or a description."""
    if source.is_file():
        return read_record_file(source, option="--student")
    return read_student(source, option="--student").record


def _of_trial(run: Path, trial: str, config: SearchConfig) -> tuple[StudentSpec, Layers]:
    """Return the student of a trial, whose record has its choices alone."""
    trials = read_trials(run / TRIALS_FILE)
    found = {str(record.number): record.spec for record in trials.records}.get(trial)
    if found is None:
        raise ConfigError(
            f"--student {run}:{trial}: the run has no such student; it has trials 0 to "
            f"{len(trials.records) - 1}"
        )
    spaces = load_spaces(config.spaces)
    return found, layers_of_spec(spaces, found, where=f"--student {run}:{trial}")
