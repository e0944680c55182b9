"""The data of one distillation: labelled samples, unlabelled ones, views, the teacher's side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.core.errors import DataError, TeacherError
from hwkd.core.head import Head
from hwkd.core.progress import Progress, silent
from hwkd.core.signals import Signal
from hwkd.core.teaching import TeacherSource
from hwkd.distill.checks import logit_methods
from hwkd.distill.criterion import needed_signals
from hwkd.distill.sources import CachedSource, LiveSource
from hwkd.distill.spec import WeightedMethod
from hwkd.distill.taps import Taps, discover_places
from hwkd.engine.setup.config import SearchConfig
from hwkd.tasks.base import Split, TaskData
from hwkd.tasks.npz import read_one_array
from hwkd.tasks.pipeline import Pipeline
from hwkd.tasks.sources import is_image_folder, read_source
from hwkd.tasks.split_differences import require_like_train
from hwkd.train.augment import NO_AUGMENTATION, Augmentation, augment, choose_augmentation
from hwkd.train.batches import TensorBatches
from hwkd.train.dataset import SplitName
from hwkd.train.logit_cache import cached_logits
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher import Teacher
from hwkd.train.teacher_module import ModuleTeacher

_CACHED = frozenset({Signal.LOGITS})
_CACHED_OF_MODULE = frozenset({Signal.LOGITS, Signal.EMBEDDING})
_CHUNK_SAMPLES = 1024


@dataclass(frozen=True, kw_only=True)
class TransferSet:
    """What a student trains on; a `hwkd.train.dataset.Dataset` for the teacher's cache.

    Attributes:
        data: the task's data; its train split is replaced by `train`.
        train: labelled samples and then unlabelled ones (`Head.unlabelled`).
        copy_seeds: names of the augmented copies; one None is no augmentation.
        augmentation: of the copies.
        fingerprint: of the data with its unlabelled part.
    """

    data: TaskData
    train: Split
    copy_seeds: tuple[int | None, ...]
    augmentation: Augmentation
    fingerprint: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Without batch."""
        return self.data.input_shape

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return self.data.num_outputs

    @property
    def head(self) -> Head:
        """What outputs mean."""
        return self.data.head

    @property
    def validation(self) -> Split:
        """What choices are judged by."""
        return self.data.validation

    @property
    def labelled(self) -> int:
        """Number of samples with a label."""
        return int(self.head.is_labelled(self.train.labels).sum())

    def split(self, name: SplitName) -> Split:
        """Return the split called `name`."""
        return self.train if name == "train" else self.data.split(name)

    def copies(self, device: torch.device) -> list[Tensor]:
        """Return every augmented copy of the inputs on the training device."""
        return [
            torch.from_numpy(np.array(augment(self.train.inputs, copy_seed, self.augmentation))).to(
                device
            )
            for copy_seed in self.copy_seeds
        ]

    def labelled_only(self) -> TransferSet:
        """Return the part that a control without a teacher can learn from."""
        kept = self.head.is_labelled(self.train.labels)
        if kept.all():
            return self
        train = Split(inputs=self.train.inputs[kept], labels=self.train.labels[kept])
        return TransferSet(
            data=self.data,
            train=train,
            copy_seeds=self.copy_seeds,
            augmentation=self.augmentation,
            fingerprint=f"{self.fingerprint}:labelled",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSet:
    """A transfer set on the training device, shared by everything that trains on it."""

    transfer: TransferSet
    copies: list[Tensor]
    labels: Tensor

    @classmethod
    def of(cls, transfer: TransferSet, device: torch.device) -> LoadedSet:
        """Put the augmented copies and the labels there."""
        labels = torch.from_numpy(np.array(transfer.train.labels)).to(device)
        return cls(transfer=transfer, copies=transfer.copies(device), labels=labels)

    @property
    def batches(self) -> TensorBatches:
        """Return where the batches of a training come from."""
        return TensorBatches(self.copies, self.labels)

    def __len__(self) -> int:
        """Number of samples, unlabelled ones included."""
        return len(self.labels)


def configured_transfer(config: SearchConfig, data: TaskData) -> TransferSet:
    """Return what students of a configuration train on.

    Raises:
        DataError: if the unlabelled data cannot be read or does not fit.
    """
    wanted, unlabelled = config.transfer, None
    if wanted.unlabelled is not None:
        unlabelled = read_unlabelled(
            Path(wanted.unlabelled), input_shape=data.input_shape, pipeline=data.pipeline
        )
    if wanted.copies == 1:
        return transfer_set(data, unlabelled=unlabelled)
    return transfer_set(
        data,
        unlabelled=unlabelled,
        copy_seeds=[derive_seed(config.seed, f"copy {i}") for i in range(wanted.copies)],
        augmentation=choose_augmentation(data.train),
    )


def transfer_set(
    data: TaskData,
    *,
    unlabelled: NDArray[np.float32] | None = None,
    labels: NDArray[Any] | None = None,
    copy_seeds: Sequence[int] = (),
    augmentation: Augmentation = NO_AUGMENTATION,
) -> TransferSet:
    """Put together what a student trains on.

    Args:
        data: of the task.
        unlabelled: further inputs, normalised, shape [n, *input_shape].
        labels: replaces those of the train split, some maybe unlabelled. None keeps them.
        copy_seeds: one per augmented copy; none is no augmentation.
        augmentation: of the copies.
    """
    inputs, known = data.train.inputs, data.train.labels if labels is None else labels
    digest = hashlib.sha256(data.fingerprint.encode())
    if unlabelled is not None and len(unlabelled):
        inputs = np.concatenate([inputs, unlabelled])
        known = np.concatenate([known, data.head.unlabelled(len(unlabelled))])
        digest.update(np.ascontiguousarray(unlabelled).data)
    # The cache holds logits of inputs, so labels do not belong to its key.
    fingerprint = data.fingerprint if inputs is data.train.inputs else digest.hexdigest()
    return TransferSet(
        data=data,
        train=Split(inputs=inputs, labels=known),
        copy_seeds=tuple(copy_seeds) or (None,),
        augmentation=augmentation,
        fingerprint=fingerprint,
    )


def read_unlabelled(
    path: Path, *, input_shape: tuple[int, ...], pipeline: Pipeline
) -> NDArray[np.float32]:
    """Read raw inputs without labels and prepare them like the train split.

    Args:
        path: folder of class folders or of IDX files, whose labels are not read; or .npy, or .npz
            with one array, of shape [n, *input_shape]; an axis of one channel may be left out,
            images may have their channels last.
        input_shape: of the task, without batch.
        pipeline: fitted to the train split.

    Raises:
        DataError: if the file cannot be read, does not fit or has another scale.
    """
    values = _read_folder(path, input_shape) if path.is_dir() else _read_array(path)
    shaped = _as_inputs(values, input_shape)
    if shaped is None:
        raise DataError(
            f"--unlabelled {path}: holds shape {values.shape}, expected [n, "
            f"{', '.join(map(str, input_shape))}] as the training data has it"
        )
    if not np.issubdtype(values.dtype, np.number) or not np.isfinite(values).all():
        raise DataError(
            f"--unlabelled {path}: holds {values.dtype} with values that are no numbers"
        )
    require_like_train(shaped, pipeline, where=f"--unlabelled {path}")
    return pipeline.apply(shaped)


def teacher_source(
    teacher: Teacher | None,
    transfer: TransferSet,
    methods: Sequence[WeightedMethod],
    *,
    device: torch.device,
    stages: Sequence[str] = (),
    progress: Progress = silent,
) -> TeacherSource | None:
    """Return the cheapest source of what the methods need: stored outputs, or the teacher itself.

    Args:
        teacher: None for methods without one.
        transfer: what the student trains on.
        methods: of the run.
        device: where networks are trained.
        stages: module paths of the teacher, one per stage; none finds them.
        progress: told while the teacher runs.

    Raises:
        TeacherError: if a method needs more than logits of a teacher that shows nothing else.
        ConfigError: if a path is no module of the teacher.
    """
    needing = [entry for entry in methods if entry.method.asks_teacher]
    if teacher is None or not needing:
        return None
    needs = needed_signals(needing)
    can_store = all(entry.method.cacheable for entry in needing)
    is_module = isinstance(teacher, ModuleTeacher)
    if can_store and needs <= (_CACHED_OF_MODULE if is_module else _CACHED):
        return _cached_source(teacher, transfer, needs, device=device, progress=progress)
    if not isinstance(teacher, ModuleTeacher):
        names = ", ".join(entry.method.name for entry in needing)
        raise TeacherError(
            f"teacher {teacher.name}: shows logits only and method {names} needs "
            f"{', '.join(sorted(needs - _CACHED)) or 'its gradients'}; give a torch teacher "
            f"(package.module:factory), let hwkd train one, or use {logit_methods()}"
        )
    example = torch.from_numpy(np.array(transfer.train.inputs[:2])).to(device)
    places = discover_places(teacher.module, teacher.seen.of_tensor(example))
    if stages:
        places = replace(places, features=tuple(stages), preactivations=tuple(stages))
    return LiveSource(teacher.module, places, needs, shown=teacher.seen.of_tensor)


def needs_live_teacher(methods: Sequence[WeightedMethod]) -> bool:
    """Tell whether methods need more of a teacher than its logits, which the cache holds."""
    needing = [entry for entry in methods if entry.method.asks_teacher]
    can_store = all(entry.method.cacheable for entry in needing)
    return bool(needing) and not (can_store and needed_signals(needing) <= _CACHED)


def _cached_source(
    teacher: Teacher,
    transfer: TransferSet,
    needs: frozenset[Signal],
    *,
    device: torch.device,
    progress: Progress,
) -> CachedSource:
    logits = [
        cached_logits(
            teacher,
            transfer,
            split="train",
            copy_seed=seed,
            augmentation=transfer.augmentation,
            progress=progress,
        )
        for seed in transfer.copy_seeds
    ]
    embedding = None
    if isinstance(teacher, ModuleTeacher) and Signal.EMBEDDING in needs:
        embedding = [_embedding(teacher, copy, progress) for copy in transfer.copies(device)]
    return CachedSource(
        [torch.from_numpy(np.array(z)).to(device) for z in logits], embedding=embedding
    )


def _embedding(teacher: ModuleTeacher, inputs: Tensor, progress: Progress) -> Tensor:
    """Run the teacher once over a copy; shape [samples, dim]."""
    shown = teacher.seen.of_tensor
    places = discover_places(teacher.module, shown(inputs[:2]))
    if places.embedding is None:
        raise TeacherError(f"teacher {teacher.name}: has no linear layer, so it shows no embedding")
    taps = Taps(teacher.module, places, frozenset({Signal.EMBEDDING}), shown=shown)
    parts = []
    for start in range(0, len(inputs), _CHUNK_SAMPLES):
        chunk = inputs[start : start + _CHUNK_SAMPLES]
        with torch.no_grad():
            parts.append(taps.read(chunk).need(Signal.EMBEDDING))
        progress("teacher embeddings", start + len(chunk), len(inputs))
    return torch.cat(parts)


def _read_folder(path: Path, input_shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Read every split of a folder; images are resized to the training data's."""
    has_images = len(input_shape) == 3 and is_image_folder(path)
    raw = read_source(path, input_size=(input_shape[1], input_shape[2]) if has_images else None)
    inputs: NDArray[np.generic] = np.concatenate([split.inputs for split in raw.given().values()])
    return inputs


def _read_array(path: Path) -> NDArray[np.generic]:
    if not path.is_file():
        raise DataError(f"--unlabelled {path}: no such file or folder; give a folder, .npy or .npz")
    try:
        return read_one_array(path)
    except DataError as error:
        raise DataError(f"--unlabelled {error}") from error


def _as_inputs(
    values: NDArray[np.generic], input_shape: tuple[int, ...]
) -> NDArray[np.generic] | None:
    if values.ndim < 2 or not len(values):
        return None
    if values.shape[1:] == input_shape:
        return values
    if input_shape[0] == 1 and values.shape[1:] == input_shape[1:]:
        return values[:, None]
    if values.shape[1:] == (*input_shape[1:], input_shape[0]):
        return np.moveaxis(values, -1, 1)
    return None
