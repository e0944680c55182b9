"""The best student at full length: distilled, exported, tested once, put beside its control."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from onnx import numpy_helper

from hwkd.core.errors import DoesNotFitError
from hwkd.core.pareto import pareto_front
from hwkd.core.progress import Progress
from hwkd.core.run_files import (
    ControlRecord,
    FinalRecord,
    LayerRecord,
    QuantisationRecord,
)
from hwkd.core.trial import EpochRecord, TrialRecord
from hwkd.engine.context import SearchContext, threads_per_worker
from hwkd.engine.evaluation import (
    deploy_student,
    profile_record,
    save_student,
    spec_json,
    student_logits,
    train_student,
)
from hwkd.engine.screening import Candidate, cost_record
from hwkd.engine.store import RunStore, write_text
from hwkd.profiling.onnx_runtime import measure_latency

__all__ = ["BEST_FOLDER", "best_trial", "distil_best", "estimated_seconds"]

BEST_FOLDER = "best"
# Trials run beside others on one thread each; alone, with every core, training is about this much
# faster (measured on two cores), so the estimate errs on the long side.
_SPEEDUP_ALONE = 1.2


def best_trial(records: Sequence[TrialRecord], *, mode: str) -> TrialRecord:
    """Return the trial to train in full.

    Args:
        records: of the search.
        mode: "weighted" takes the smallest objective, "pareto" the smallest error on the front
            (the fastest of equals).

    Raises:
        DoesNotFitError: if no trial was completed.
    """
    completed = {r.number: r for r in records if r.state == "completed" and r.objective is not None}
    if not completed:
        states = ", ".join(sorted({record.state for record in records})) or "none sampled"
        raise DoesNotFitError(
            f"no student was trained successfully (trials: {states}); "
            "raise the limits, --trials or --trial-timeout"
        )
    if mode == "pareto":
        point = min(pareto_front(records), key=lambda p: (p.error, p.latency_s))
        return completed[point.trial]
    return min(completed.values(), key=_objective_value)


def estimated_seconds(best: TrialRecord, context: SearchContext) -> float:
    """Return about how long `distil_best` takes, from the same student's brief training."""
    training = context.config.training
    if not training.brief_epochs or not training.full_epochs:
        return 0.0
    lengths = training.full_epochs / training.brief_epochs
    speedup = _SPEEDUP_ALONE if context.config.workers > 1 else 1.0
    trainings = max(1, 2 * training.controls)
    return best.duration_s * lengths * trainings / speedup


def distil_best(
    best: TrialRecord, context: SearchContext, store: RunStore, *, progress: Progress
) -> FinalRecord:
    """Train the best student in full, test it once and write `best/`.

    The test split is read here for the first time in a search: for the student, its int8 file and
    the control, and nothing is chosen by it.
    """
    if best.spec is None:
        raise ValueError(f"trial {best.number} has no spec")
    started = time.monotonic()
    torch.set_num_threads(threads_per_worker(1))
    candidate = context.screen.candidate(best.spec.to_spec())
    with TemporaryDirectory(prefix=".best-", dir=store.folder) as temporary:
        folder = Path(temporary)
        scored = _train_and_score(candidate, context, folder, progress)
        controls = _controls(candidate, context, scored.test_int8, progress)
        final = FinalRecord(
            trial=best.number,
            spec=best.spec,
            epochs=context.full_config(candidate.spec.key).epochs,
            seconds=time.monotonic() - started,
            validation_accuracy_int8=scored.validation_int8,
            test_accuracy_float=scored.test_float,
            test_accuracy_int8=scored.test_int8,
            layers=tuple(LayerRecord.of(layer) for layer in candidate.layers.layers),
            cost=cost_record(candidate.cost),
            quantisation=_quantisation(folder / "student_int8.onnx", len(context.calibration)),
            profile=profile_record(
                measure_latency(folder / "student_int8.onnx", runs=200, max_seconds=2.0)
            ),
            controls=controls,
        )
        _write_facts(folder, final, context)
        target = store.folder / BEST_FOLDER
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(folder, target)
    return final


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    validation_int8: float
    test_float: float
    test_int8: float


def _train_and_score(
    candidate: Candidate, context: SearchContext, folder: Path, progress: Progress
) -> _Scored:
    config = context.full_config(candidate.spec.key)

    def on_epoch(record: EpochRecord) -> None:
        loss = sum(record.losses.values())
        progress("distil the best student", record.epoch, config.epochs, f"loss {loss:.3f}")

    module, _ = train_student(candidate.layers, context, config, on_epoch=on_epoch)
    module = module.cpu()
    deployed = deploy_student(module, candidate.layers, context, folder)
    save_student(module, folder / "student.safetensors")
    return _Scored(
        validation_int8=_accuracy(context, deployed.int8_path, "validation"),
        test_float=_accuracy(context, deployed.float_path, "test"),
        test_int8=_accuracy(context, deployed.int8_path, "test"),
    )


def _controls(
    candidate: Candidate, context: SearchContext, first: float, progress: Progress
) -> tuple[ControlRecord, ...]:
    """Train the same student with and without the teacher over the same seeds.

    Args:
        candidate: the best student.
        context: of the search.
        first: int8 test accuracy of the student that ships; its training is repetition 0.
        progress: told about every epoch.
    """
    count = context.config.training.controls
    if count == 0:
        return ()
    seeds = tuple(context.full_config(candidate.spec.key, repetition=i).seed for i in range(count))
    distilled = [first, *(_repeat(candidate, context, i, True, progress) for i in range(1, count))]
    hard = [_repeat(candidate, context, i, False, progress) for i in range(count)]
    return (
        ControlRecord(
            name="same student, distilled (the one that ships is the first seed)",
            dtype="int8",
            seeds=seeds,
            test_accuracies=tuple(distilled),
        ),
        ControlRecord(
            name="same student, cross-entropy only (no teacher)",
            dtype="int8",
            seeds=seeds,
            test_accuracies=tuple(hard),
        ),
    )


def _repeat(
    candidate: Candidate,
    context: SearchContext,
    repetition: int,
    with_teacher: bool,
    progress: Progress,
) -> float:
    """Return the int8 test accuracy of one more full training."""
    config = context.full_config(candidate.spec.key, repetition=repetition)
    kind = "distilled" if with_teacher else "without a teacher"

    def on_epoch(record: EpochRecord) -> None:
        progress(f"control {repetition + 1}: {kind}", record.epoch, config.epochs)

    module, _ = train_student(
        candidate.layers, context, config, with_teacher=with_teacher, on_epoch=on_epoch
    )
    with TemporaryDirectory(prefix="hwkd-control-") as temporary:
        deployed = deploy_student(module.cpu(), candidate.layers, context, Path(temporary))
        return _accuracy(context, deployed.int8_path, "test")


def _accuracy(context: SearchContext, onnx_path: Path, split: str) -> float:
    part = context.data.test if split == "test" else context.data.validation
    return 1.0 - context.task.error_ratio(student_logits(onnx_path, part.inputs), part.labels)


def _quantisation(int8_path: Path, calibration_samples: int) -> QuantisationRecord:
    """Read scale and zero point of input and output from the file itself."""
    graph = onnx.load(int8_path).graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    first = next(
        n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == graph.input[0].name
    )
    last = next((n for n in graph.node if graph.output[0].name in n.output), None)
    is_quantised = last is not None and last.op_type == "DequantizeLinear"
    return QuantisationRecord(
        scheme="ONNX Runtime static QDQ: int8 activations (asymmetric), int8 weights per channel",
        calibration_samples=calibration_samples,
        input_scale=float(values[first.input[1]]),
        input_zero_point=int(values[first.input[2]]),
        output_scale=float(values[last.input[1]]) if last is not None and is_quantised else None,
        output_zero_point=int(values[last.input[2]]) if last is not None and is_quantised else None,
    )


def _write_facts(folder: Path, final: FinalRecord, context: SearchContext) -> None:
    """Write `spec.json` and `metrics.json`: what firmware and other tools need."""
    scale = context.data.normalisation
    metrics = {
        "schema_version": 1,
        "final": final.model_dump(mode="json"),
        "labels": list(context.data.class_names),
        "normalisation": {
            "formula": "(raw - mean) / std, per channel",
            "mean": list(scale.mean),
            "std": list(scale.std),
            "raw_low": scale.raw_low,
            "raw_high": scale.raw_high,
            "raw_dtype": scale.raw_dtype,
        },
        "data_fingerprint": context.data.fingerprint,
    }
    write_text(folder / "spec.json", spec_json(final.spec))
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")


def _objective_value(record: TrialRecord) -> float:
    if record.objective is None:
        raise ValueError(f"trial {record.number} has no objective")
    return record.objective.value
