"""One full-length training in a process of its own: `python -m hwkd.engine.train_job RUN NAME PID`.

The distilled student and its controls run side by side, one core each: small networks gain more
from that than from threads. A job that finished leaves `scores.json` and is not run again on
resume.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter

from hwkd.core.errors import HwkdError
from hwkd.core.final_record import QuantisationChoiceRecord
from hwkd.core.progress import Progress
from hwkd.core.student import Layers
from hwkd.core.trial import EpochRecord, SpecRecord
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.int8_methods import int8_recipe
from hwkd.distill.sources import TeacherSource
from hwkd.engine.context import SearchContext, threads_per_worker
from hwkd.engine.evaluation import (
    save_student,
    spec_json,
    student_criterion,
    student_logits,
    train_student,
)
from hwkd.engine.prepare import load_context
from hwkd.engine.quantise import QuantisationData, QuantisationSettings, quantise_student
from hwkd.engine.search_methods import Recipe, methods_of
from hwkd.engine.store import RunStore, write_text
from hwkd.engine.trial_run import InterruptedTrial
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.train.loop import Criterion, TrainConfig

__all__ = ["JobScores", "TrainJob", "job_folder", "job_history", "run_jobs"]

JOBS_FOLDER = "final"
HISTORY_FILE = "history.json"
_HISTORY = TypeAdapter(tuple[EpochRecord, ...])
_POLL_S = 0.2


class JobScores(BaseModel):
    """What a full-length training reached; accuracies 0 to 1.

    Attributes:
        quantisation: how the int8 file was chosen; None when another version trained the job.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int
    epochs: int
    validation_int8: float
    test_float: float
    test_int8: float
    quantisation: QuantisationChoiceRecord | None = None


class TrainJob(BaseModel):
    """What to train.

    Attributes:
        name: of the job's folder.
        spec: of the student.
        repetition: numbers the seed; 0 is a student that may ship.
        recipe: distilled, or a control without a teacher.
        processes: that run at the same time, to share the cores.
        epochs: length of the training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    spec: SpecRecord
    repetition: int
    recipe: Recipe
    processes: int
    epochs: int


@dataclass
class _Running:
    job: TrainJob
    process: subprocess.Popen[bytes]


def run_jobs(
    store: RunStore, jobs: Sequence[TrainJob], *, progress: Progress
) -> dict[str, JobScores]:
    """Run trainings side by side; returns the scores by job name.

    Args:
        store: of the run.
        jobs: all with the same `processes`.
        progress: told about the epochs of all jobs together.

    Raises:
        HwkdError: if a training fails, with its last line.
    """
    waiting = [job for job in jobs if _scores(store, job) is None]
    total = len(jobs)
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < waiting[0].processes:
                running.append(_start(store, waiting.pop(0)))
            time.sleep(_POLL_S)
            for entry in [e for e in running if e.process.poll() is not None]:
                running.remove(entry)
                if _scores(store, entry.job) is None:
                    raise HwkdError(
                        f"training {entry.job.name} of the best student failed: "
                        f"{_last_line(store, entry.job)}"
                    )
            done = sum(_done_ratio(store, job) for job in jobs)
            progress("train the best student in full", round(100 * done), 100 * total)
    finally:
        for entry in running:
            entry.process.kill()
            entry.process.wait()
    return {job.name: scores for job in jobs if (scores := _scores(store, job)) is not None}


def job_folder(store: RunStore, job: TrainJob) -> Path:
    """Return the folder with the job's files."""
    return store.folder / JOBS_FOLDER / f"{job.spec.key}-{job.epochs}-{job.name}"


def job_history(store: RunStore, job: TrainJob) -> tuple[EpochRecord, ...]:
    """Return the terms of a finished job, epoch by epoch; empty if an older version trained it."""
    path = job_folder(store, job) / HISTORY_FILE
    return _HISTORY.validate_json(path.read_text()) if path.is_file() else ()


def _start(store: RunStore, job: TrainJob) -> _Running:
    folder = job_folder(store, job)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "job.json", job.model_dump_json())
    threads = str(threads_per_worker(job.processes))
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "hwkd.engine.train_job",
                str(store.folder), str(folder), str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": threads},
            start_new_session=True,
        )  # fmt: skip
    return _Running(job, process)


def _scores(store: RunStore, job: TrainJob) -> JobScores | None:
    path = job_folder(store, job) / "scores.json"
    return JobScores.model_validate_json(path.read_text()) if path.is_file() else None


def _done_ratio(store: RunStore, job: TrainJob) -> float:
    if _scores(store, job) is not None:
        return 1.0
    path = job_folder(store, job) / "progress.json"
    return float(json.loads(path.read_text())["ratio"]) if path.is_file() else 0.0


def _last_line(store: RunStore, job: TrainJob) -> str:
    lines = (job_folder(store, job) / "log.txt").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"


def main(run: Path, folder: Path, parent_pid: int) -> int:
    """Run the job in `folder`; returns the exit code."""

    def check() -> None:
        if os.getppid() != parent_pid:
            raise InterruptedTrial

    job = TrainJob.model_validate_json((folder / "job.json").read_text())
    torch.set_num_threads(threads_per_worker(1))  # the parent has set this job's share
    try:
        context = load_context(RunStore(run))
        candidate = context.screen.candidate(job.spec.to_spec())
        config = context.full_config(
            candidate.layers.key, repetition=job.repetition, epochs=job.epochs
        )

        def on_epoch(record: EpochRecord) -> None:
            text = json.dumps({"ratio": record.epoch / config.epochs})
            write_text(folder / "progress.json", text)

        module, trained = train_student(
            candidate.layers,
            context,
            config,
            recipe=job.recipe,
            on_epoch=on_epoch,
            check=check,
        )
        module = module.cpu()
        float_path, int8_path = folder / "student.onnx", folder / "student_int8.onnx"
        export_onnx(module, candidate.layers, float_path)
        quantisation = quantise_student(
            float_path,
            int8_path,
            candidate.layers,
            _quantisation_data(context, candidate.layers, job.recipe, config),
            _quantisation_settings(context, config),
            check=check,
        )
        save_student(module, folder / "student.safetensors")
        write_text(folder / "spec.json", spec_json(job.spec, candidate.layers))
        scores = JobScores(
            seed=config.seed,
            epochs=config.epochs,
            validation_int8=_accuracy(context, int8_path, "validation"),
            test_float=_accuracy(context, float_path, "test"),
            test_int8=_accuracy(context, int8_path, "test"),
            quantisation=quantisation,
        )
        write_text(folder / HISTORY_FILE, _HISTORY.dump_json(trained.epochs).decode())
        write_text(folder / "scores.json", scores.model_dump_json())
    except InterruptedTrial:
        return 1
    except HwkdError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _quantisation_data(
    context: SearchContext, layers: Layers, recipe: Recipe, config: TrainConfig
) -> QuantisationData:
    """Return what the int8 form is made and judged with; a control never sees the teacher."""
    # Apple's GPUs have no float64, which simulated rounding needs for biases.
    device = torch.device("cpu") if context.accelerator.type == "mps" else context.accelerator
    here = replace(
        context,
        train_inputs=context.train_inputs.to(device),
        train_labels=context.train_labels.to(device),
        teacher_train_logits=context.teacher_train_logits.to(device),
    )
    goes_on = int8_recipe(methods_of(recipe, context.methods))

    def criterion(student: FakeQuantStudent, own: TeacherSource) -> Criterion:
        source = own if goes_on.follows_itself else None
        return student_criterion(here, student, layers, goes_on.methods, config, source=source)

    validation = context.data.validation
    return QuantisationData(
        calibration=context.calibration,
        train_views=[here.train_inputs],
        train_labels=here.train_labels,
        criterion=criterion,
        validation_inputs=validation.inputs,
        validation_labels=validation.labels,
        error_ratio=context.task.error_ratio,
    )


def _quantisation_settings(context: SearchContext, config: TrainConfig) -> QuantisationSettings:
    chosen = context.config.quantisation
    return QuantisationSettings(
        calibration=chosen.calibration,
        qat=chosen.qat,
        full_epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
    )


def _accuracy(context: SearchContext, onnx_path: Path, split: str) -> float:
    part = context.data.test if split == "test" else context.data.validation
    return 1.0 - context.task.error_ratio(student_logits(onnx_path, part.inputs), part.labels)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
