"""Who hears how work goes: what the caller gives, checked at once; a notebook's cell; or nobody."""

from __future__ import annotations

import inspect
import sys
import time
import warnings
from collections.abc import Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwkd.core.errors import ConfigError, HwkdError, typed_line
from hwkd.core.metric import primary_text
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.listener import PassingListener, SearchListener, SilentListener

if TYPE_CHECKING:
    from hwkd.core.run_record import TeacherRecord

_CALLS = tuple(
    name
    for name, member in vars(SearchListener).items()
    if inspect.isfunction(member) and (name == "__call__" or name.startswith("on_"))
)
# A page that is drawn more often is not read sooner.
_BETWEEN_DRAWINGS_S = 0.2
_SHOWN_NOTES = 5


def heard(listener: SearchListener | None) -> SearchListener:
    """Return who is told: the given listener, guarded; without one a notebook's cell, or nobody.

    Raises:
        ConfigError: if a method is missing or takes other arguments than it will be given.
    """
    if listener is None:
        return NotebookListener() if in_notebook() else SilentListener()
    for name in _CALLS:
        _require_callable(listener, name)
    return _Guarded(listener)


def in_notebook() -> bool:
    """Tell whether the program runs in a kernel of Jupyter, which shows HTML."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _require_callable(listener: object, name: str) -> None:
    kind = type(listener).__name__
    method = listener if name == "__call__" else getattr(listener, name, None)
    if not callable(method):
        raise ConfigError(
            f"listener: {kind} has no method {name}; derive it from hwkd.SilentListener, whose "
            "methods do nothing"
        )
    told = list(inspect.signature(getattr(SearchListener, name)).parameters)[1:]
    try:
        inspect.signature(method).bind(*told)
    except TypeError as error:
        raise ConfigError(
            f"listener: {kind}.{name} is called with ({', '.join(told)}), and its own arguments "
            f"are others ({error})"
        ) from None
    except ValueError:  # of what is written in C nothing is known
        return


class _Guarded(PassingListener):
    """A listener whose mistakes are said at once and end no search."""

    def __init__(self, listener: SearchListener) -> None:
        super().__init__(listener)
        self._failed: set[str] = set()

    def _tell(self, name: str, *told: Any) -> None:
        if name in self._failed:
            return
        try:
            super()._tell(name, *told)
        except HwkdError:
            raise
        except Exception as error:  # anything: it is the caller's code
            self._failed.add(name)
            warnings.warn(
                f"listener: {type(self._listener).__name__}.{name} failed "
                f"({typed_line(error)}); the work goes on without it",
                RuntimeWarning,
                stacklevel=3,
            )


class NotebookListener(SilentListener):
    """Shows a bar for each stage, the best candidate so far and the last notes below a cell."""

    def __init__(self) -> None:
        """Open the output of the cell that runs."""
        shows: Any = import_module("IPython.display")
        self._html = shows.HTML
        self._handle = shows.display(self._html(""), display_id=True)
        self._bars: dict[str, tuple[int, int, str]] = {}
        self._notes: list[str] = []
        self._drawn_s = 0.0

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear of an advance."""
        self._bars[stage] = (done, total, note)
        now_s = time.monotonic()
        if done >= total or now_s - self._drawn_s >= _BETWEEN_DRAWINGS_S:
            self._drawn_s = now_s
            self._draw()

    def on_teacher(self, teacher: TeacherRecord) -> None:
        """Hear which teacher there is."""
        scores = primary_text(teacher.scores.validation_float or {"accuracy": float("nan")})
        self.on_note(f"teacher: {teacher.description}; validation {scores}")

    def on_records(self, records: Sequence[TrialRecord], total: int | None) -> None:
        """Hear all records so far."""
        scored = [r for r in records if r.objective is not None and r.scores is not None]
        best = min(scored, key=lambda r: r.objective.value if r.objective else 0.0, default=None)
        said = ""
        if best is not None and best.scores is not None and best.scores.validation_int8:
            said = f"best is {best.number}: {primary_text(best.scores.validation_int8)}"
        self("candidates", len(records), total or len(records), said)

    def on_note(self, note: str) -> None:
        """Hear what was given up or left out."""
        self._notes.append(note)
        self._draw()

    def _draw(self) -> None:
        rows = "".join(
            f"<tr><td>{escape(stage)}</td><td><progress value={done} max={max(1, total)}>"
            f"</progress></td><td>{done:,} of {total:,}</td><td>{escape(note)}</td></tr>"
            for stage, (done, total, note) in self._bars.items()
        )
        notes = "".join(f"<div>{escape(note)}</div>" for note in self._notes[-_SHOWN_NOTES:])
        self._handle.update(self._html(f"<table>{rows}</table>{notes}"))
