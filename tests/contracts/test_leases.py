"""Leases in a database: one holder at a time, gone when the holder is, and not before."""

from __future__ import annotations

import threading
import time

import pytest

from benchmarks.lib.postgresql import Server
from hwkd.core.errors import LostLeaseError, RunFolderError
from hwkd.engine.run.database import Database
from hwkd.engine.run.lease_rows import create_leases, holders
from hwkd.engine.run.shared_lease import DatabaseLease

LEASE_S = 0.4
GONE_S = 4 * LEASE_S


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path) -> Database:
    if request.param == "sqlite":
        found = Database.of(f"sqlite:///{tmp_path / 'leases.db'}")
    else:
        server: Server = request.getfixturevalue("postgresql")
        found = Database.of(server.url())
    create_leases(found)
    return found


@pytest.fixture
def process(database, tmp_path, request):
    """Return a maker of processes on a study of this test's own."""
    made = []

    def make(name: str, lease_s: float = LEASE_S) -> DatabaseLease:
        made.append(DatabaseLease(database, str(tmp_path), name=name, lease_s=lease_s))
        return made[-1]

    yield make
    for lease in made:
        lease.leave()


def die(lease: DatabaseLease) -> None:
    """Renew nothing any more, as a process that was killed."""
    lease._pulse.stop()


def lost_after(lease: DatabaseLease, running: list[int], seconds: float) -> dict[int, bool]:
    """Ask for lost trials as workers do, again and again."""
    until = time.monotonic() + seconds
    found: dict[int, bool] = {}
    while time.monotonic() < until and not found:
        found = dict(lease.lost(lambda: running))
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_a_network_has_one_holder_until_it_is_filed(process):
    first, second = process("a"), process("b")
    first.begin(0)
    assert first.claim("network")
    assert not second.claim("network")
    assert second.claim("another network")
    first.filing(0, lambda: None)
    assert second.claim("network")


@pytest.mark.slow
def test_a_holder_that_lives_keeps_its_trial_beyond_the_lease(process):
    first, second = process("a"), process("b")
    first.begin(7)
    assert lost_after(second, [7], GONE_S) == {}
    first.filing(7, lambda: None)


@pytest.mark.slow
def test_the_trial_of_a_dead_holder_is_lost_once(process):
    first, second = process("a"), process("b")
    first.begin(7)
    die(first)
    assert lost_after(second, [7], 3 * GONE_S) == {7: True}
    assert lost_after(process("c"), [7], LEASE_S) == {}
    assert second.lost(lambda: [7]) == {7: True}  # until it was queued again
    second.settle(7)


@pytest.mark.slow
def test_what_was_taken_over_is_not_filed(process):
    first, second = process("a"), process("b")
    first.begin(7)
    die(first)
    assert lost_after(second, [7], 3 * GONE_S)
    written = []
    with pytest.raises(LostLeaseError):
        first.filing(7, lambda: written.append("record"))
    assert written == []


@pytest.mark.slow
def test_a_holder_that_was_away_keeps_its_trial_if_it_comes_back_in_time(process):
    first, second = process("a", lease_s=2.0), process("b", lease_s=2.0)
    first.begin(7)
    die(first)
    time.sleep(2.3)
    assert second.lost(lambda: [7]) == {}  # marks it
    first._rows.renew()
    time.sleep(1.2)
    assert second.lost(lambda: [7]) == {}


def test_a_trial_that_nobody_began_is_lost_without_a_death(process):
    assert lost_after(process("b"), [3], 3 * GONE_S) == {3: False}


def test_a_process_known_to_be_dead_is_not_waited_for(process):
    first, second = process("a", lease_s=60.0), process("b", lease_s=60.0)
    first.begin(7)
    _, pid, _ = first.owner.rsplit(":", 2)
    die(first)
    second.end("a", int(pid), lambda: None)
    assert second.lost(lambda: [7]) == {7: True}


@pytest.mark.slow
def test_one_search_holds_a_study(process):
    with (
        process("a", lease_s=0.3).held(),
        pytest.raises(RunFolderError, match=r"a search holds it \(a@"),
        process("b", lease_s=0.3).held(),
    ):
        pass
    with process("b").held():
        pass


def test_one_process_chooses_at_a_time(process):
    first, second = process("a"), process("b")
    order = []

    def choose() -> None:
        with second.asking():
            order.append("second")

    with first.asking():
        thread = threading.Thread(target=choose)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]


def test_who_is_at_work_is_listed_with_the_trial(process, database, tmp_path):
    worker = process("worker1")
    with worker.present({"hwkd": "1.2.3"}):
        (seen,) = holders(database, str(tmp_path))
        assert (seen.owner, seen.trial, seen.note) == (worker.owner, None, {"hwkd": "1.2.3"})
        worker.begin(4)
        (seen,) = holders(database, str(tmp_path))
        assert seen.trial == 4
        assert 0 < seen.left_s <= LEASE_S
    assert holders(database, str(tmp_path)) == ()
