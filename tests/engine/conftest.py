"""Fixtures of the engine's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bars import write_bars


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with data, a teacher's code, unlabelled pictures and a student."""
    write_bars(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
