"""A sample of what `benchmarks.robustness.readers` makes; no reader is without an entry."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.finished_search import finished_search
from support.made_once import MadeOnce

from benchmarks.robustness.reader_files import fill_folder
from benchmarks.robustness.reader_list import unlisted
from benchmarks.robustness.reader_ways import WAYS
from benchmarks.robustness.readers import judged_reading, try_way

DAMAGED = Path(__file__).parents[1] / "golden" / "damaged"
FOUND = sorted(str(place.relative_to(DAMAGED)) for place in DAMAGED.glob("*/*"))


@pytest.mark.slow
def test_every_reader_of_the_sources_is_behind_a_bench() -> None:
    assert not unlisted(), "give the reader a way in benchmarks/robustness/reader_ways.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, made_once: MadeOnce) -> Path:
    path = tmp_path_factory.mktemp("readers")
    shutil.copytree(finished_search(made_once).run, path / "run")
    fill_folder(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_damaged_files_are_read_or_refused_in_one_line(name: str, folder: Path) -> None:
    if name == "decoder":
        pytest.importorskip("transformers")
    outcomes, faults = try_way(name, folder, mutants=40, seed=3)
    assert not faults
    # A log's lines that say nothing are left out: losing one must stop nothing.
    assert outcomes["refused"] > 3 or name == "log"


@pytest.mark.slow
@pytest.mark.parametrize("found", FOUND)
def test_a_damaged_file_that_was_once_a_fault_is_read_or_refused(found: str, folder: Path) -> None:
    name = found.partition("/")[0]
    if name == "decoder":
        pytest.importorskip("transformers")
    files = [path for path in (DAMAGED / found).rglob("*") if path.is_file()]
    whole = {path: (folder / path.relative_to(DAMAGED / found)).read_bytes() for path in files}
    try:
        for path in files:
            shutil.copyfile(path, folder / path.relative_to(DAMAGED / found))
        outcome, fault = judged_reading(WAYS[name], folder)
    finally:
        for path, content in whole.items():
            (folder / path.relative_to(DAMAGED / found)).write_bytes(content)
    assert not fault
    assert outcome == "refused"
