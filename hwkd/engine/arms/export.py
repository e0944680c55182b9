"""Exports a finished student: of a run, one of its trials, a student's folder or an int8 file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hwkd.core import catalog
from hwkd.core.errors import ConfigError, HwkdError, RunFolderError
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.core.printable import without_folders
from hwkd.core.progress import Progress, silent
from hwkd.core.run_record import RunRecord
from hwkd.core.student_record import StudentRecord
from hwkd.core.trial import TrialRecord
from hwkd.deploy.calibrate import DEFAULT_CALIBRATION, CalibrationMethod
from hwkd.deploy.exporter import Exported, Exporter, ExportOptions, ExportSource
from hwkd.deploy.output_folder import require_free_out, require_replaceable, write_folder
from hwkd.deploy.student_facts import README_FILE, student_readme
from hwkd.deploy.to_c.project import RecordedInput
from hwkd.deploy.to_c.raw_input import PREPARE, PUT, FeatureStack, RawInput
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.student_folder import write_student
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.calibration import calibration_inputs
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data
from hwkd.engine.setup.screening import load_spaces
from hwkd.engine.setup.stored_student import layers_of_spec
from hwkd.engine.setup.trust import trusted
from hwkd.io import discovery
from hwkd.io.paths import require_there
from hwkd.io.run_files import RUN_FILE, read_run_record
from hwkd.io.student_folder import StudentFiles, StudentFolder, read_student, record_text
from hwkd.nn.build import build_module
from hwkd.qgraph.float_tail import without_float_tail
from hwkd.signals.fixed import power_table
from hwkd.signals.pipeline import Pipeline, shapes_of
from hwkd.signals.step import table_c
from hwkd.signals.work import on_core
from hwkd.train.weights_file import WeightsError, fill_module


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOrder:
    """What is exported.

    Attributes:
        source: a run, a student's folder, or an int8 ONNX file.
        targets: names of exporters; several must all be files of a student.
        trial: number of a completed trial of a run, trained briefly; None is the best student.
        calibration: quantise the float student anew, with ranges found so; None keeps the int8
            file that the run chose, and quantises a trial as the run did.
        replaces: an export that `out` holds goes.
        trusts: the user named the run as one whose search spaces may run.
    """

    source: Path
    targets: tuple[str, ...]
    out: Path
    trial: int | None = None
    calibration: CalibrationMethod | None = None
    options: ExportOptions = field(default_factory=ExportOptions)
    replaces: bool = False
    trusts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOutcome:
    """What was written.

    Attributes:
        facts: what the targets say of them, for programs.
        lines: the same for people.
        notes: what a user must know.
    """

    files: tuple[Path, ...]
    facts: dict[str, object]
    lines: tuple[str, ...]
    notes: tuple[str, ...]


def exporters() -> dict[str, Exporter]:
    """Return every target by name, those of plugins too."""
    discovery.discover("hwkd.deploy.exporters")
    return {name: catalog.EXPORTERS.get(name) for name in catalog.EXPORTERS}


def export_student(order: ExportOrder, *, progress: Progress = silent) -> ExportOutcome:
    """Write a student in the form of its targets; the folder appears whole or stays as it was.

    Args:
        progress: told while data is read and files are made.

    Raises:
        ConfigError: if there is no such source, trial or target, or `out` is in use.
        RunFolderError: if the source holds no student, or files that are not its own.
        ExportError: if the student has no form in a target or a file cannot be written.
    """
    known = exporters()
    for name in order.targets:
        catalog.EXPORTERS.get(name)  # refuses an unknown name with the nearest ones
    chosen = [known[name] for name in order.targets]
    if len(chosen) > 1 and not all(exporter.is_student_file for exporter in chosen):
        raise ConfigError(f"--target: {', '.join(order.targets)} are not written into one folder")
    if order.replaces:
        require_replaceable(order.out, order.source)
    else:
        require_free_out(order.out, takes_force=True)
    notes: list[str] = []
    with _opened(order, notes, progress) as source:
        made = []
        for done, exporter in enumerate(chosen, start=1):
            made.append(exporter.export(source, order.options))
            # Not before: a model that is refused is refused in one line.
            progress("export", done, len(chosen), order.targets[done - 1])
        files = _files(made, source.folder if chosen[0].is_student_file else None)
        write_folder(files, order.out)
    if order.trial is not None:
        notes.append(f"trial {order.trial} was trained briefly, as the search compared it")
    facts: dict[str, object] = {}
    for one in made:
        facts.update(one.facts)
    return ExportOutcome(
        files=tuple(order.out / name for name in sorted(files)),
        facts=facts,
        lines=tuple(line for one in made for line in one.lines),
        notes=tuple(notes),
    )


def raw_input(record: PipelineRecord) -> RawInput:
    """Return the C of the preprocessing that a run recorded.

    Raises:
        RunFolderError: if a step is of a kind that this version does not have, or is damaged.
    """
    pipeline = Pipeline.of(record)
    made = pipeline.to_c(PREPARE, put=PUT)
    found = RawInput(
        shape=pipeline.raw_shape,
        c_type=made.c_type,
        source=made.text,
        headers=made.headers,
        is_whole=made.is_whole,
        ram_bytes=made.ram_bytes,
        table_bytes=made.table_bytes,
        frames=made.frames,
        power_table=table_c("uint32_t", "powers", power_table()) if made.is_whole else "",
        apply=pipeline.apply,
    )
    if not made.is_whole:
        return found
    return replace(
        found,
        code_bytes=partial(_code_bytes, pipeline),
        stack=partial(_stack, pipeline),
    )


def _code_bytes(pipeline: Pipeline, core: str) -> int | None:
    work = on_core(pipeline.steps, shapes_of(pipeline.steps, pipeline.raw_shape), core)
    return None if work is None else work.code_bytes


def _stack(pipeline: Pipeline, core: str) -> FeatureStack | None:
    work = on_core(pipeline.steps, shapes_of(pipeline.steps, pipeline.raw_shape), core)
    return None if work is None else FeatureStack(work.stack_bytes, work.held_stack_bytes)


def _files(made: Sequence[Exported], student: StudentFolder | None) -> dict[str, str | bytes]:
    """Return all files; a student's are a folder of one, which its description makes."""
    files: dict[str, str | bytes] = {}
    for one in made:
        files.update(one.files)
    if student is not None:
        kept = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in files.items()
            if name in student.record.files and isinstance(content, bytes)
        }
        files[README_FILE] = student_readme(student.record, kept)
        files.update(record_text(student.record.model_copy(update={"files": kept})))
    return files


@contextmanager
def _opened(order: ExportOrder, notes: list[str], progress: Progress) -> Iterator[ExportSource]:
    """Give the student while its files are there; those of a trial are made for the moment."""
    require_there(order.source, "a run, a student's folder or an int8 .onnx file")
    is_run = (order.source / RUN_FILE).is_file()
    for option, given in (("--trial", order.trial), ("--calibration", order.calibration)):
        if given is not None and not is_run:
            raise ConfigError(f"{option} {given}: goes with a run folder, {order.source} is none")
    if order.source.is_file():
        with without_float_tail(order.source) as (path, left_out):
            notes.extend(left_out)
            yield ExportSource(given=path)
        return

    def sample() -> RecordedInput | None:
        return _validation_example(order, notes, progress) if is_run else None

    with TemporaryDirectory(prefix="hwkd-export-") as temporary:
        if order.trial is None and order.calibration is None:
            student = read_student(order.source)
        else:
            student = _made(order, Path(temporary), notes, progress)
        run = student.record.run
        yield ExportSource(
            given=order.source,
            folder=student,
            raw=None if run is None else raw_input(run.data.pipeline),
            sample=sample,
        )


def _made(order: ExportOrder, folder: Path, notes: list[str], progress: Progress) -> StudentFolder:
    """Make a student's folder of a trial, or the best one with another int8 file."""
    files = StudentFiles(folder / "made")
    files.folder.mkdir()
    config = _config_of(order)
    _, data = load_data(config, progress=progress)
    run = read_run_record(order.source / RUN_FILE).in_setting(_features(order))
    if (data.input_shape, data.class_names) != (run.data.input_shape, run.data.class_names):
        raise RunFolderError(
            f"{order.source}: the data are no longer the run's, which set the int8 ranges; put "
            "them back"
        )
    if data.fingerprint != run.data.fingerprint:
        notes.append("int8 ranges come from data that changed since, or of an older version's run")
    # The accuracies of the final student are not those of this one's int8 file.
    untested = run.model_copy(update={"final": None})
    if order.trial is None:
        best = read_student(order.source)
        for name in best.record.files:
            (files.folder / name).write_bytes(best.file(name).read_bytes())
        record = best.record.model_copy(update={"run": untested})
    else:
        config = trusted(config, where=str(order.source), trusts=order.trusts, with_teacher=False)
        record = _rebuilt(RunFolder(order.source), order.trial, files, config, untested)
    chosen = config.quantisation.calibration
    usual = DEFAULT_CALIBRATION if chosen == "auto" else chosen
    progress("quantise", 0, 1)
    quantise_int8(
        files.float_path,
        files.int8_path,
        calibration_inputs(data, config.seed),
        method=order.calibration or usual,
    )
    return write_student(folder / "student", files, record)


def _features(order: ExportOrder) -> str | None:
    """Return the setting of the student's features; None where there is one for all."""
    if order.trial is None:
        return read_student(order.source).record.spec.features
    spec = _completed(RunFolder(order.source), order.trial).spec
    return None if spec is None else spec.features


def _config_of(order: ExportOrder) -> SearchConfig:
    return SearchConfig.from_toml(RunFolder(order.source).config_path).in_setting(_features(order))


def _rebuilt(
    store: RunFolder, trial: int, files: StudentFiles, config: SearchConfig, run: RunRecord
) -> StudentRecord:
    """Write the float file and the weights of a trial; returns what describes it."""
    store.check_journal()
    record = _completed(store, trial)
    if record.spec is None:
        raise RunFolderError(f"{store.path}: trial {trial} has no student")
    where = f"{store.path}, trial {trial}"
    layers = layers_of_spec(load_spaces(config.spaces), record.spec, where=where)
    module = build_module(layers, seed=0)
    weights = store.weights_of(record)
    try:
        fill_module(module, weights)
    except WeightsError as error:
        raise RunFolderError(f"{weights}: the student's weights: {error}") from error
    export_onnx(module.eval(), layers, files.float_path)
    save_student(module, files.weights_path)
    return StudentRecord(spec=record.spec, network=layers, run=run, trial=record)


def _completed(store: RunFolder, trial: int) -> TrialRecord:
    records = {record.number: record for record in store.trials.records()}
    if trial not in records:
        raise ConfigError(
            f"--trial {trial}: the run has no such trial; it has 0 to {max(records, default=-1)}"
        )
    record = records[trial]
    if record.state != "completed":
        raise ConfigError(f"--trial {trial}: it was {record.state} ({record.reason}); not trained")
    return record


def _validation_example(
    order: ExportOrder, notes: list[str], progress: Progress
) -> RecordedInput | None:
    """Return the first example of the run's validation data; None, with a note, without it."""
    try:
        _, data = load_data(_config_of(order), progress=progress)
    except HwkdError as error:
        notes.append(f"main.c runs seeded noise, the run's data cannot be read: {error}")
        return None
    run = read_run_record(order.source / RUN_FILE).in_setting(_features(order))
    if data.fingerprint != run.data.fingerprint:
        notes.append("main.c runs seeded noise, the data are no longer the run's")
        return None
    example = data.validation
    return RecordedInput(
        values=example.inputs[0],
        origin=f"validation example 0 of {without_folders(data.source)}",
        label=data.head.answer_text(example.labels[0]),
    )
