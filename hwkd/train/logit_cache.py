"""Teacher logits computed once and shared: float16 on disk, mapped into memory by every worker.

One entry is a folder `<key>` with the values and a JSON of what they belong to. The key hashes
teacher, data, split and view, so another teacher or other data never meets an old entry; the JSON
proves that the values are still those that were written.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from hwkd.core.errors import TeacherError, first_line
from hwkd.core.paths import cache_root, cache_writes, folder_written_once
from hwkd.core.progress import Progress, silent
from hwkd.train.augment import NO_AUGMENTATION, Augmentation, augment
from hwkd.train.dataset import Dataset, SplitName
from hwkd.train.teacher import Teacher

__all__ = ["cached_logits"]

_FLOAT16_LARGEST = 65504.0
_CHUNK_EXAMPLES = 4096
_VALUES, _SIDECAR = "logits.npy", "belongs_to.json"


class _Sidecar(BaseModel):
    """What the values belong to, and their SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    teacher: str
    data: str
    split: SplitName
    view_seed: int | None
    augmentation: str
    examples: int
    num_outputs: int
    payload_sha256: str = ""


def cached_logits(
    teacher: Teacher,
    data: Dataset,
    *,
    split: SplitName,
    view_seed: int | None = None,
    augmentation: Augmentation = NO_AUGMENTATION,
    cache_dir: Path | None = None,
    progress: Progress = silent,
) -> NDArray[np.float16]:
    """Return the teacher's logits of one view of a split, from disk if they are there.

    Args:
        teacher: asked only when the entry is missing.
        data: whose split.
        split: which one.
        view_seed: names the augmented view (`hwkd.train.augment.augment`); None is the plain split.
        augmentation: of the view.
        cache_dir: holds the entries; None is the user's cache folder.
        progress: told while the teacher runs.

    Returns:
        Read-only memory map, shape [n, num_outputs], float16, less each row's mean, which
        changes no softmax and keeps the values in float16's range.

    Raises:
        TeacherError: if the entry is stale, truncated or altered; it names what to delete.
    """
    examples = len(data.split(split).labels)
    wanted = _Sidecar(
        teacher=teacher.identity,
        data=data.fingerprint,
        split=split,
        view_seed=view_seed,
        augmentation="none" if view_seed is None else augmentation.describe(),
        examples=examples,
        num_outputs=teacher.num_outputs,
    )
    folder = cache_dir or cache_root() / "logits"
    entry = folder / hashlib.sha256(wanted.model_dump_json().encode()).hexdigest()
    if not entry.exists():
        inputs = augment(data.split(split).inputs, view_seed, augmentation)
        _store(entry, _computed(teacher, inputs, split, progress), wanted)
    return _opened(entry, wanted)


def _computed(
    teacher: Teacher, inputs: NDArray[np.float32], split: str, progress: Progress
) -> NDArray[np.float16]:
    values = np.empty((len(inputs), teacher.num_outputs), dtype=np.float16)
    for start in range(0, len(inputs), _CHUNK_EXAMPLES):
        logits = teacher.logits(inputs[start : start + _CHUNK_EXAMPLES])
        centred = logits - logits.mean(axis=1, keepdims=True)
        if np.abs(centred).max(initial=0.0) > _FLOAT16_LARGEST:
            raise TeacherError(
                f"teacher {teacher.name}: logits up to {np.abs(centred).max():.3g} are outside "
                f"float16 (at most {_FLOAT16_LARGEST:g}); scale its outputs down"
            )
        values[start : start + len(logits)] = centred
        progress(f"teacher logits, {split}", start + len(logits), len(inputs))
    return values


def _store(entry: Path, values: NDArray[np.float16], wanted: _Sidecar) -> None:
    sidecar = wanted.model_copy(update={"payload_sha256": _digest(values)})
    with cache_writes(entry), folder_written_once(entry) as folder:
        (folder / _SIDECAR).write_text(sidecar.model_dump_json(indent=1), encoding="utf-8")
        np.save(folder / _VALUES, values)


def _opened(entry: Path, wanted: _Sidecar) -> NDArray[np.float16]:
    try:
        sidecar = _Sidecar.model_validate_json((entry / _SIDECAR).read_text(encoding="utf-8"))
        values: NDArray[np.float16] = np.load(entry / _VALUES, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, ValidationError, EOFError) as error:
        raise _unusable(entry, f"cannot be read ({first_line(error)})") from error
    for name, want in wanted.model_dump(exclude={"payload_sha256"}).items():
        have = getattr(sidecar, name)
        if have != want:
            raise _unusable(entry, f"belongs to another {name} ({have}, expected {want})")
    if values.shape != (wanted.examples, wanted.num_outputs) or values.dtype != np.float16:
        raise _unusable(entry, f"holds {values.dtype} {values.shape}")
    if _digest(values) != sidecar.payload_sha256:
        raise _unusable(entry, "holds other values than were written")
    return values


def _digest(values: NDArray[np.float16]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def _unusable(entry: Path, reason: str) -> TeacherError:
    return TeacherError(
        f"{entry}: cached teacher logits: {reason}; delete this folder to compute them again"
    )
