"""The one finished search that tests of the command line read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.finished_search import (
    FinishedSearch,
    finished_search,
)


@pytest.fixture(scope="module")
def search(made_once) -> FinishedSearch:
    return finished_search(made_once)


@pytest.fixture(scope="module")
def inputs(search) -> Path:
    return search.inputs


@pytest.fixture(scope="module")
def finished(search) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a search that ran undisturbed, and what it printed."""
    return search.run, search.printed


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"
