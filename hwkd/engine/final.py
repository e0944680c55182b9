"""The best student at full length: distilled, exported, tested once, put beside its control."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnx import numpy_helper

from hwkd.core.errors import DoesNotFitError
from hwkd.core.final_record import (
    ControlRecord,
    FinalRecord,
    GainRecord,
    LayerRecord,
    QuantisationRecord,
)
from hwkd.core.pareto import pareto_front
from hwkd.core.progress import Progress
from hwkd.core.trial import SpecRecord, TrialRecord
from hwkd.distill.attribution import attribute, paired_gain
from hwkd.engine.context import SearchContext
from hwkd.engine.evaluation import profile_record
from hwkd.engine.run_record import data_record
from hwkd.engine.screening import cost_record
from hwkd.engine.search_methods import Recipe, recipes
from hwkd.engine.store import RunStore, write_text
from hwkd.engine.train_job import JobScores, TrainJob, job_folder, job_history, run_jobs
from hwkd.profiling.onnx_runtime import measure_latency

__all__ = ["BEST_FOLDER", "best_trial", "distil_best", "trainings"]

BEST_FOLDER = "best"
_ARMS: Mapping[Recipe, str] = {
    "distilled": "distilled",
    "cross-entropy": "cross-entropy only (no teacher)",
    "label smoothing": "label smoothing (no teacher)",
    "transform without a teacher": "transform without a teacher, of the labels alone",
}


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
            "raise the limits, --trials, --timeout or --trial-timeout"
        )
    if mode == "pareto":
        point = min(pareto_front(records), key=lambda p: (p.error, p.latency_s))
        return completed[point.trial]
    return min(completed.values(), key=_objective_value)


def trainings(context: SearchContext, seeds: int) -> int:
    """Return how many full-length trainings controls over so many seeds make."""
    return max(1, seeds * len(recipes(context.methods)))


def distil_best(
    best: TrialRecord,
    context: SearchContext,
    store: RunStore,
    *,
    epochs: int,
    seeds: int,
    progress: Progress,
) -> FinalRecord:
    """Train the best student for `epochs` beside its controls, test them and write `best/`.

    Never worse: what ships is the distilled student only if its int8 accuracy on validation is
    above every control's, on average over the seeds. The test split is read here for the first time
    in a search, and nothing is chosen by it.

    Args:
        best: the trial.
        context: of the search.
        store: of the run.
        epochs: of every training.
        seeds: over which the student and its controls are trained; 0 trains the student once.
        progress: told about the epochs of all trainings together.
    """
    if best.spec is None:
        raise ValueError(f"trial {best.number} has no spec")
    started = time.monotonic()
    jobs = _jobs(best.spec, context, epochs=epochs, seeds=seeds)
    scores = run_jobs(store, jobs, progress=progress)
    arms = {
        recipe: [scores[job.name] for job in jobs if job.recipe == recipe]
        for recipe in dict.fromkeys(job.recipe for job in jobs)
    }
    recipe, gain = _winner(arms)
    ships = arms[recipe][0]
    job = next(job for job in jobs if job.recipe == recipe)
    folder = job_folder(store, job)
    candidate = context.screen.candidate(best.spec.to_spec())
    profile = measure_latency(folder / "student_int8.onnx", runs=200, max_seconds=2.0)
    final = FinalRecord(
        trial=best.number,
        spec=best.spec,
        epochs=ships.epochs,
        seconds=time.monotonic() - started,
        validation_accuracy_int8=ships.validation_int8,
        test_accuracy_float=ships.test_float,
        test_accuracy_int8=ships.test_int8,
        layers=tuple(LayerRecord.of(layer) for layer in candidate.layers.layers),
        cost=cost_record(candidate.cost),
        quantisation=_quantisation(folder / "student_int8.onnx", len(context.calibration)),
        quantisation_choice=ships.quantisation,
        profile=profile_record(profile),
        controls=() if seeds == 0 else _controls(arms),
        methods=tuple(entry.describe() for entry in context.methods),
        recipe=recipe,
        gain=gain,
        history=job_history(store, job),
    )
    _publish(folder, store.folder / BEST_FOLDER, final, context)
    return final


def _jobs(spec: SpecRecord, context: SearchContext, *, epochs: int, seeds: int) -> list[TrainJob]:
    """Return the trainings, the distilled ones first."""
    wanted = recipes(context.methods) if seeds else ("distilled",)
    pairs = [(recipe, seed) for recipe in wanted for seed in range(max(1, seeds))]
    return [
        TrainJob(
            name=f"{recipe.replace(' ', '-')}{seed}",
            spec=spec,
            repetition=seed,
            recipe=recipe,
            processes=min(context.config.workers, len(pairs)),
            epochs=epochs,
        )
        for recipe, seed in pairs
    ]


def _winner(arms: Mapping[Recipe, Sequence[JobScores]]) -> tuple[Recipe, GainRecord | None]:
    """Return the recipe whose student ships, and what distillation gained on the test split."""
    if len(arms) == 1:
        return "distilled", None
    validation: dict[str, list[float]] = {
        recipe: [s.validation_int8 for s in scores] for recipe, scores in arms.items()
    }
    distilled = validation.pop("distilled")
    found = attribute("distilled", distilled, validation)
    by_name: dict[str, Recipe] = {recipe: recipe for recipe in arms}
    control = by_name[found.best_control]
    gain = paired_gain(*([s.test_int8 for s in arms[r]] for r in ("distilled", control)))
    has_interval = gain.seeds > 1
    record = GainRecord(
        over=control,
        mean=gain.mean,
        low=gain.low if has_interval else None,
        high=gain.high if has_interval else None,
        seeds=gain.seeds,
        confidence=gain.confidence,
        verdict=gain.verdict,
    )
    return by_name[found.exported], record


def _controls(arms: Mapping[Recipe, Sequence[JobScores]]) -> tuple[ControlRecord, ...]:
    return tuple(
        ControlRecord(
            name=f"same student, {_ARMS[recipe]}",
            dtype="int8",
            seeds=tuple(score.seed for score in scores),
            test_accuracies=tuple(score.test_int8 for score in scores),
            validation_accuracies=tuple(score.validation_int8 for score in scores),
        )
        for recipe, scores in arms.items()
    )


def _publish(source: Path, target: Path, final: FinalRecord, context: SearchContext) -> None:
    """Put the student's files and `metrics.json` into `best/`, all at once."""
    with TemporaryDirectory(prefix=".best-", dir=target.parent) as temporary:
        folder = Path(temporary) / "best"
        folder.mkdir()
        for name in ("student.onnx", "student_int8.onnx", "student.safetensors", "spec.json"):
            shutil.copyfile(source / name, folder / name)
        write_text(folder / "metrics.json", _metrics_json(final, context))
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)


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


def _metrics_json(final: FinalRecord, context: SearchContext) -> str:
    """Return what firmware and other tools need beside the model files."""
    metrics = {
        "schema_version": 1,
        "final": final.model_dump(mode="json"),
        "labels": list(context.data.class_names),
        "normalisation": {
            "formula": "(raw - mean) / std, per channel",
            **data_record(context.data).normalisation.model_dump(mode="json"),
        },
        "data_fingerprint": context.data.fingerprint,
    }
    return json.dumps(metrics, indent=2) + "\n"


def _objective_value(record: TrialRecord) -> float:
    if record.objective is None:
        raise ValueError(f"trial {record.number} has no objective")
    return record.objective.value
