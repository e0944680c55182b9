"""Who hears a search: mistakes in a listener are said early and end nothing."""

import sys
import types

import pytest

import hwkd
from hwkd.api.listening import NotebookListener, heard, in_notebook
from hwkd.core.errors import ConfigError


class Counting(hwkd.SilentListener):
    def __init__(self):
        self.notes = []

    def on_note(self, note):
        self.notes.append(note)


def test_a_listener_is_told_what_happens():
    listener = Counting()
    told = heard(listener)
    told("search", 1, 2, "note")
    told.on_records([], None)
    told.on_note("left out")
    assert listener.notes == ["left out"]


@pytest.mark.parametrize("given", [print, object(), 3])
def test_what_is_no_listener_is_refused_before_anything_happens(given):
    with pytest.raises(ConfigError, match=r"^listener: \w+ has no method \w+; derive it from hwkd"):
        hwkd.search("cortex-m7", listener=given)


def test_a_method_that_takes_other_arguments_is_refused_before_anything_happens():
    class Wrong(hwkd.SilentListener):
        def on_records(self, records):  # type: ignore[override]
            pass

    with pytest.raises(ConfigError, match=r"Wrong.on_records is called with \(records, total\)"):
        hwkd.search("cortex-m7", listener=Wrong())


def test_a_method_that_fails_is_said_once_and_the_rest_is_still_told():
    class Failing(Counting):
        def on_records(self, records, total):
            raise ZeroDivisionError("division by zero")

    listener = Failing()
    told = heard(listener)
    with pytest.warns(RuntimeWarning, match=r"Failing.on_records failed \(ZeroDivisionError: div"):
        told.on_records([], None)
    told.on_records([], None)
    told.on_note("on")
    assert listener.notes == ["on"]


def test_an_interruption_in_a_listener_goes_on_to_the_search():
    class Stopping(Counting):
        def on_note(self, note):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        heard(Stopping()).on_note("x")


def test_outside_of_a_notebook_nobody_is_told():
    assert not in_notebook()
    assert type(heard(None)) is hwkd.SilentListener


def test_in_a_notebook_a_cell_shows_bars_and_notes(monkeypatch):
    drawn: list[str] = []
    handle = types.SimpleNamespace(update=drawn.append)
    shell = types.SimpleNamespace(kernel=object())
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    shows = types.ModuleType("IPython.display")
    shows.HTML = str  # type: ignore[attr-defined]
    shows.display = lambda html, display_id: handle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shows)
    told = heard(None)
    assert isinstance(told, NotebookListener)
    told("search", 3, 4, "a < b")
    told("search", 4, 4)
    told.on_records([], 7)
    told.on_note("left out: <x>")
    assert "<progress value=4 max=4>" in drawn[-1]
    assert "0 of 7" in drawn[-1]
    assert "left out: &lt;x&gt;" in drawn[-1]
