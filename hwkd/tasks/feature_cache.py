"""Features that take long to compute, remembered: every process of a search reads the same ones."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd import __version__
from hwkd.core.errors import DataError
from hwkd.io.cached_array import ArrayFacts, UnusableEntryError, open_array, store_array
from hwkd.io.paths import cache_root
from hwkd.signals.pipeline import Pipeline, applied
from hwkd.signals.step import Step

# Fewer values are computed about as fast as they are looked up: a second of a core for spectra.
_FEWEST_VALUES = 2**23


def features_of(steps: tuple[Step, ...], inputs: NDArray[Any]) -> NDArray[Any]:
    """Return what steps make of raw inputs, from the cache where that was computed before.

    Args:
        steps: at least one.
        inputs: shape [n, *raw_shape].

    Raises:
        DataError: if the entry was altered; it names what to delete.
    """
    if inputs.size < _FEWEST_VALUES:
        return applied(steps, inputs)
    entry = cache_root() / "features" / _key(steps, inputs)
    if not entry.exists():
        store_array(entry, applied(steps, inputs), ArrayFacts())
    try:
        return open_array(entry, ArrayFacts)[0]
    except UnusableEntryError as error:
        raise DataError(
            f"{entry}: damaged features in the cache: {error}; delete this folder to compute them "
            "again"
        ) from None


def _key(steps: tuple[Step, ...], inputs: NDArray[Any]) -> str:
    pipeline = Pipeline(
        steps=steps,
        raw_shape=tuple(inputs.shape[1:]),
        raw_dtype=inputs.dtype.name,
        raw_low=0.0,
        raw_high=0.0,
    )
    digest = hashlib.sha256(f"{__version__} {pipeline.fingerprint} {len(inputs)}".encode())
    digest.update(np.ascontiguousarray(inputs).data)
    return digest.hexdigest()
