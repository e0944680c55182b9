"""What every source must fulfil, whatever its format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwkd.core.errors import DataError
from hwkd.tasks.raw import RawArray, RawData
from hwkd.tasks.split_differences import differences

# Squares of such values, summed, stay finite; float32 ends at 3.4e38.
_LARGEST_VALUE = 1e30


def checked_raw(data: RawData) -> RawData:
    """Return `data`, with notes on how its splits differ, when every split can be trained on.

    Raises:
        DataError: if there is one class, a split is empty, lengths or shapes differ, a value is
            not finite, or a split has another scale than train.
    """
    if len(data.class_names) == 1:
        raise DataError(
            f"{data.source}: one class ({data.class_names[0]!r}); "
            "a classifier needs at least two classes with examples"
        )
    shape = data.train.inputs.shape[1:]
    for name, split in data.given().items():
        if len(split.inputs) != len(split.labels):
            raise DataError(
                f"{data.source}: {name} has {len(split.inputs):,} inputs but "
                f"{len(split.labels):,} labels; give one label per input"
            )
        if not len(split.labels):
            raise DataError(f"{data.source}: the {name} split is empty; drop it or fill it")
        if split.inputs.shape[1:] != shape:
            raise DataError(
                f"{data.source}: {name} inputs have shape {split.inputs.shape[1:]}, "
                f"train inputs {shape}; all splits must have one shape"
            )
        if not split.inputs.size:
            raise DataError(f"{data.source}: {name} inputs of shape {shape} hold no values")
        require_values(split.inputs, f"{data.source}: {name}")
    notes = (*differences(data), *(_absent_classes(data) if data.class_names else ()))
    return replace(data, notes=(*data.notes, *notes)) if notes else data


def _absent_classes(data: RawData) -> list[str]:
    """Name the classes that a split of the source has no example of."""
    notes = []
    for name, split in data.given().items():
        counts = np.bincount(split.labels, minlength=len(data.class_names))
        absent = [repr(data.class_names[index]) for index in np.flatnonzero(counts == 0)]
        if absent:
            shown = ", ".join(absent[:6]) + (f", ... ({len(absent)})" if len(absent) > 6 else "")
            notes.append(f"the {name} split has no example of class {shown}; nothing judges it")
    return notes


def require_values(inputs: RawArray, where: str) -> None:
    """Refuse inputs that hold something else than finite numbers of float32.

    Raises:
        DataError: names the first example; `where` opens it.
    """
    if inputs.dtype.kind not in "biuf":
        raise DataError(f"{where} inputs have type {inputs.dtype}; expected real numbers")
    if inputs.dtype.kind != "f":
        return
    # Infinite values are counted below.
    largest = float(np.nanmax(np.abs(inputs), initial=0.0, where=np.isfinite(inputs)))
    if largest > _LARGEST_VALUE:
        raise DataError(
            f"{where} inputs hold values up to {largest:.3g}, too large for float32 arithmetic; "
            "rescale them"
        )
    finite = np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
    if not finite.all():
        raise DataError(
            f"{where} inputs hold NaN or infinite values in {int((~finite).sum()):,} of "
            f"{len(inputs):,} examples, first at example {int(np.argmin(finite))}; "
            "repair or drop them"
        )
