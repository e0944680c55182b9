"""Full-length trainings as processes: started side by side, watched, stopped at their end.

The students and their controls run one core each: small networks gain more from that than from
threads. A job that finished leaves `scores.json` and is not run again on resume.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from hwkd.core.errors import HwkdError
from hwkd.core.final_record import QuantisationChoiceRecord
from hwkd.core.metric import ScoresRecord
from hwkd.core.old_records import with_scores
from hwkd.core.progress import Progress
from hwkd.core.trial import EpochRecord, ObjectiveRecord, SpecRecord
from hwkd.engine.arms.children import Child, Nursery
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.context import threads_per_worker
from hwkd.io.run_text import write_text

__all__ = [
    "HISTORY_FILE",
    "JOBS_FOLDER",
    "PROGRESS_FILE",
    "SCORES_FILE",
    "JobScores",
    "TrainJob",
    "finished_jobs",
    "history_json",
    "job_folder",
    "job_history",
    "run_jobs",
]

JOBS_FOLDER = "final"
JOB_FILE, SCORES_FILE, PROGRESS_FILE = "job.json", "scores.json", "progress.json"
HISTORY_FILE = "history.json"
_HISTORY = TypeAdapter(tuple[EpochRecord, ...])
_POLL_S = 0.1
# A job plans its own end; one that misses it is stopped after so much of its time, without result.
_GRACE_RATIO, _GRACE_S = 0.02, 0.5
# A job that starts later than the others needs about as long as they took.
_WORTH_STARTING = 0.9


class JobScores(BaseModel):
    """What a training reached.

    Attributes:
        seed: of the training.
        epochs: passes over the data, rounded.
        scores: of the float and the int8 file.
        objective: terms on validation, int8; None in files of older versions.
        samples_seen: in the training; None likewise.
        quantisation: how the int8 file was chosen; None when another version trained the job.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int
    epochs: int
    scores: ScoresRecord
    objective: ObjectiveRecord | None = None
    samples_seen: int | None = None
    quantisation: QuantisationChoiceRecord | None = None

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        return with_scores(raw, {n: n for n in ("validation_int8", "test_float", "test_int8")})


class TrainJob(BaseModel):
    """What to train.

    Attributes:
        name: of the job's folder, with the network and the length.
        trial: that proposed the network.
        spec: of the student.
        repetition: numbers the seed; 0 is a student that may ship.
        arm: its name, see `hwkd.engine.arms.recipes.arms_of`.
        processes: that run at the same time, to share the cores.
        epochs: length of the training, at most.
        loses_in_int8: training with simulated rounding will probably follow, and needs its time.
        budget_s: time for training, quantising and scoring; None is as long as it takes.
        end_s: when it must be done, by the system's monotonic clock; None likewise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    trial: int = -1
    spec: SpecRecord
    repetition: int
    arm: str
    processes: int
    epochs: int
    loses_in_int8: bool = False
    budget_s: float | None = None
    end_s: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        """Older versions called the arm a recipe."""
        if not isinstance(raw, dict) or "recipe" not in raw:
            return raw
        return {("arm" if name == "recipe" else name): value for name, value in raw.items()}

    @property
    def full_name(self) -> str:
        """Name network, length and way of training: different for different trainings."""
        length = (
            f"{self.epochs}" if self.budget_s is None else f"{self.epochs}-in-{self.budget_s:.0f}s"
        )
        return f"{self.spec.key}-{length}-{self.name}"


@dataclass
class _Running:
    job: TrainJob
    process: Child
    started_s: float


def run_jobs(
    store: RunFolder,
    nursery: Nursery,
    jobs: Sequence[TrainJob],
    *,
    end_s: float | None = None,
    slot_s: float | None = None,
    progress: Progress,
) -> dict[str, JobScores]:
    """Run trainings side by side; returns the scores of those that finished, by job name.

    Args:
        store: of the run.
        nursery: starts the processes.
        jobs: the most important first, all with the same `processes`.
        end_s: when the stage is over, by `time.monotonic`. Jobs are given the time until then;
            those for which too little is left are not started.
        slot_s: time of one job, where several rounds share the stage; None is all that is left.
        progress: told about all jobs together.

    Raises:
        HwkdError: if a training fails, with its last line.
    """
    waiting = [job for job in jobs if _scores(job_folder(store, job)) is None]
    total = len(jobs)
    running: list[_Running] = []
    longest_s = 0.0
    try:
        while waiting or running:
            while waiting and len(running) < waiting[0].processes:
                if end_s is not None and end_s - time.monotonic() < _WORTH_STARTING * longest_s:
                    waiting.clear()
                    break
                job_end_s = end_s
                if end_s is not None and slot_s is not None:
                    # The last round gets what rounding left over.
                    slot_end_s = time.monotonic() + slot_s
                    job_end_s = end_s if end_s - slot_end_s < slot_s / 2 else slot_end_s
                running.append(_start(store, nursery, waiting.pop(0), job_end_s))
            time.sleep(_POLL_S)
            for entry in [e for e in running if e.process.poll() is not None or _is_late(e)]:
                running.remove(entry)
                _settle(store, entry)
                longest_s = max(longest_s, time.monotonic() - entry.started_s)
            done = sum(_done_ratio(job_folder(store, job)) for job in jobs)
            progress("train the best student in full", round(100 * done), 100 * total)
    finally:
        for entry in running:
            entry.process.kill()
            entry.process.wait()
    found = ((job.name, _scores(job_folder(store, job))) for job in jobs)
    return {name: scores for name, scores in found if scores is not None}


def finished_jobs(store: RunFolder) -> Iterator[tuple[TrainJob, JobScores]]:
    """Give every training in the run folder that finished, of earlier calls as well."""
    for path in sorted((store.path / JOBS_FOLDER).glob(f"*/{JOB_FILE}")):
        scores = _scores(path.parent)
        try:
            job = TrainJob.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            continue  # cut off while it was written; it has no scores either
        if scores is not None:
            yield job, scores


def job_folder(store: RunFolder, job: TrainJob) -> Path:
    """Return the folder with the job's files."""
    return store.path / JOBS_FOLDER / job.full_name


def job_history(store: RunFolder, job: TrainJob) -> tuple[EpochRecord, ...]:
    """Return the terms of a finished job, epoch by epoch; empty if an older version trained it."""
    path = job_folder(store, job) / HISTORY_FILE
    return _HISTORY.validate_json(path.read_text()) if path.is_file() else ()


def history_json(epochs: Sequence[EpochRecord]) -> str:
    """Return the text of a job's history."""
    return _HISTORY.dump_json(tuple(epochs)).decode()


def _start(store: RunFolder, nursery: Nursery, job: TrainJob, end_s: float | None) -> _Running:
    folder = job_folder(store, job)
    folder.mkdir(parents=True, exist_ok=True)
    job = job.model_copy(update={"end_s": end_s})
    write_text(folder / JOB_FILE, job.model_dump_json())
    process = nursery.start(
        "hwkd.engine.arms.train_job",
        [str(store.path), str(folder)],
        log=folder / "log.txt",
        threads=threads_per_worker(job.processes),
    )
    return _Running(job, process, time.monotonic())


def _is_late(entry: _Running) -> bool:
    end_s = entry.job.end_s
    if end_s is None:
        return False
    grace_s = _GRACE_S + _GRACE_RATIO * (end_s - entry.started_s)
    return time.monotonic() > end_s + grace_s


def _settle(store: RunFolder, entry: _Running) -> None:
    """End a job that is over or late; a failure counts only where there was time enough."""
    folder = job_folder(store, entry.job)
    late = _is_late(entry)
    if entry.process.poll() is None:
        entry.process.kill()
        entry.process.wait()
    if _scores(folder) is None and not late:
        raise HwkdError(
            f"training {entry.job.name} of the best student failed: {_last_line(folder)}"
        )


def _scores(folder: Path) -> JobScores | None:
    path = folder / SCORES_FILE
    return JobScores.model_validate_json(path.read_text()) if path.is_file() else None


def _done_ratio(folder: Path) -> float:
    if _scores(folder) is not None:
        return 1.0
    path = folder / PROGRESS_FILE
    ratio = float(json.loads(path.read_text())["ratio"]) if path.is_file() else 0.0
    return min(1.0, ratio) if math.isfinite(ratio) else 0.0


def _last_line(folder: Path) -> str:
    lines = (folder / "log.txt").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no message"
