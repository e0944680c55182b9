"""Teacher logits computed once and shared: float16 on disk, mapped into memory by every worker.

One entry is a folder `<key>` with the values and a JSON of what they belong to, see
`hwkd.io.cached_array`. The key hashes teacher, data, split and copy, so another teacher or other
data never meets an old entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.core.head import Head
from hwkd.core.progress import Progress, silent
from hwkd.core.strict_model import StoredInt
from hwkd.io.cached_array import ArrayFacts, UnusableEntryError, open_array, store_array
from hwkd.io.paths import cache_root, require_writable_cache
from hwkd.train.augment import NO_AUGMENTATION, Augmentation, augment
from hwkd.train.dataset import Dataset, SplitName
from hwkd.train.teacher import Teacher

_FLOAT16_LARGEST = 65504.0
_CHUNK_EXAMPLES = 4096


class _Belongs(ArrayFacts):
    """What the logits belong to."""

    schema_version: StoredInt = 2
    teacher: str
    data: str
    split: SplitName
    view_seed: StoredInt | None
    augmentation: str
    examples: StoredInt
    num_outputs: StoredInt

    @property
    def key(self) -> str:
        """Name of the entry."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def cached_logits(
    teacher: Teacher,
    data: Dataset,
    *,
    split: SplitName,
    copy_seed: int | None = None,
    augmentation: Augmentation = NO_AUGMENTATION,
    cache_dir: Path | None = None,
    progress: Progress = silent,
) -> NDArray[np.float16]:
    """Return the teacher's logits of one copy of a split, from disk if they are there.

    Args:
        teacher: asked only when the entry is missing.
        copy_seed: names the augmented copy (`hwkd.train.augment.augment`); None is the plain split.
        cache_dir: holds the entries; None is the user's cache folder.
        progress: told while the teacher runs.

    Returns:
        Read-only memory map, shape [n, num_outputs], float16; of classes less each row's mean,
        which changes no softmax and keeps the values in float16's range.

    Raises:
        TeacherError: if the entry is stale, truncated or altered; it names what to delete.
    """
    wanted = _belongs(teacher, data, split, copy_seed, augmentation)
    folder = cache_dir or cache_root() / "logits"
    entry = folder / wanted.key
    if not entry.exists():
        require_writable_cache(folder)
        inputs = augment(data.split(split).inputs, copy_seed, augmentation)
        store_array(entry, _computed(teacher, inputs, split, data.head, progress), wanted)
    return _opened(entry, wanted)


def logits_of_copies(
    teacher: Teacher,
    data: Dataset,
    copy_seeds: Iterable[int | None],
    *,
    augmentation: Augmentation,
    progress: Progress = silent,
) -> list[NDArray[np.float16]]:
    """Return the teacher's logits of every copy of the train split; see `cached_logits`.

    Args:
        teacher: asked only for entries that are missing.
        copy_seeds: name the copies; None is the plain split.
        progress: told while the teacher runs.
    """
    return [
        cached_logits(
            teacher,
            data,
            split="train",
            copy_seed=seed,
            augmentation=augmentation,
            progress=progress,
        )
        for seed in copy_seeds
    ]


def logits_entry(
    teacher: Teacher,
    data: Dataset,
    *,
    split: SplitName,
    copy_seed: int | None = None,
    augmentation: Augmentation = NO_AUGMENTATION,
) -> Path:
    """Return the folder in the user's cache that `cached_logits` of the same arguments reads."""
    return cache_root() / "logits" / _belongs(teacher, data, split, copy_seed, augmentation).key


def _belongs(
    teacher: Teacher,
    data: Dataset,
    split: SplitName,
    copy_seed: int | None,
    augmentation: Augmentation,
) -> _Belongs:
    return _Belongs(
        teacher=teacher.identity,
        data=data.fingerprint,
        split=split,
        view_seed=copy_seed,
        augmentation="none" if copy_seed is None else augmentation.describe(),
        examples=len(data.split(split).labels),
        num_outputs=teacher.num_outputs,
    )


def _computed(
    teacher: Teacher, inputs: NDArray[np.float32], split: str, head: Head, progress: Progress
) -> NDArray[np.float16]:
    values = np.empty((len(inputs), teacher.num_outputs), dtype=np.float16)
    for start in range(0, len(inputs), _CHUNK_EXAMPLES):
        logits = teacher.logits(inputs[start : start + _CHUNK_EXAMPLES])
        centred = head.centred(logits)
        if np.abs(centred).max(initial=0.0) > _FLOAT16_LARGEST:
            raise TeacherError(
                f"teacher {teacher.name}: logits up to {np.abs(centred).max():.3g} are outside "
                f"float16 (at most {_FLOAT16_LARGEST:g}); scale its outputs down"
            )
        if not start:
            values = np.empty((len(inputs), *centred.shape[1:]), dtype=np.float16)
        values[start : start + len(logits)] = centred
        progress(f"teacher logits, {split}", start + len(logits), len(inputs))
    return values


def _opened(entry: Path, wanted: _Belongs) -> NDArray[np.float16]:
    try:
        values, found = open_array(entry, _Belongs)
    except UnusableEntryError as error:
        raise _unusable(entry, str(error)) from None
    for name, want in wanted.model_dump(exclude=set(ArrayFacts.model_fields)).items():
        have = getattr(found, name)
        if have != want:
            raise _unusable(entry, f"belongs to another {name} ({have}, expected {want})")
    if values.shape[:2] != (wanted.examples, wanted.num_outputs) or values.dtype != np.float16:
        raise _unusable(entry, f"holds {values.dtype} {values.shape}")
    return values


def _unusable(entry: Path, reason: str) -> TeacherError:
    return TeacherError(
        f"{entry}: cached teacher logits: {reason}; delete this folder to compute them again"
    )
