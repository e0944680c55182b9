"""What a run began with: written once as `prepared.json`, read by workers and resumed searches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import CacheGoneError, RunFolderError
from hwkd.core.progress import silent
from hwkd.core.strict_model import StoredInt, StrictModel, read_record
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import SearchContext, make_context
from hwkd.engine.setup.hardware import accelerator_device
from hwkd.engine.setup.methods import configured_methods
from hwkd.engine.setup.resolve import load_data
from hwkd.engine.setup.rooms import KeptRooms
from hwkd.engine.setup.teacher import open_teachers
from hwkd.engine.setup.transfer import TransferSet, configured_transfer, needs_live_teacher
from hwkd.engine.setup.trust import trusted
from hwkd.io.run_files import PREPARED_FILE
from hwkd.train.teacher import Teacher, TeacherKind


class _PreparedRecord(StrictModel):
    """`prepared.json`: what workers load and what a resumed search must find unchanged.

    Attributes:
        transfer_fingerprint: of the data with the unlabelled part; None in files of older versions.
        teacher_identity: of an ensemble that of all its members, in their order.
        rooms: of the search spaces; None in files of older versions.
    """

    schema_version: StoredInt = 1
    data_fingerprint: str
    transfer_fingerprint: str | None = None
    teacher_identity: str | None
    teacher_settled: bool = True
    num_outputs: StoredInt
    rooms: KeptRooms | None = None


@dataclass(frozen=True, kw_only=True)
class _AbsentTeacher:
    """Names a teacher whose logits are in the cache; workers never run one."""

    identity: str
    num_outputs: StoredInt
    kind: TeacherKind = "trained here"
    name: str = "prepared teacher"
    description: str = "named by prepared.json"
    is_from_cache: bool = True

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        raise CacheGoneError(
            f"the cached logits of {len(inputs)} inputs are gone from the cache folder; "
            "start again with `hwkd search --resume RUN`"
        )


def prepared_json(
    transfer: TransferSet,
    teacher: Teacher | None,
    *,
    is_settled: bool = True,
    rooms: KeptRooms | None = None,
) -> str:
    """Return the text of `prepared.json`.

    Args:
        transfer: what students train on.
        teacher: that students learn from; None for labels alone.
        is_settled: False while the teacher is not known yet.
        rooms: of the search spaces; None leaves it to each process to find them.
    """
    record = _PreparedRecord(
        data_fingerprint=transfer.data.fingerprint,
        transfer_fingerprint=transfer.fingerprint,
        teacher_identity=None if teacher is None else teacher.identity,
        teacher_settled=is_settled,
        num_outputs=transfer.num_outputs,
        rooms=rooms,
    )
    return record.model_dump_json(indent=2)


def settled_json(store: RunFolder, teacher: Teacher | None) -> str:
    """Return the text of `prepared.json` with the teacher that the run has from now on."""
    identity = None if teacher is None else teacher.identity
    update = {"teacher_identity": identity, "teacher_settled": True}
    return _read_record(store.path).model_copy(update=update).model_dump_json(indent=2)


def teacher_is_settled(store: RunFolder) -> bool:
    """Tell whether a run came as far as knowing its teacher, or that it has none."""
    return _read_record(store.path).teacher_settled


def named_teacher(store: RunFolder) -> Teacher | None:
    """Return the teacher that a run began with: it has a name and outputs, and cannot run."""
    record = _read_record(store.path)
    if record.teacher_identity is None:
        return None
    return _AbsentTeacher(identity=record.teacher_identity, num_outputs=record.num_outputs)


def check_data_unchanged(store: RunFolder, transfer: TransferSet, *, option: str) -> None:
    """Refuse to mix trials of different data in one run.

    Args:
        store: of the run.
        transfer: data that was read now.
        option: that named the run, for the message.

    Raises:
        RunFolderError: if the data is another than the run began with.
    """
    record = _read_record(store.path)
    for what, before, now in (
        ("data", record.data_fingerprint, transfer.data.fingerprint),
        ("unlabelled data", record.transfer_fingerprint, transfer.fingerprint),
    ):
        if before is not None and before != now:
            raise RunFolderError(
                f"{option} {store.path}: the {what} changed since the run began (fingerprint "
                f"{before[:12]}, now {now[:12]}); put the old data back or start a new run"
            )


def check_teacher_unchanged(store: RunFolder, teacher: Teacher) -> None:
    """Refuse to mix trials of different teachers in one run.

    Raises:
        RunFolderError: if the teacher is another than the run began with.
    """
    if _read_record(store.path).teacher_identity != teacher.identity:
        raise RunFolderError(
            f"{store.path}: the teacher is another one than the run began with; "
            "put the old one back or start a new run"
        )


def load_context(store: RunFolder, *, trusts: bool = False) -> SearchContext:
    """Load what trainings share, from the run folder and the cache.

    Args:
        store: of the run.
        trusts: the user named the run as one whose search spaces may run.

    Raises:
        RunFolderError: if the data or a teacher that has to run is not what the run began with.
        ConfigError: if the user did not name the run's own search spaces, or they changed.
    """
    config = SearchConfig.from_toml(store.config_path)
    is_live = needs_live_teacher(configured_methods(config) or ())
    config = trusted(config, where=str(store.path), trusts=trusts, with_teacher=is_live)
    record = _read_record(store.path)
    task, data = load_data(config)
    transfer = configured_transfer(config, data)
    if (data.fingerprint, transfer.fingerprint) != (
        record.data_fingerprint,
        record.transfer_fingerprint or data.fingerprint,
    ):
        if store.shared is not None:
            raise RunFolderError(
                f"--study {store.shared.place.study}: the data here is not the search's "
                f"(fingerprint {transfer.fingerprint[:12]}, there "
                f"{(record.transfer_fingerprint or record.data_fingerprint)[:12]}); give the same "
                "data with --data"
            )
        raise RunFolderError(f"{store.path}: the data changed while the run was going on")
    teacher = named_teacher(store)
    if teacher is not None and is_live:
        teacher = open_teachers(
            config, data, device=accelerator_device(config.accelerator), progress=silent
        )
        check_teacher_unchanged(store, teacher)
    return replace(make_context(config, task, transfer, teacher), rooms=record.rooms)


def _read_record(folder: Path) -> _PreparedRecord:
    path = folder / PREPARED_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be read ({error.strerror}); start a new run"
        ) from None
    return read_record(_PreparedRecord, content, where=str(path), what="record of a prepared run")
