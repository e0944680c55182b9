"""What begins before the command line is read, because it takes longest."""

from __future__ import annotations

from collections.abc import Sequence

_WITH_WORKERS = ("search", "finish")
_ASKS_ALONE = {"-h", "--help"}


def begin_early(words: Sequence[str]) -> None:
    """Let the process that workers are forked from begin to import, where a command has workers.

    It takes two seconds, half a second of which the command line needs for its own imports.

    Args:
        words: of the command line, without the program.
    """
    if words and words[0] in _WITH_WORKERS and not _ASKS_ALONE & set(words):
        from hwkd.engine.arms.children import import_ahead

        import_ahead()
