"""The error family: what was given, what was expected, what to do, in one line.

The command line prints any `HwkdError` as one line on stderr and exits with code 2. Every other
exception is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class HwkdError(Exception):
    """Base of every error that a user can cause and correct.

    Attributes:
        exit_code: of the command that ends with it.
    """

    exit_code: ClassVar[int] = 2


class ConfigError(HwkdError):
    """An option, a descriptor or a configuration file is wrong."""


class DataError(HwkdError):
    """The user's data set cannot be used as it is."""


class DoesNotFitError(HwkdError):
    """Nothing that was asked for fits the limits of the device."""


class ExportError(HwkdError):
    """A model cannot be written in the format asked for."""


class ModelFileError(HwkdError):
    """A model file cannot be read or is outside what hwkd accepts."""


class ProfilingError(HwkdError):
    """A measurement could not be made."""


class RunFolderError(HwkdError):
    """A run folder is taken, unreadable, not writable or does not match the request."""


class StoppedByUserError(HwkdError):
    """The user stopped the work; the message says what is saved and how to go on."""


class TeacherError(HwkdError):
    """The teacher cannot be loaded, does not match the data or knows nothing."""


class CacheGoneError(TeacherError):
    """Outputs of a teacher that only its name is known of are no longer in the cache."""


class UnreachableError(HwkdError):
    """A server does not answer; trying again later may help (75 is EX_TEMPFAIL of sysexits.h)."""

    exit_code = 75


class UnknownNameError(HwkdError):
    """A name is in no catalogue; the message offers the nearest ones."""

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        """Build the message.

        Args:
            kind: what was looked up, for example "device".
            given: the name that was not found.
            known: every name that would have been found.
        """
        names = sorted(known)
        near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {given!r}; {hint}")
        self.kind = kind
        self.given = given
        self.nearest = tuple(near)


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, or the error's type when it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class LostLeaseError(Exception):
    """Another process took over what this one worked on; its result must not be filed."""


class InterruptedTrial(BaseException):
    """The search stops; the trial is left open and is queued again on resume."""
