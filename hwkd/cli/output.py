"""Standard output and error that end quietly: a closed pipe or a full disk stops no work.

A reader such as `head` may close its end, a log may fill its disk, a terminal may be gone. What a
command does goes on; what it says goes nowhere from then on, and it is told at the end.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class EndingStream:
    """A text stream that is replaced by nothing once it cannot be written.

    Attributes:
        lost: the first error, or None.
    """

    def __init__(self, stream: TextIO) -> None:
        """Wrap `stream`; what is not about writing goes to it."""
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write `text`; says that it did even when it is lost."""
        if self.lost is None:
            try:
                return self._stream.write(text)
            except UnicodeEncodeError:  # a file name that is no text, or a terminal without it
                kind = self._stream.encoding
                shown = text.encode(kind, "backslashreplace").decode(kind)
                return self._stream.write(shown)
            except OSError as error:
                self._end(error)
        return len(text)

    def flush(self) -> None:
        """Hand over what is buffered, unless the stream has ended."""
        if self.lost is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._end(error)

    @property
    def reason(self) -> str | None:
        """Why output is lost; None when nothing is, or when its reader has had enough."""
        if self.lost is None or self.lost.errno == errno.EPIPE:
            return None
        return self.lost.strerror or type(self.lost).__name__

    def _end(self, error: OSError) -> None:
        self.lost = error
        # What is still buffered would fail again when the interpreter ends, with a traceback.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        """Answer as the wrapped stream."""
        return getattr(self._stream, name)


@contextmanager
def ending_quietly() -> Iterator[EndingStream | None]:
    """Let standard output and error end quietly inside the block; yields the output.

    Yields None when there is no standard output.
    """
    before = sys.stdout, sys.stderr
    # Either is None in a process that was started without it.
    output, errors = (EndingStream(stream) if stream is not None else None for stream in before)
    if output is not None:
        sys.stdout = cast("TextIO", output)
    if errors is not None:
        sys.stderr = cast("TextIO", errors)
    try:
        yield output
    finally:
        for stream in (output, errors):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before
