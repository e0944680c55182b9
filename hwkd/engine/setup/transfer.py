"""The data of one distillation: labelled samples, unlabelled ones, the seeds of their copies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import ConfigError, DataError
from hwkd.core.head import Head
from hwkd.core.printable import printable
from hwkd.engine.setup.config import SearchConfig
from hwkd.signals.pipeline import Pipeline
from hwkd.tasks.base import Split, TaskData
from hwkd.tasks.npz import read_one_array, stated_names
from hwkd.tasks.sources import is_image_folder, read_source
from hwkd.tasks.split_differences import require_like_train
from hwkd.train.augment import NO_AUGMENTATION, Augmentation
from hwkd.train.choose_augmentation import choose_augmentation
from hwkd.train.dataset import SplitName
from hwkd.train.seeding import derive_seed

Half: TypeAlias = Literal["student", "teacher"]


@dataclass(frozen=True, kw_only=True)
class TransferSet:
    """What a student trains on; a `hwkd.train.dataset.Dataset` for the teacher's cache.

    Attributes:
        data: the task's data; its train split is replaced by `train`.
        train: labelled samples and then unlabelled ones (`Head.unlabelled`).
        copy_seeds: names of the augmented copies; one None is no augmentation.
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

    def labelled_only(self) -> TransferSet:
        """Return the part that a control without a teacher can learn from."""
        kept = self.head.is_labelled(self.train.labels)
        if kept.all():
            return self
        train = replace(
            self.train, inputs=self.train.inputs[kept], labels=self.train.labels[kept], wholes=None
        )
        return TransferSet(
            data=self.data,
            train=train,
            copy_seeds=self.copy_seeds,
            augmentation=self.augmentation,
            fingerprint=f"{self.fingerprint}:labelled",
        )


def configured_transfer(config: SearchConfig, data: TaskData) -> TransferSet:
    """Return what students of a configuration train on.

    Raises:
        DataError: if the unlabelled data cannot be read or does not fit.
    """
    wanted, unlabelled = config.transfer, None
    if wanted.unlabelled is not None:
        path = Path(wanted.unlabelled)
        unlabelled = read_unlabelled(path, data.pipeline, half=config.reading.half)
    if wanted.copies > 1 and data.head.kind.of_maps:
        raise ConfigError("--copies: targets and their pictures move in every batch; leave it out")
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
        unlabelled: further inputs, normalised, shape [n, *input_shape].
        labels: replaces those of the train split, some maybe unlabelled. None keeps them.
        copy_seeds: one per augmented copy; none is no augmentation.
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
        train=replace(data.train, inputs=inputs, labels=known, wholes=None),
        copy_seeds=tuple(copy_seeds) or (None,),
        augmentation=augmentation,
        fingerprint=fingerprint,
    )


def read_unlabelled(
    path: Path, pipeline: Pipeline, *, half: Half = "student"
) -> NDArray[np.float32]:
    """Read raw inputs without labels and prepare them like the train split.

    Args:
        path: folder of class folders or of IDX files, whose labels are not read; or .npy, or .npz
            with one array, see `prepared_inputs`.
        half: of pairs, which only an .npz file has.

    Raises:
        DataError: if the file cannot be read, does not fit or has another scale.
    """
    if path.is_dir() and half == "teacher":
        raise DataError(
            f"--unlabelled {path}: a folder holds no pairs; with --teacher-sees paired give an NPZ "
            "file with teacher_x beside x, one for each example"
        )
    values = _read_folder(path, pipeline.raw_shape) if path.is_dir() else _read_array(path, half)
    return prepared_inputs(values, pipeline, where=f"--unlabelled {path}")


def prepared_inputs(
    values: NDArray[np.generic], pipeline: Pipeline, *, where: str
) -> NDArray[np.float32]:
    """Prepare raw inputs that come beside the data as its train split was.

    Args:
        values: shape [n, *raw_shape]; an axis of one channel may be left out, channels may be last.
        where: opens the error message.

    Raises:
        DataError: if they have another shape or scale, or are no numbers.
    """
    shaped = _channels_first(values, pipeline.raw_shape)
    if shaped is None:
        raise DataError(
            f"{where}: holds shape {values.shape}, expected [n, "
            f"{', '.join(map(str, pipeline.raw_shape))}] as the training data has it"
        )
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise DataError(f"{where}: holds {values.dtype} with values that are no numbers")
    require_like_train(shaped, pipeline, where=where)
    prepared = pipeline.apply(shaped)
    if not np.isfinite(prepared).all():
        raise DataError(f"{where}: holds values that float32 does not; bring them to one scale")
    return prepared


def require_same_classes(arrays: Mapping[str, NDArray[Any]], data: TaskData, *, where: str) -> None:
    """Refuse an archive whose classes have other names than the data, or another order.

    Raises:
        DataError: with both; an archive that states no names is taken at its word.
    """
    names = stated_names(arrays)
    if names is not None and names != data.class_names:
        theirs, ours = (printable(", ".join(each[:6])) for each in (names, data.class_names))
        raise DataError(
            f"{where}: its classes are {theirs}; those of the data are {ours}; number the labels "
            "as the data does"
        )


def _read_folder(path: Path, raw_shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Read every split of a folder; images are resized to the training data's."""
    has_images = len(raw_shape) == 3 and is_image_folder(path)
    raw = read_source(path, input_size=(raw_shape[1], raw_shape[2]) if has_images else None)
    inputs: NDArray[np.generic] = np.concatenate([split.inputs for split in raw.given().values()])
    return inputs


def _read_array(path: Path, half: Half) -> NDArray[np.generic]:
    if not path.is_file():
        raise DataError(f"--unlabelled {path}: no such file or folder; give a folder, .npy or .npz")
    try:
        return read_one_array(path, half)
    except DataError as error:
        raise DataError(f"--unlabelled {error}") from error


def _channels_first(
    values: NDArray[np.generic], raw_shape: tuple[int, ...]
) -> NDArray[np.generic] | None:
    """Return raw inputs with their channels first; None if they have another shape."""
    if values.ndim < 2 or not len(values):
        return None
    if values.shape[1:] == raw_shape:
        return values
    if raw_shape[0] == 1 and values.shape[1:] == raw_shape[1:]:
        return values[:, None]
    if values.shape[1:] == (*raw_shape[1:], raw_shape[0]):
        return np.moveaxis(values, -1, 1)
    return None
