"""What a run began with: written once as `prepared.json`, read by workers and resumed searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import CacheGoneError, RunFolderError
from hwkd.core.strict_model import StoredInt, StrictModel, read_record
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.rooms import KeptRooms
from hwkd.engine.setup.transfer import TransferSet
from hwkd.io.run_files import PREPARED_FILE
from hwkd.train.symmetry import Symmetry
from hwkd.train.teacher import Teacher, TeacherKind, members_of


class PreparedRecord(StrictModel):
    """`prepared.json`: what workers load and what a resumed search must find unchanged.

    Attributes:
        transfer_fingerprint: of the data with the unlabelled part; None in files of older versions.
        teacher_identity: of an ensemble that of all its members, in their order.
        teacher_members: identity of each of several; none where there is one, or in older files.
        rooms: of the search spaces; None in files of older versions.
        symmetry: of the train split; None where no training is so long that it matters, and in
            files of older versions.
    """

    schema_version: StoredInt = 1
    data_fingerprint: str
    transfer_fingerprint: str | None = None
    teacher_identity: str | None
    teacher_members: tuple[str, ...] = ()
    teacher_settled: bool = True
    num_outputs: StoredInt
    rooms: KeptRooms | None = None
    symmetry: Symmetry | None = None


@dataclass(frozen=True, kw_only=True)
class _AbsentTeacher:
    """Names a teacher whose logits are in the cache; workers never run one."""

    identity: str
    num_outputs: StoredInt
    kind: TeacherKind = "trained here"
    name: str = "prepared teacher"
    description: str = "named by prepared.json"
    is_from_cache: bool = True
    identities: tuple[str, ...] = ()

    @property
    def members(self) -> Sequence[Teacher]:
        """Each of several, or itself."""
        return [replace(self, identity=i, identities=()) for i in self.identities] or [self]

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
    symmetry: Symmetry | None = None,
) -> str:
    """Return the text of `prepared.json`.

    Args:
        teacher: that students learn from; None for labels alone.
        is_settled: False while the teacher is not known yet.
        rooms: of the search spaces; None leaves it to each process to find them.
        symmetry: of the train split, likewise.
    """
    record = PreparedRecord(
        data_fingerprint=transfer.data.fingerprint,
        transfer_fingerprint=transfer.fingerprint,
        **_identities(teacher),
        teacher_settled=is_settled,
        num_outputs=transfer.num_outputs,
        rooms=rooms,
        symmetry=symmetry,
    )
    return record.model_dump_json(indent=2)


def _identities(teacher: Teacher | None) -> dict[str, Any]:
    members = () if teacher is None else members_of(teacher)
    return {
        "teacher_identity": None if teacher is None else teacher.identity,
        "teacher_members": tuple(m.identity for m in members) if len(members) > 1 else (),
    }


def settled_json(store: RunFolder, teacher: Teacher | None) -> str:
    """Return the text of `prepared.json` with the teacher that the run has from now on."""
    update = {**_identities(teacher), "teacher_settled": True}
    return read_prepared(store.path).model_copy(update=update).model_dump_json(indent=2)


def teacher_is_settled(store: RunFolder) -> bool:
    """Tell whether a run came as far as knowing its teacher, or that it has none."""
    return read_prepared(store.path).teacher_settled


def named_teacher(store: RunFolder) -> Teacher | None:
    """Return the teacher that a run began with: it has a name and outputs, and cannot run."""
    record = read_prepared(store.path)
    if record.teacher_identity is None:
        return None
    return _AbsentTeacher(
        identity=record.teacher_identity,
        num_outputs=record.num_outputs,
        identities=record.teacher_members,
    )


def check_data_unchanged(store: RunFolder, transfer: TransferSet, *, option: str) -> None:
    """Refuse to mix trials of different data in one run.

    Raises:
        RunFolderError: if the data is another than the run began with.
    """
    record = read_prepared(store.path)
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
    if read_prepared(store.path).teacher_identity != teacher.identity:
        raise RunFolderError(
            f"{store.path}: the teacher is another one than the run began with; "
            "put the old one back or start a new run"
        )


def read_prepared(folder: Path) -> PreparedRecord:
    """Read `prepared.json` of a run folder.

    Raises:
        RunFolderError: if it is not there or was damaged.
    """
    path = folder / PREPARED_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be read ({error.strerror}); start a new run"
        ) from None
    return read_record(PreparedRecord, content, where=str(path), what="record of a prepared run")
