"""Classes of a teacher's outputs as a user writes them: `apple,pear`, or a file of names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwkd.core.errors import ConfigError
from hwkd.core.printable import printable

_FEWEST = 2
# No network of classes for a small chip's teacher has more, and a file of more is another file.
_MOST_BYTES = 4 * 1024**2
# A teacher of the data's own classes, among others that name theirs.
AS_DATA = "same"


def teacher_classes(text: str) -> tuple[str, ...]:
    """Return the names of a teacher's outputs in their order; none of one of the data's classes.

    Args:
        text: names with commas between them, a .txt file with a name a line, or "same".

    Raises:
        ConfigError: if there are fewer than two, one is empty or is there twice.
    """
    if text == AS_DATA:
        return ()
    shown = f"--teacher-classes {printable(text)}"
    names = _lines(Path(text), shown) if text.lower().endswith(".txt") else text.split(",")
    found = tuple(printable(name.strip()) for name in names)
    require_names(found, shown)
    return found


def require_names(names: Sequence[str], shown: str) -> None:
    """Refuse names that cannot be those of outputs.

    Raises:
        ConfigError: if there are fewer than two, one is empty or is there twice.
    """
    if len(names) < _FEWEST or "" in names:
        raise ConfigError(
            f"{shown}: expected the name of each output in order, two or more, as apple,pear, or a "
            ".txt file with a name a line"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{shown}: names {twice!r} twice; give each output its own")


def _lines(path: Path, shown: str) -> list[str]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{shown}: larger than {_MOST_BYTES:,} bytes; give a name a line")
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{shown}: cannot be read as UTF-8 text; give a name a line") from error
