"""The error family: what was given, what was expected, what to do, in one line.

The command line prints any `HwkdError` as one line on stderr and exits with code 2. Every other
exception is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import ClassVar

_MOST_NEAR = 3
# Names of chips and boards share such a part: the f446 of STM32F446 and NUCLEO-F446RE.
_SHARED = 4


class HwkdError(Exception):
    """Base of every error that a user can cause and correct.

    Attributes:
        exit_code: of the command that ends with it.
    """

    exit_code: ClassVar[int] = 2


class ConfigError(HwkdError):
    """An option, a descriptor or a configuration file is wrong."""


class OutlierError(ConfigError):
    """A measurement is far from what the others say; its user may know that it is right."""


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

    def __init__(
        self,
        kind: str,
        given: str,
        known: Iterable[str],
        *,
        called: Mapping[str, str] | None = None,
        meant: Iterable[str] | None = None,
    ) -> None:
        """Build the message.

        Args:
            kind: what was looked up, for example "device".
            known: every name that would have been found.
            called: what else people call some of them -> name, as the boards that devices are.
            meant: names that what was given is known to stand for, offered in place of those
                that are only spelled alike; None where nothing is known of it.
        """
        names = sorted(known)
        near = _near(given, names, called or {}, meant)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {given!r}; {hint}")
        self.kind = kind
        self.given = given
        self.nearest = tuple(near)


def _near(
    given: str, names: list[str], called: Mapping[str, str], meant: Iterable[str] | None
) -> list[str]:
    """Return up to three names: those that share a part such as f446, hold it, or are alike."""
    words = {**{name: name for name in names}, **called}
    plain = _plain(given)
    holding = [name for name in names if len(plain) >= _SHARED and plain in _plain(name)]
    shared = {word: _shared_part(given, word) for word in words}
    longest = sorted((w for w in words if shared[w]), key=lambda word: -shared[word])
    # However short, a whole part of a name is no slip: m4 is cortex-m4.
    parts = [name for name in names if given.lower() in name.lower().split("-")]
    if meant is None:
        meant = difflib.get_close_matches(given, names, n=_MOST_NEAR, cutoff=0.5)
    found = [*(words[word] for word in longest), *parts, *holding, *meant]
    return list(dict.fromkeys(found))[:_MOST_NEAR]


def _plain(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())


def _shared_part(given: str, other: str) -> int:
    """Return the length of what both write around the last number of `given`; 0 if that is little.

    The first number says which family a chip is of: STM32F446 is no STM32H747.
    """
    first, second = _plain(given), _plain(other)
    numbers = re.findall(r"\d+", first)
    if not numbers or numbers[-1] not in second:
        return 0
    heads, tails = zip(*(text.rsplit(numbers[-1], 1) for text in (first, second)), strict=True)
    before = _equal_from_the_start(*(head[::-1] for head in heads))
    shared = before + len(numbers[-1]) + _equal_from_the_start(*tails)
    return shared if before and shared >= _SHARED else 0


def _equal_from_the_start(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, or the error's type when it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def typed_line(error: Exception) -> str:
    """Return the error's type with the first line of its message, where it has one."""
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"


class LostLeaseError(Exception):
    """Another process took over what this one worked on; its result must not be filed."""


class InterruptedTrial(BaseException):
    """The search stops; the trial is left open and is queued again on resume."""
