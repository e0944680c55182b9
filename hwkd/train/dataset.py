"""What training needs of a data set; `hwkd.tasks.base.TaskData` has it all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.head import Head
from hwkd.core.nature import Nature

SplitName: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class LabelledArrays(Protocol):
    """One split."""

    @property
    def inputs(self) -> NDArray[np.float32]:
        """Normalised, shape [n, *input_shape]."""
        ...

    @property
    def labels(self) -> NDArray[Any]:
        """Class indices, shape [n], or values, shape [n, outputs]."""
        ...

    @property
    def nature(self) -> Nature:
        """What inputs are, where that says how they may be varied."""
        ...

    @property
    def mirror_signs(self) -> tuple[float, ...]:
        """Sign of each channel in a mirror image of motion that keeps its class; none is none."""
        ...


class Dataset(Protocol):
    """A data set with its splits and its identity."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Without batch: (channels, height, width) or (channels, time)."""
        ...

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        ...

    @property
    def head(self) -> Head:
        """What the outputs mean."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 over content, splits and preprocessing."""
        ...

    @property
    def train(self) -> LabelledArrays:
        """What networks learn from."""
        ...

    @property
    def validation(self) -> LabelledArrays:
        """What choices are judged by."""
        ...

    def split(self, name: SplitName) -> LabelledArrays:
        """Return the split called `name`."""
        ...


class KeyedDataset(Dataset, Protocol):
    """One whose examples are known by their raw content."""

    @property
    def row_keys(self) -> Mapping[SplitName, NDArray[np.uint8]]:
        """What raw examples of each split are known by in other data, shape [n, bytes]."""
        ...
