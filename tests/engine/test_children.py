"""Children of a search are forked with what they need, and their ends are seen."""

from __future__ import annotations

import signal

import pytest

from hwkd.engine.arms.children import Nursery

pytestmark = pytest.mark.slow


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
