"""`hwkd distill` from its request to a folder: student, data, teacher, training, files, verdict."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.core.final_record import QuantisationChoiceRecord
from hwkd.core.progress import Progress, silent
from hwkd.core.run_files import TRIALS_FILE
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.trial import EpochRecord, SpecRecord, read_trial_line
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.graph import build_graph
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.attribution import Gain
from hwkd.distill.defaults import default_method
from hwkd.distill.pairing import hardware_importance
from hwkd.distill.spec import WeightedMethod, method_from_table, parse_methods
from hwkd.engine.config import SearchConfig
from hwkd.engine.context import accelerator_device, load_data, resolve_config, screen_of
from hwkd.engine.distil_data import TransferSet, read_unlabelled, transfer_set
from hwkd.engine.distil_pairs import paired_with, parse_pairs
from hwkd.engine.distil_quantise import quantise_distilled
from hwkd.engine.distil_student import DistilOutcome, DistilSettings, distil_student
from hwkd.engine.evaluation import save_student, spec_json
from hwkd.engine.quantise import CalibrationChoice, QatMode
from hwkd.engine.screening import load_spaces
from hwkd.engine.store import write_text
from hwkd.tasks.base import TaskData
from hwkd.train.augment import NO_AUGMENTATION, choose_augmentation
from hwkd.train.logit_cache import cached_logits
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher import Teacher, require_knowledge
from hwkd.train.teacher_open import open_teacher
from hwkd.train.teacher_trained import TeacherTraining

__all__ = ["DistilReport", "DistilRequest", "run_distillation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilRequest:
    """What was asked for; see the options of `hwkd distill`."""

    student: str
    out: Path
    methods: tuple[str, ...] = ()
    config: Path | None = None
    epochs: int | None = None
    task: str = "image"
    data: str | None = None
    teacher: str | None = None
    teacher_weights: Path | None = None
    unlabelled: Path | None = None
    views: int = 1
    with_controls: bool = False
    seeds: tuple[int, ...] = (0,)
    by_hardware: bool = False
    pairs: tuple[str, ...] = ()
    calibration: CalibrationChoice = "auto"
    qat: QatMode = "auto"
    accelerator: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilReport:
    """What came of it, as plain data.

    Attributes:
        out: folder written.
        methods: as a user would write them.
        arms: name, validation and test accuracies per seed; the distilled one first.
        exported: name of the arm whose student ships.
        pairs: layer pairs in use.
        epochs: history of the distilled arm's first seed.
        verdict: what to tell the user, line by line.
        gain: over the best control, or None without controls.
        quantisation: validation accuracies of the exported student in float and int8.
    """

    out: Path
    methods: tuple[str, ...]
    arms: tuple[Mapping[str, Any], ...]
    exported: str
    pairs: tuple[Mapping[str, Any], ...]
    epochs: tuple[EpochRecord, ...]
    verdict: tuple[str, ...]
    gain: Mapping[str, Any] | None
    quantisation: QuantisationChoiceRecord | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "schema_version": 1,
            "out": str(self.out),
            "methods": list(self.methods),
            "arms": [dict(arm) for arm in self.arms],
            "exported": self.exported,
            "pairs": [dict(pair) for pair in self.pairs],
            "epochs": [record.model_dump(mode="json") for record in self.epochs],
            "verdict": list(self.verdict),
            "gain": None if self.gain is None else dict(self.gain),
            "quantisation": None
            if self.quantisation is None
            else self.quantisation.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resolved:
    spec: StudentSpec
    layers: Layers
    data: TaskData
    config: SearchConfig


def run_distillation(request: DistilRequest, *, progress: Progress = silent) -> DistilReport:
    """Train the student and write its folder.

    Raises:
        HwkdError: if anything that was asked for cannot be; before any training.
    """
    if request.out.exists() and (not request.out.is_dir() or any(request.out.iterdir())):
        raise ConfigError(f"--out {request.out}: is in use; give a new or an empty folder")
    request = replace(request, by_hardware=request.by_hardware or _asks_for_hardware(request))
    given = _methods(request)
    resolved = _resolve(request, progress)
    transfer = _transfer(request, resolved.data)
    settings = _settings(request, resolved)
    teacher = None
    if not given or any(entry.method.uses_teacher for entry in given):
        teacher = _teacher(request, resolved, settings, progress)
    methods = given or (_default(teacher, resolved.data, progress),)
    if request.pairs:
        methods = paired_with(methods, parse_pairs(request.pairs))
    outcome = distil_student(
        resolved.layers, transfer, teacher, methods, settings, progress=progress
    )
    report = _report(request, methods, outcome)
    knows = None if outcome.exported.arm.is_control else teacher

    def quantise(folder: Path) -> QuantisationChoiceRecord:
        return quantise_distilled(
            folder,
            resolved.layers,
            resolved.data,
            knows,
            calibration=request.calibration,
            qat=request.qat,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            seed=resolved.config.seed,
            progress=progress,
        )

    return _write(request.out, resolved, outcome, report, quantise)


def _methods(request: DistilRequest) -> tuple[WeightedMethod, ...]:
    if request.config is None:
        return parse_methods(request.methods)
    if request.methods:
        raise ConfigError("--config and --method: give the methods in one of them")
    tables = _config(request.config).get("distill", [])
    if not isinstance(tables, list) or not tables:
        raise ConfigError(f"--config {request.config}: has no [[distill]] table")
    return tuple(method_from_table(table) for table in tables)


def _asks_for_hardware(request: DistilRequest) -> bool:
    if request.config is None:
        return False
    importance = _config(request.config).get("importance", "equal")
    if importance not in ("equal", "hardware"):
        raise ConfigError(
            f"--config {request.config}: importance = {importance!r} is neither equal nor hardware"
        )
    return bool(importance == "hardware")


def _config(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"--config {path}: cannot be read ({error})") from error


def _resolve(request: DistilRequest, progress: Progress) -> _Resolved:
    path, _, trial = request.student.partition(":")
    folder = Path(path)
    if folder.suffix == ".json":
        spec = _spec_of_file(folder)
        config = SearchConfig(
            device="host", task=request.task, data=request.data, spaces=(spec.space,)
        )
    else:
        if not (folder / "config.toml").is_file():
            raise RunFolderError(
                f"--student {request.student}: is no run folder and no spec.json; give RUN, "
                "RUN:TRIAL or a spec.json that `hwkd export --format torch` wrote"
            )
        config = SearchConfig.from_toml(folder / "config.toml")
        spec = _spec_of_run(folder, trial)
    _, data = load_data(config, progress=progress)
    if (data.input_shape, data.num_outputs) != (spec.input_shape, spec.num_outputs):
        raise ConfigError(
            f"--student {request.student}: was made for inputs {spec.input_shape} and "
            f"{spec.num_outputs} classes; the data has {data.input_shape} and {data.num_outputs}"
        )
    resolved = resolve_config(config, screen_of(config).device, data)
    layers = load_spaces(config.spaces)[spec.space].layers(spec)
    return _Resolved(spec=spec, layers=layers, data=data, config=resolved)


def _spec_of_file(path: Path) -> StudentSpec:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return SpecRecord.model_validate(content["spec"]).to_spec()
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--student {path}: is no spec.json ({reason})") from error


def _spec_of_run(folder: Path, trial: str) -> StudentSpec:
    if not trial:
        best = folder / "best" / "spec.json"
        if not best.is_file():
            raise RunFolderError(
                f"--student {folder}: has no best student yet; give {folder}:TRIAL"
            )
        return _spec_of_file(best)
    records = {}
    lines = (folder / TRIALS_FILE).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        record = read_trial_line(line, where=f"{folder / TRIALS_FILE}:{number}")
        records[str(record.number)] = record
    if trial not in records or records[trial].spec is None:
        raise ConfigError(
            f"--student {folder}:{trial}: the run has no such student; it has trials 0 to "
            f"{len(records) - 1}"
        )
    found = records[trial].spec
    assert found is not None
    return found.to_spec()


def _transfer(request: DistilRequest, data: TaskData) -> TransferSet:
    unlabelled = None
    if request.unlabelled is not None:
        unlabelled = read_unlabelled(
            request.unlabelled, input_shape=data.input_shape, normalisation=data.normalisation
        )
    if request.views == 1:
        return transfer_set(data, unlabelled=unlabelled)
    seeds = [derive_seed(request.seeds[0], "distil", f"view {i}") for i in range(request.views)]
    return transfer_set(
        data,
        unlabelled=unlabelled,
        view_seeds=seeds,
        augmentation=choose_augmentation(data.train) if request.views > 1 else NO_AUGMENTATION,
    )


def _settings(request: DistilRequest, resolved: _Resolved) -> DistilSettings:
    training = resolved.config.training
    if not (training.full_epochs and training.batch_size and training.learning_rate):
        raise ValueError("the configuration was not resolved")
    return DistilSettings(
        epochs=request.epochs or training.full_epochs,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        seeds=request.seeds,
        with_controls=request.with_controls,
        importance=_importance(resolved) if request.by_hardware else None,
        stages=tuple(path for _, path in parse_pairs(request.pairs)),
        device=accelerator_device(request.accelerator),
    )


def _importance(resolved: _Resolved) -> tuple[float, ...]:
    """Return what each stage costs on the device: the operators since the stage before."""
    screen = screen_of(resolved.config)
    cost = estimate_cost(
        build_graph(resolved.layers),
        screen.device,
        runtime=screen.runtime,
        clock_hz=screen.clock_hz,
    )
    taps = resolved.layers.taps
    stages = sorted((n for n in taps if n.startswith("stage")), key=lambda n: int(n[5:]))
    ends = {taps[name]: index for index, name in enumerate(stages)}
    costs = [0.0] * len(stages)
    stage = 0
    has_latency = all(op.latency_s is not None for op in cost.per_op)
    for op in cost.per_op:
        if stage < len(stages):
            costs[stage] += (op.latency_s or 0.0) if has_latency else float(op.macs)
        if op.name in ends:
            stage = ends[op.name] + 1
    return hardware_importance(costs)


def _teacher(
    request: DistilRequest,
    resolved: _Resolved,
    settings: DistilSettings,
    progress: Progress,
) -> Teacher:
    wanted = resolved.config.teacher
    weights = request.teacher_weights or (Path(wanted.weights) if wanted.weights else None)
    teacher = open_teacher(
        request.teacher or wanted.source,
        resolved.data,
        weights=weights,
        training=TeacherTraining(seed=resolved.config.seed, time_budget_s=wanted.time_budget_s),
        device=settings.device,
        progress=progress,
    )
    logits = cached_logits(teacher, resolved.data, split="validation", progress=progress)
    require_knowledge(
        teacher, resolved.data, validation_logits=np.asarray(logits, dtype=np.float32)
    )
    return teacher


def _default(teacher: Teacher | None, data: TaskData, progress: Progress) -> WeightedMethod:
    assert teacher is not None
    logits = cached_logits(teacher, data, split="train", progress=progress)
    method = default_method(torch.from_numpy(np.array(logits)))
    return WeightedMethod(method=method, weight=method.usual_weight)


def _report(
    request: DistilRequest, methods: tuple[WeightedMethod, ...], outcome: DistilOutcome
) -> DistilReport:
    distilled = outcome.arms[0]
    return DistilReport(
        out=request.out,
        methods=tuple(entry.describe() for entry in methods),
        arms=tuple(
            {
                "name": result.arm.name,
                "methods": [entry.describe() for entry in result.arm.methods],
                "validation": list(result.validation),
                "test": list(result.test),
            }
            for result in outcome.arms
        ),
        exported=outcome.exported.arm.name,
        pairs=tuple(
            {
                "method": method,
                "student": pair.student,
                "teacher": pair.teacher,
                "student_shape": list(pair.student_shape),
                "teacher_shape": list(pair.teacher_shape),
                "adapter": pair.adapter,
            }
            for method, pairs in distilled.pairs.items()
            for pair in pairs
        ),
        epochs=distilled.epochs,
        verdict=_verdict(outcome),
        gain=_gain(outcome),
    )


def _gain(outcome: DistilOutcome) -> dict[str, Any] | None:
    if outcome.attribution is None or outcome.test_gain is None:
        return None
    return {
        "best_control": outcome.attribution.best_control,
        "validation": _interval(outcome.attribution.gain),
        "test": _interval(outcome.test_gain),
    }


def _interval(gain: Gain) -> dict[str, Any]:
    has_interval = gain.seeds > 1
    return {
        "mean": gain.mean,
        "low": gain.low if has_interval else None,
        "high": gain.high if has_interval else None,
        "seeds": gain.seeds,
        "confidence": gain.confidence,
        "verdict": gain.verdict,
    }


def _verdict(outcome: DistilOutcome) -> tuple[str, ...]:
    found, gain = outcome.attribution, outcome.test_gain
    if found is None or gain is None:
        return ("what the teacher added is unknown: give --attribution to train the controls",)
    points = f"{100 * gain.mean:+.2f} points"
    if gain.seeds > 1:
        points += f" ({100 * gain.low:+.2f} to {100 * gain.high:+.2f}, {gain.seeds} seeds)"
    lines = [f"teacher against {found.best_control}, test accuracy: {points}: {gain.verdict}"]
    if not found.teacher_helped:
        lines.append(
            f"the student of {found.exported} ships: on validation it is at least as good without "
            "the teacher; more unlabelled data (--unlabelled) is where a teacher pays"
        )
    return tuple(lines)


def _write(
    out: Path,
    resolved: _Resolved,
    outcome: DistilOutcome,
    report: DistilReport,
    quantise: Callable[[Path], QuantisationChoiceRecord],
) -> DistilReport:
    """Write the folder, all at once; returns the report with what quantisation did."""
    out.parent.mkdir(parents=True, exist_ok=True)
    student = outcome.exported.student
    with TemporaryDirectory(prefix=".distill-", dir=out.parent) as temporary:
        folder = Path(temporary)
        export_onnx(student, resolved.layers, folder / "student.onnx")
        report = replace(report, quantisation=quantise(folder))
        save_student(student, folder / "student.safetensors")
        write_text(folder / "spec.json", spec_json(SpecRecord.of(resolved.spec), resolved.layers))
        write_text(folder / "distill.json", json.dumps(report.as_dict(), indent=2) + "\n")
        out.mkdir(exist_ok=True)
        for file in sorted(folder.iterdir()):
            file.replace(out / file.name)
    return report
