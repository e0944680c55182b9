"""Features that take long to compute, remembered: every process of a search reads the same ones."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd import __version__
from hwkd.core.errors import DataError
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.core.progress import Progress, silent
from hwkd.io.cached_array import ArrayFacts, UnusableEntryError, open_array, store_array
from hwkd.io.paths import cache_root
from hwkd.signals.features import FittedFeatures
from hwkd.signals.pipeline import Pipeline, applied, step_of
from hwkd.signals.step import Step, TextStep

# Fewer values are computed about as fast as they are looked up: a second of a core for spectra,
# half of one for the pieces of texts.
_FEWEST_VALUES, _FEWEST_BYTES = 2**23, 2**19


def features_of(
    steps: tuple[Step, ...], inputs: NDArray[Any], progress: Progress = silent
) -> NDArray[Any]:
    """Return what steps make of raw inputs, from the cache where that was computed before.

    Args:
        steps: at least one.
        inputs: shape [n, *raw_shape].
        progress: told how far that is.

    Raises:
        DataError: if the entry was altered; it names what to delete.
    """
    if inputs.size < (_FEWEST_BYTES if isinstance(steps[0], TextStep) else _FEWEST_VALUES):
        return applied(steps, inputs, progress)
    entry = _entry(_pipeline(steps, inputs).fingerprint, inputs)
    if not entry.exists():
        store_array(entry, applied(steps, inputs, progress), ArrayFacts())
    return _opened(entry)


def fitted_to(
    recipe: FittedFeatures,
    name: str,
    inputs: NDArray[Any],
    labels: NDArray[Any],
    progress: Progress = silent,
) -> tuple[Step, ...]:
    """Return the steps of features that follow from train, from the cache like `features_of`.

    Args:
        recipe: of the features.
        name: its own with its settings, as `--features` takes it.
        inputs: of train, shape [n, *raw_shape].
        labels: of train.
        progress: told how far that is.

    Raises:
        ConfigError: if a setting does not fit the data.
        DataError: as `features_of`.
    """
    if inputs.size < _FEWEST_BYTES or _names_a_file(recipe):
        return recipe.fitted(inputs, labels, progress)
    entry = _entry(f"{name} {recipe} {labels.tolist()}", inputs)
    if not entry.exists():
        steps = recipe.fitted(inputs, labels, progress)
        text = _pipeline(steps, inputs).record().model_dump_json().encode()
        store_array(entry, np.frombuffer(text, np.uint8), ArrayFacts())
    kept = PipelineRecord.model_validate_json(_opened(entry).tobytes())
    return tuple(map(step_of, kept.steps))


def _names_a_file(recipe: Any) -> bool:
    """Tell whether a setting is a text: the file that it names may hold others the next time."""
    return any(isinstance(value, str) and value for value in asdict(recipe).values())


def _opened(entry: Path) -> NDArray[Any]:
    try:
        return open_array(entry, ArrayFacts)[0]
    except UnusableEntryError as error:
        raise DataError(
            f"{entry}: damaged features in the cache: {error}; delete this folder to compute them "
            "again"
        ) from None


def _entry(what: str, inputs: NDArray[Any]) -> Path:
    digest = hashlib.sha256(f"{__version__} {what} {len(inputs)}".encode())
    digest.update(np.ascontiguousarray(inputs).data)
    return cache_root() / "features" / digest.hexdigest()


def _pipeline(steps: tuple[Step, ...], inputs: NDArray[Any]) -> Pipeline:
    return Pipeline(
        steps=steps,
        raw_shape=tuple(inputs.shape[1:]),
        raw_dtype=inputs.dtype.name,
        raw_low=0.0,
        raw_high=0.0,
    )
