"""Which examples of a data set some inputs are, by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.train.dataset import SPLITS, Dataset

_DIGEST_BYTES = 16


class KnownRows:
    """Looks inputs up among those that are known, numbered through in their order."""

    def __init__(self, known: Sequence[NDArray[np.float32]]) -> None:
        """Take note of all; of equal ones the first counts.

        Args:
            known: inputs of each part, shape [n, *input_shape].
        """
        self._rows: dict[bytes, int] = {}
        rows = (row for part in known for row in part)
        for number, row in enumerate(rows):
            self._rows.setdefault(_digest(row), number)

    @classmethod
    def of(cls, data: Dataset) -> KnownRows:
        """Take note of all examples of a data set, split after split."""
        return cls([np.asarray(data.split(name).inputs) for name in SPLITS])

    def find(self, inputs: NDArray[np.float32], *, teacher: str) -> NDArray[np.int64]:
        """Return the number of each input, shape [n].

        Raises:
            TeacherError: if one is none of them.
        """
        found = [self._rows.get(_digest(row), -1) for row in inputs]
        if -1 in found:
            raise TeacherError(
                f"teacher {teacher}: has answers for the examples of its data alone, and input "
                f"{found.index(-1)} of {len(found)} is none of them; leave --copies and "
                "--unlabelled out, or give a teacher that runs"
            )
        return np.array(found, dtype=np.int64)


def _digest(row: NDArray[np.float32]) -> bytes:
    content = np.ascontiguousarray(row, dtype=np.float32).tobytes()
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
