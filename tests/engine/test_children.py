"""Children of a search are forked with what they need, and their ends are seen."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from hwkd.engine.arms.children import Nursery

pytestmark = pytest.mark.slow
needs_forks = pytest.mark.skipif(sys.platform != "linux", reason="only there children are forked")


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as opened:
        yield opened


def start(nursery, tmp_path, *, run="nowhere"):
    arguments = [str(tmp_path / run), "worker0"]
    log = tmp_path / "log.txt"
    return nursery.start("hwkd.engine.search.worker", arguments, log=log, threads=1), log


def test_a_child_that_refuses_says_why_in_its_log_and_by_its_code(nursery, tmp_path):
    child, log = start(nursery, tmp_path)
    assert child.wait(timeout=60) == 2
    assert "nowhere" in log.read_text()


def test_a_child_that_is_killed_is_seen_as_killed(nursery, tmp_path):
    child, _ = start(nursery, tmp_path)
    child.kill()
    assert child.wait(timeout=60) in (-signal.SIGKILL, 2)
    child.send_signal(signal.SIGTERM)  # it is over: nothing happens


def test_children_side_by_side_have_codes_of_their_own(nursery, tmp_path):
    first, second = (start(nursery, tmp_path, run=name)[0] for name in ("a", "b"))
    assert first.pid != second.pid
    assert (first.wait(timeout=60), second.wait(timeout=60)) == (2, 2)


def seed_of(child):
    """Return the process that forked a child."""
    return Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[1]


def start_waiting(nursery, tmp_path):
    """Start a child that waits until somebody reads its log."""
    log = tmp_path / "log"
    os.mkfifo(log)
    return nursery.start("hwkd.engine.search.worker", ["x", "worker0"], log=log, threads=1), log


def finish(child, log):
    """Let a child that waits go on; return what it says."""
    text = log.read_text()
    log.unlink()
    assert child.wait(timeout=60) == 2
    return text


@needs_forks
def test_the_next_search_takes_the_importing_process_over_in_its_own_folder(tmp_path, monkeypatch):
    with Nursery() as first:
        child, log = start_waiting(first, tmp_path)
        before = seed_of(child)
        assert "No such file" in finish(child, log)
    (tmp_path / "x").write_text("no folder of a run")
    monkeypatch.chdir(tmp_path)
    with Nursery() as second:
        child, log = start_waiting(second, tmp_path)
        assert seed_of(child) == before
        assert "Not a directory" in finish(child, log)


@needs_forks
def test_a_search_that_leaves_a_child_behind_gives_no_process_away(tmp_path):
    with Nursery() as first:
        child, log = start_waiting(first, tmp_path)
        seed = seed_of(child)
    log.read_text()
    log.unlink()
    with Nursery() as second:
        child, log = start_waiting(second, tmp_path)
        assert seed_of(child) != seed
        finish(child, log)
