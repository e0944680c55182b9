"""Classes of a teacher's outputs as a user writes them: `apple,pear`."""

from __future__ import annotations

from collections.abc import Sequence

from hwkd.core.errors import ConfigError
from hwkd.core.printable import printable

_FEWEST = 2
# A teacher of the data's own classes, among others that name theirs.
AS_DATA = "same"


def teacher_classes(text: str) -> tuple[str, ...]:
    """Return the names of a teacher's outputs in their order; none of one of the data's classes.

    Args:
        text: names with commas between them, or "same".

    Raises:
        ConfigError: if there are fewer than two, one is empty or is there twice.
    """
    if text == AS_DATA:
        return ()
    found = tuple(printable(name.strip()) for name in text.split(","))
    require_names(found, f"--teacher-classes {printable(text)}")
    return found


def require_names(names: Sequence[str], shown: str) -> None:
    """Refuse names that cannot be those of outputs.

    Raises:
        ConfigError: if there are fewer than two, one is empty or is there twice.
    """
    if len(names) < _FEWEST or "" in names:
        raise ConfigError(
            f"{shown}: expected the name of each output in order, two or more, as apple,pear"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{shown}: names {twice!r} twice; give each output its own")
