"""What happens once, before the first trial: data, feasibility, teacher, the teacher's logits.

The main process prepares and writes `prepared.json`; workers read it and load what it names.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from hwkd.core.errors import RunFolderError, TeacherError
from hwkd.core.progress import Progress
from hwkd.core.run_files import TeacherRecord
from hwkd.engine.config import SearchConfig
from hwkd.engine.context import (
    SearchContext,
    accelerator_device,
    load_data,
    make_context,
    resolve_config,
    screen_of,
)
from hwkd.engine.feasibility import SpaceFeasibility, drop_infeasible, survey
from hwkd.engine.references import ReferenceSurvey, survey_references
from hwkd.engine.rooms import fit_spaces
from hwkd.engine.screening import Screen, load_spaces
from hwkd.engine.search_methods import configured_methods, require_possible
from hwkd.engine.store import RunStore
from hwkd.tasks.base import Task, TaskData
from hwkd.train.logit_cache import cached_logits
from hwkd.train.teacher import Teacher, TeacherKind, accuracy_ratio, require_knowledge
from hwkd.train.teacher_open import open_teacher
from hwkd.train.teacher_trained import TeacherTraining

__all__ = [
    "PREPARED_FILE",
    "Prepared",
    "PreparedTeacher",
    "check_unchanged",
    "load_context",
    "measure_teacher",
    "prepare_data",
    "prepare_teacher",
    "prepared_json",
]

PREPARED_FILE = "prepared.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Data, device and limits of a search, before any training.

    Attributes:
        config: resolved.
        screen: device, limits and spaces, fitted to the limits.
        task: of the search.
        data: all splits.
        feasibility: one entry per space, those left out included.
        references: textbook designs scaled to the limits.
        accelerator: what trains, for example "cpu".
    """

    config: SearchConfig
    screen: Screen
    task: Task
    data: TaskData
    feasibility: tuple[SpaceFeasibility, ...]
    references: ReferenceSurvey
    accelerator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTeacher:
    """A teacher that passed its checks, and its record."""

    teacher: Teacher
    record: TeacherRecord


class _PreparedRecord(BaseModel):
    """`prepared.json`: what workers load and what a resumed search must find unchanged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    data_fingerprint: str
    teacher_identity: str
    num_outputs: int


@dataclass(frozen=True, kw_only=True)
class _AbsentTeacher:
    """Names a teacher whose logits are in the cache; workers never run one."""

    identity: str
    num_outputs: int
    kind: TeacherKind = "trained here"
    name: str = "prepared teacher"
    description: str = "named by prepared.json"
    is_from_cache: bool = True

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        raise TeacherError(
            f"the cached logits of {len(inputs)} inputs are gone from the cache folder; "
            "start again with `hwkd search --resume RUN`"
        )


def prepare_data(config: SearchConfig, *, progress: Progress) -> Prepared:
    """Read the data, fill open choices and see what fits; nothing is trained or written."""
    device = screen_of(config).device  # unknown names are refused before any data is read
    configured_methods(config)
    accelerator = accelerator_device(config.accelerator)
    task, data = load_data(config, progress=progress)
    resolved = resolve_config(config, device, data)
    require_possible(resolved, data)
    shape, outputs = data.input_shape, data.num_outputs
    screen = fit_spaces(screen_of(resolved), input_shape=shape, num_outputs=outputs)
    references = survey_references(screen, input_shape=shape, num_outputs=outputs)
    sampled = survey(screen, input_shape=shape, num_outputs=outputs, seed=config.seed)
    found = drop_infeasible(sampled, references)
    return Prepared(
        config=_without_left_out(resolved, found),
        screen=screen,
        task=task,
        data=data,
        feasibility=found,
        references=references,
        accelerator=str(accelerator),
    )


def prepare_teacher(prepared: Prepared, *, progress: Progress) -> PreparedTeacher:
    """Load or train the teacher, check that it knows something and cache its logits.

    Raises:
        TeacherError: if it does not match the data or is at chance level.
    """
    started = time.monotonic()
    data = prepared.data
    teacher = _load_teacher(prepared, progress)
    validation = np.asarray(cached_logits(teacher, data, split="validation", progress=progress))
    accuracy = require_knowledge(teacher, data, validation_logits=validation.astype(np.float32))
    cached_logits(teacher, data, split="train", progress=progress)
    record = TeacherRecord(
        kind=teacher.kind,
        description=teacher.description,
        validation_accuracy=accuracy,
        seconds=time.monotonic() - started,
        from_cache=teacher.is_from_cache,
    )
    return PreparedTeacher(teacher=teacher, record=record)


def measure_teacher(
    prepared_teacher: PreparedTeacher, prepared: Prepared, *, progress: Progress
) -> TeacherRecord:
    """Return the teacher's record with its test accuracy; called once, at the end."""
    logits = cached_logits(prepared_teacher.teacher, prepared.data, split="test", progress=progress)
    accuracy = accuracy_ratio(np.asarray(logits, dtype=np.float32), prepared.data.test.labels)
    return prepared_teacher.record.model_copy(update={"test_accuracy": accuracy})


def prepared_json(prepared: Prepared, teacher: PreparedTeacher) -> str:
    """Return the text of `prepared.json`."""
    return _record(prepared, teacher).model_dump_json(indent=2)


def check_unchanged(store: RunStore, prepared: Prepared, teacher: PreparedTeacher) -> None:
    """Refuse to mix trials of different data or teachers in one run.

    Raises:
        RunFolderError: if the data or the teacher is another than the run began with.
    """
    before, now = _read_record(store.folder), _record(prepared, teacher)
    if before.data_fingerprint != now.data_fingerprint:
        raise RunFolderError(
            f"--resume {store.folder}: the data changed since the run began (fingerprint "
            f"{before.data_fingerprint[:12]}, now {now.data_fingerprint[:12]}); "
            "put the old data back or start a new run"
        )
    if before.teacher_identity != now.teacher_identity:
        raise RunFolderError(
            f"--resume {store.folder}: the teacher is another one than the run began with; "
            "put the old one back or start a new run"
        )


def load_context(store: RunStore) -> SearchContext:
    """Load what trials share, from the run folder and the cache.

    Raises:
        RunFolderError: if the data is not what the run began with.
    """
    config = SearchConfig.from_toml(store.config_path)
    record = _read_record(store.folder)
    task, data = load_data(config)
    if data.fingerprint != record.data_fingerprint:
        raise RunFolderError(f"{store.folder}: the data changed while the search was running")
    teacher = _AbsentTeacher(identity=record.teacher_identity, num_outputs=record.num_outputs)
    return make_context(
        config,
        task,
        data,
        train_logits=cached_logits(teacher, data, split="train"),
        validation_logits=cached_logits(teacher, data, split="validation"),
    )


def _without_left_out(config: SearchConfig, found: Sequence[SpaceFeasibility]) -> SearchConfig:
    """Return the configuration that workers read: without spaces in which nothing fits."""
    left_out = {space.space for space in found if space.is_left_out}
    kept = tuple(entry for entry in config.spaces if not left_out & set(load_spaces((entry,))))
    return config.model_copy(update={"spaces": kept})


def _load_teacher(prepared: Prepared, progress: Progress) -> Teacher:
    wanted = prepared.config.teacher
    return open_teacher(
        wanted.source,
        prepared.data,
        weights=Path(wanted.weights) if wanted.weights else None,
        training=TeacherTraining(seed=prepared.config.seed, time_budget_s=wanted.time_budget_s),
        device=accelerator_device(prepared.accelerator),
        progress=progress,
    )


def _record(prepared: Prepared, teacher: PreparedTeacher) -> _PreparedRecord:
    return _PreparedRecord(
        data_fingerprint=prepared.data.fingerprint,
        teacher_identity=teacher.teacher.identity,
        num_outputs=prepared.data.num_outputs,
    )


def _read_record(folder: Path) -> _PreparedRecord:
    path = folder / PREPARED_FILE
    try:
        return _PreparedRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise RunFolderError(f"{path}: cannot be read ({reason}); start a new run") from None
