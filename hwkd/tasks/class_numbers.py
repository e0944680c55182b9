"""Classes of maps and boxes by the numbers that a network has for them, not those of other data."""

from __future__ import annotations

import numpy as np

from hwkd.core.arrays import AnyArray
from hwkd.core.errors import DataError
from hwkd.core.head import PICTURES, Head
from hwkd.tasks.folder_tree import first_names
from hwkd.tasks.raw import RawSplit


def numbered_as(head: Head, split: RawSplit, *, has_names: bool = True) -> AnyArray:
    """Return labels in which classes have the numbers of a network's outputs, found by their names.

    Where the data has numbers for names, they are those of the outputs.

    Args:
        has_names: outputs of the head have names of their own; else numbers count.

    Raises:
        DataError: if a class is none of the network's.
    """
    given, edges = split.names, head.kind.edges
    if not given or head.kind.name == PICTURES:
        return split.labels
    known = head.names[: len(head.names) - (edges or 0)]
    are_numbers = not has_names or given == tuple(map(str, range(len(given))))
    places = [
        (number if number < len(known) else -1) if are_numbers
        else known.index(name) if name in known else -1
        for number, name in enumerate(given)
    ]  # fmt: skip
    labels = split.labels.copy()
    numbers = labels if edges is None else labels[..., 0]
    is_there = numbers >= 0
    seen = np.unique(numbers[is_there]).astype(np.int64).tolist()
    if unknown := [given[number] for number in seen if places[number] < 0]:
        raise DataError(
            f"the data has the class {first_names(unknown)}, the network knows "
            f"{first_names(list(known))}; give data of classes that it tells apart"
        )
    numbers[is_there] = np.array(places)[numbers[is_there].astype(np.int64)]
    return labels
