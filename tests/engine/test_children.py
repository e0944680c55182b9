"""Children of a search are forked with what they need, and their ends are seen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hwkd.engine.arms.children import Nursery, end_idle, import_ahead

pytestmark = pytest.mark.slow
needs_forks = pytest.mark.skipif(sys.platform != "linux", reason="only there children are forked")


@pytest.fixture
def nursery():
    """Each test takes over the importing process of the last search of this session."""
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


@pytest.fixture
def foreign_code(tmp_path, monkeypatch):
    """Stand in a folder whose modules are called like those that a child imports."""
    (tmp_path / "hwkd").mkdir()
    for module in ("json.py", "torch.py", "hwkd/__init__.py"):
        (tmp_path / module).write_text("raise SystemExit('code of the working folder')")
    monkeypatch.chdir(tmp_path)


def test_children_that_are_no_forks_run_nothing_of_the_working_folder(
    foreign_code, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "platform", "darwin")
    with Nursery() as nursery:
        child, log = start(nursery, tmp_path)
        assert child.wait(timeout=60) == 2
    assert "code of the working folder" not in log.read_text()
    assert "nowhere" in log.read_text()


def test_what_imported_ahead_serves_the_next_search_and_is_no_code_of_the_working_folder(
    foreign_code, tmp_path
):
    end_idle()  # what an earlier test imported costs this one nothing
    import_ahead()
    import_ahead()  # once is enough
    with Nursery() as first, Nursery() as second:
        children = [start(nursery, tmp_path) for nursery in (first, second)]
        assert [child.wait(timeout=60) for child, _ in children] == [2, 2]
        assert first.cpu_s() > 0.0
    assert "code of the working folder" not in children[0][1].read_text()
    assert "nowhere" in children[0][1].read_text()
    with Nursery() as third:
        assert third.cpu_s() < 0.5  # imported for an earlier search


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


# Trains a small student for a step in a process that imported what children find.
_TRAINS_ONCE = """
import sys
from hwkd.engine.arms.seed_process import prepare
prepare()
import torch
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.train.config import TrainConfig
from hwkd.train.optimizers import make_optimizer
discover("hwkd.search_spaces")
space = SEARCH_SPACES.get("depthwise")
spec = space.suggest(RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3)
module = build_module(space.layers(spec), seed=0)
optimizer = make_optimizer(list(module.parameters()), TrainConfig(epochs=1))
module(torch.zeros(2, 1, 8, 8)).square().sum().backward()
optimizer.step()
optimizer.zero_grad()
slow = {"torch._dynamo", "sympy", "scipy.stats", "scipy.optimize", "sklearn", "plotly"}
print(sorted(slow & set(sys.modules)))
"""


def test_a_child_trains_without_libraries_that_take_long_to_import():
    done = subprocess.run(
        [sys.executable, "-c", _TRAINS_ONCE], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "[]\n"


@needs_forks
def test_a_process_whose_search_is_gone_imports_nothing_more():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with theirs:
        done = subprocess.run(
            [sys.executable, "-P", "-X", "importtime", "-m", "hwkd.engine.arms.seed_process",
             str(theirs.fileno())],
            pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hwkd.io.runtime_files" in imported
    assert "torch" not in imported
