"""What a reader hands over: arrays as they were stored, and labels as class indices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import first_of, printable
from hwkd.tasks.base import SplitName

# Beyond this, float64 no longer holds whole numbers one by one.
_LARGEST_LABEL = 2**53

_SHOWN_SPLITS = 3

RawArray: TypeAlias = NDArray[Any]
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSplit:
    """Examples as stored.

    Attributes:
        inputs: real numbers, channels first, shape [n, channels, ...].
        labels: int64 class indices, shape [n], or values, shape [n, outputs].
        wholes: number of the recording that each example is cut from; None where there is none.
        names: of the classes that labels of maps and boxes number, where a network is judged on
            them; see `hwkd.tasks.class_numbers`.
        notes: what the reader decided or left out, where a network is judged on it.
    """

    inputs: RawArray
    labels: RawArray
    wholes: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawData:
    """A source before splitting and normalisation.

    Attributes:
        source: where it came from, for people; it opens every error message.
        class_names: in the order of the labels; none where labels are values.
        train: the examples to learn from (and to take missing splits from).
        validation: None when the source brings none.
        test: None when the source brings none.
        notes: what the reader decided or left out.
        sample_rate_hz: of signals, where the source says it.
        groups: what each split is of, where none is in two, as the names of people.
        grouped_by: what those are, for people, as "subject"; empty where nothing kept them apart.
    """

    source: str
    class_names: tuple[str, ...]
    train: RawSplit
    validation: RawSplit | None = None
    test: RawSplit | None = None
    notes: tuple[str, ...] = ()
    validation_from_train: bool = False
    sample_rate_hz: float | None = None
    groups: Mapping[SplitName, tuple[str, ...]] = field(default_factory=dict)
    grouped_by: str = ""

    @classmethod
    def of(
        cls,
        source: str,
        splits: Mapping[SplitName, RawSplit],
        *,
        class_names: tuple[str, ...] = (),
        notes: Iterable[str] = (),
        sample_rate_hz: float | None = None,
    ) -> RawData:
        """Return the data of the splits that a source has; train is among them."""
        return cls(
            source=source,
            class_names=class_names,
            train=splits["train"],
            validation=splits.get("validation"),
            test=splits.get("test"),
            notes=tuple(notes),
            sample_rate_hz=sample_rate_hz,
        )

    def with_splits(self, splits: Mapping[SplitName, RawSplit]) -> RawData:
        """Return the data with other splits; those that are not named are none."""
        validation, test = splits.get("validation"), splits.get("test")
        return replace(self, train=splits["train"], validation=validation, test=test)

    def given(self) -> dict[SplitName, RawSplit]:
        """Return the splits that the source brings."""
        splits: dict[SplitName, RawSplit | None] = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return {name: split for name, split in splits.items() if split is not None}


def with_train(
    splits: Mapping[SplitName, Part], *, source: str, to_judge: bool
) -> dict[SplitName, Part]:
    """Return the splits that a source has, one of which is called train.

    Args:
        source: opens the error message.
        to_judge: nothing is learned: a test split alone will do, and is all there is then.

    Raises:
        DataError: if something is to be learned and there is no train split.
    """
    if "train" in splits:
        return dict(splits)
    if to_judge and splits:
        return {"train": splits["test"] if "test" in splits else next(iter(splits.values()))}
    raise DataError(
        f"{source}: has no train split, only {first_of(list(splits), _SHOWN_SPLITS)}; name one so, "
        "or no split"
    )


class LabelReader(Protocol):
    """Turns stored labels into those of a task, and names its outputs; see `class_indices`."""

    def __call__(
        self,
        labels: Mapping[SplitName, RawArray],
        *,
        source: str,
        class_names: tuple[str, ...] | None = None,
    ) -> tuple[Mapping[SplitName, RawArray], tuple[str, ...]]:
        """Return split -> labels, and the names."""
        ...


def class_indices(
    labels: Mapping[SplitName, RawArray], *, source: str, class_names: tuple[str, ...] | None = None
) -> tuple[dict[SplitName, NDArray[np.int64]], tuple[str, ...]]:
    """Turn stored labels into indices from 0 and name the classes.

    Args:
        labels: split -> whole numbers or names, shape [n] (or [n, 1]); must hold "train".
        source: opens the error message.
        class_names: names that the source brings; without them a class is called by its number.
            Labels that are names come in the order of these, else of the alphabet.

    Returns:
        Split -> int64 indices, and the class names in that order.

    Raises:
        DataError: if labels are neither names nor whole numbers or lie outside the classes seen in
            training, which must be consecutive from 0 or from 1 if they are numbers.
    """
    if labels["train"].dtype.kind in "US":
        return _indices_of_names(labels, source=source, class_names=class_names)
    whole = {name: _whole_numbers(values, f"{source}: {name}") for name, values in labels.items()}
    seen = np.unique(whole["train"])
    if not len(seen):
        raise DataError(f"{source}: the train split is empty; give labelled examples")
    first, last = int(seen[0]), int(seen[-1])
    if first not in (0, 1) or last - first + 1 != len(seen):
        shown = ", ".join(str(value) for value in seen[:6]) + (", ..." if len(seen) > 6 else "")
        raise DataError(
            f"{source}: train labels out of range: {len(seen)} classes with labels {shown} up to "
            f"{last}; expected consecutive class numbers from 0 or 1, each with examples; "
            "numpy.unique(labels, return_inverse=True)[1] numbers them so"
        )
    if class_names is not None and len(set(class_names)) < len(class_names):
        raise DataError(f"{source}: two classes have one name in class_names; give each its own")
    if class_names is not None and (len(class_names) != len(seen) or first != 0):
        raise DataError(
            f"{source}: {len(class_names)} class names but train labels {first} to {last}; "
            f"give one name per class and labels 0 to {len(class_names) - 1}"
        )
    for name, values in whole.items():
        strange = values[(values < first) | (values > last)]
        if len(strange):
            raise DataError(
                f"{source}: {name} labels out of range: {strange[0]} at example "
                f"{int(np.flatnonzero((values < first) | (values > last))[0])}, but train has "
                f"classes {first} to {last}; correct or drop it"
            )
    names = (
        class_names
        if class_names is not None
        else tuple(str(value) for value in range(first, last + 1))
    )
    return {name: values - first for name, values in whole.items()}, names


def _indices_of_names(
    labels: Mapping[SplitName, RawArray], *, source: str, class_names: tuple[str, ...] | None
) -> tuple[dict[SplitName, NDArray[np.int64]], tuple[str, ...]]:
    texts = {name: _texts(values, f"{source}: {name}") for name, values in labels.items()}
    seen = sorted(set(texts["train"]))
    if not seen:
        raise DataError(f"{source}: the train split is empty; give labelled examples")
    names = class_names or tuple(seen)
    if sorted(names) != seen:
        raise DataError(
            f"{source}: class names {', '.join(names[:6])} but train labels "
            f"{', '.join(seen[:6])}; give each class its name, and examples"
        )
    index = {name: number for number, name in enumerate(names)}
    for name, values in texts.items():
        at = next((at for at, text in enumerate(values) if text not in index), None)
        if at is not None:
            raise DataError(
                f"{source}: {name} label {values[at]!r} at example {at} is none of train's "
                f"({', '.join(seen[:6])}{', ...' if len(seen) > 6 else ''}); correct or drop it"
            )
    found = {
        name: np.array([index[text] for text in values], np.int64) for name, values in texts.items()
    }
    return found, names


def _texts(values: RawArray, where: str) -> list[str]:
    flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if flat.ndim != 1 or flat.dtype.kind not in "US":
        raise DataError(
            f"{where} labels have shape {values.shape} and type {values.dtype}; expected one name "
            "per example, as in train"
        )
    stored = flat.tolist()
    if (at := next((at for at, text in enumerate(stored) if not text), None)) is not None:
        raise DataError(f"{where} label at example {at} is empty; name its class or drop it")
    return [printable(v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v)
            for v in stored]  # fmt: skip


def _whole_numbers(values: RawArray, where: str) -> NDArray[np.int64]:
    flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if flat.ndim != 1:
        raise DataError(
            f"{where} labels have shape {values.shape}; expected one class number per example "
            "(undo one-hot coding with argmax)"
        )
    is_number = flat.dtype.kind in "biuf"
    if is_number and flat.dtype.kind == "f":
        is_number = bool(np.isfinite(flat).all()) and np.array_equal(flat, np.round(flat))
    if not is_number:
        raise DataError(
            f"{where} labels have type {flat.dtype} and are not whole numbers; "
            "expected class numbers from 0, or names (labels.astype(str)); --task regression "
            "learns numbers"
        )
    if len(flat) and max(abs(int(flat.min())), abs(int(flat.max()))) > _LARGEST_LABEL:
        raise DataError(
            f"{where} labels out of range: {flat.min()} to {flat.max()}; expected class numbers "
            "from 0"
        )
    return flat.astype(np.int64)
