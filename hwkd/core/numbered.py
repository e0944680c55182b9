"""How many things a network can look up, by the digits that their numbers have.

A byte holds a digit, so an input of numbers, shape (digits, 1, places), is int8 as every other. A
number of one digit is a byte as it is: from 128 on it is read as that less 256.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Digits -> what each is one of; for 256, 1,024 and 4,096 things.
BASES: Mapping[int, int] = MappingProxyType({1: 256, 2: 32, 3: 16})
MOST_NUMBERED = max(base**digits for digits, base in BASES.items())


def digits_for(count: int) -> int:
    """Return the fewest digits that tell so many things apart.

    Raises:
        ValueError: if none do.
    """
    for digits, base in BASES.items():
        if count <= base**digits:
            return digits
    raise ValueError(f"{count:,} numbers, expected at most {MOST_NUMBERED:,}")


def are_numbers(input_shape: tuple[int, ...]) -> bool:
    """Tell whether inputs of a task of texts are numbers that a network looks up."""
    return len(input_shape) == 3 and input_shape[0] in BASES and input_shape[1] == 1
