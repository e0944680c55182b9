"""What a run began with: written once as `prepared.json`, read by workers and resumed searches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import RunFolderError, TeacherError
from hwkd.core.strict_model import StrictModel, read_record
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import SearchContext, load_data, make_context
from hwkd.engine.setup.prepare import Prepared
from hwkd.engine.setup.trust import trusted
from hwkd.train.logit_cache import cached_logits
from hwkd.train.teacher import Teacher, TeacherKind

__all__ = [
    "PREPARED_FILE",
    "check_data_unchanged",
    "check_teacher_unchanged",
    "load_context",
    "named_teacher",
    "prepared_json",
    "teacher_is_settled",
]

PREPARED_FILE = "prepared.json"


class _PreparedRecord(StrictModel):
    """`prepared.json`: what workers load and what a resumed search must find unchanged."""

    schema_version: int = 1
    data_fingerprint: str
    teacher_identity: str | None
    teacher_settled: bool = True
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


def prepared_json(prepared: Prepared, teacher: Teacher | None, *, is_settled: bool = True) -> str:
    """Return the text of `prepared.json`.

    Args:
        prepared: data of the search.
        teacher: that students learn from; None for labels alone.
        is_settled: False while the teacher is not known yet.
    """
    return _record(prepared, teacher, is_settled=is_settled).model_dump_json(indent=2)


def teacher_is_settled(store: RunFolder) -> bool:
    """Tell whether a run came as far as knowing its teacher, or that it has none."""
    return _read_record(store.path).teacher_settled


def named_teacher(store: RunFolder) -> Teacher | None:
    """Return the teacher that a run began with: it has a name and outputs, and cannot run."""
    record = _read_record(store.path)
    if record.teacher_identity is None:
        return None
    return _AbsentTeacher(identity=record.teacher_identity, num_outputs=record.num_outputs)


def check_data_unchanged(store: RunFolder, prepared: Prepared) -> None:
    """Refuse to mix trials of different data in one run.

    Raises:
        RunFolderError: if the data is another than the run began with.
    """
    before, now = _read_record(store.path).data_fingerprint, prepared.data.fingerprint
    if before != now:
        raise RunFolderError(
            f"--resume {store.path}: the data changed since the run began (fingerprint "
            f"{before[:12]}, now {now[:12]}); put the old data back or start a new run"
        )


def check_teacher_unchanged(store: RunFolder, teacher: Teacher) -> None:
    """Refuse to mix trials of different teachers in one run.

    Raises:
        RunFolderError: if the teacher is another than the run began with.
    """
    if _read_record(store.path).teacher_identity != teacher.identity:
        raise RunFolderError(
            f"--resume {store.path}: the teacher is another one than the run began with; "
            "put the old one back or start a new run"
        )


def load_context(store: RunFolder, *, trusts: bool = False) -> SearchContext:
    """Load what trials share, from the run folder and the cache.

    Args:
        store: of the run.
        trusts: the user named the run as one whose search spaces may run.

    Raises:
        RunFolderError: if the data is not what the run began with.
        ConfigError: if the user did not name the run's own search spaces, or they changed.
    """
    config = SearchConfig.from_toml(store.config_path)
    config = trusted(config, where=str(store.path), trusts=trusts, with_teacher=False)
    record = _read_record(store.path)
    task, data = load_data(config)
    if data.fingerprint != record.data_fingerprint:
        raise RunFolderError(f"{store.path}: the data changed while the search was running")
    teacher = named_teacher(store)
    if teacher is None:
        return make_context(config, task, data)
    return make_context(
        config,
        task,
        data,
        train_logits=cached_logits(teacher, data, split="train"),
        validation_logits=cached_logits(teacher, data, split="validation"),
    )


def _record(prepared: Prepared, teacher: Teacher | None, *, is_settled: bool) -> _PreparedRecord:
    return _PreparedRecord(
        data_fingerprint=prepared.data.fingerprint,
        teacher_identity=None if teacher is None else teacher.identity,
        teacher_settled=is_settled,
        num_outputs=prepared.data.num_outputs,
    )


def _read_record(folder: Path) -> _PreparedRecord:
    path = folder / PREPARED_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be read ({error.strerror}); start a new run"
        ) from None
    return read_record(_PreparedRecord, content, where=str(path), what="record of a prepared run")
