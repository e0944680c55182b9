"""The trials of a search behave alike in every storage that an Optuna study can lie in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from support.made_records import estimate

from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.student import StudentSpec
from hwkd.core.trial import (
    FidelityRecord,
    ObjectiveRecord,
    ProposalRecord,
    TrialRecord,
)
from hwkd.engine.run.database import Database
from hwkd.engine.run.lease_rows import create_leases
from hwkd.engine.run.proposal import Proposal
from hwkd.engine.run.storage import create_study, load_study
from hwkd.engine.run.trials import Trials

BRIEF, LONG = FidelityRecord(epochs=1, samples=100), FidelityRecord(epochs=9)
GOAL = ObjectiveConfig(alpha=1.0, beta=0.5, gamma=0.0)
DOMAINS = {"space": CategoricalDistribution(("a", "b")), "a.width": IntDistribution(1, 999)}
COST = estimate(latency=(0.001, 0.001, 0.001), ram=1, weights=1, flash=1, energy_j=None)


class Place:
    """A study that every process opens for itself."""

    def __init__(self, location: Path | Database, folder: Path, objectives: int = 1) -> None:
        self.location, self.folder = location, folder
        self.name = f"study of {folder}"
        create_study(location, objectives=objectives, name=self.name)

    def opened(self) -> Trials:
        return Trials(
            load_study(self.location, name=self.name),
            run=self.folder,
            mirror=self.folder / "trials.jsonl",
        )


STORAGES = ("journal", "sqlite", "postgresql")


def location_of(storage: str, folder: Path, request) -> Path | Database:
    """Return where a study of a kind lies."""
    if storage == "journal":
        return folder / "journal.log"
    if storage == "sqlite":
        return Database.of(f"sqlite:///{folder / 'study.db'}")
    return Database.of(request.getfixturevalue("postgresql").url())


@pytest.fixture(params=STORAGES)
def place(request, tmp_path) -> Place:
    return Place(location_of(request.param, tmp_path, request), tmp_path)


def proposal(width: int, **changes) -> Proposal:
    spec = StudentSpec(space="a", params={"width": width}, input_shape=(1, 8, 8), num_outputs=3)
    return Proposal(
        spec=spec,
        params={"space": "a", "a.width": width},
        domains=DOMAINS,
        fidelity=BRIEF,
        network_key=f"key{width}",
        why=ProposalRecord(origin="mutation", parent=2, predicted_s=1.5),
        memory={"generation": 3},
    ).model_copy(update=changes)


def record(number: int, state: str = "completed", *, error: float = 0.25) -> TrialRecord:
    terms = ObjectiveRecord(
        task_error=error, divergence=0.5, latency_overrun=0.0, value=error + 0.25
    )
    return TrialRecord.model_validate({
        "number": number, "state": state, "seed": 0, "started_at": "t", "duration_s": 0.0,
        "cost": COST, "objective": terms if state == "completed" else None,
        "spec": proposal(number + 1).spec,
    })  # fmt: skip


def taken(trials: Trials, *widths: int):
    """Queue a proposal for each width and take them all."""
    trials.queue([proposal(width) for width in widths])
    return [trials.take() for _ in widths]


def test_a_new_study_holds_nothing(place):
    trials = place.opened()
    assert (trials.records(), trials.has_queued(), trials.has_finished()) == ((), False, False)
    assert (trials.candidates_started(), trials.trainings_started()) == (0, 0)
    assert trials.history(GOAL).candidates == 0


def test_a_proposal_comes_out_as_it_went_in(place):
    wanted = proposal(7, start_from="ab" * 32)
    place.opened().queue([wanted])
    assert place.opened().has_queued()
    candidate = place.opened().take()
    assert candidate.proposal.model_copy(update={"memory": wanted.memory}) == wanted
    assert (candidate.number, candidate.deaths) == (0, 0)
    assert not place.opened().has_queued()
    (entry,) = place.opened().history(GOAL).pending
    assert (entry.params, entry.memory) == (wanted.params, wanted.memory)


def test_a_proposal_without_a_student_says_why(place):
    place.opened().queue([proposal(1, spec=None, failure="KeyError: 'width'")])
    found = place.opened().take().proposal
    assert (found.spec, found.failure) == (None, "KeyError: 'width'")


def test_candidates_are_numbered_in_the_order_of_the_queue(place):
    trials = place.opened()
    found = taken(trials, 5, 6, 7)
    assert [(c.number, c.proposal.params["a.width"]) for c in found] == [(0, 5), (1, 6), (2, 7)]
    assert taken(place.opened(), 8)[0].number == 3
    assert place.opened().history(GOAL).candidates == 4


def test_a_filed_record_is_told_mirrored_and_read_back(place):
    trials = place.opened()
    (candidate,) = taken(trials, 5)
    trials.file(candidate, record(0))
    again = place.opened()
    assert again.records() == (record(0),)
    assert [t.values for t in again.study.trials] == [[record(0).objective.value]]
    lines = (place.folder / "trials.jsonl").read_text().splitlines()
    assert [TrialRecord.model_validate_json(line) for line in lines] == [record(0)]


def test_records_are_sorted_by_candidate_and_the_mirror_is_written_anew(place):
    trials = place.opened()
    candidates = taken(trials, 5, 6, 7)
    for candidate in reversed(candidates):
        trials.file(candidate, record(candidate.number))
    (place.folder / "trials.jsonl").write_text("rubbish", encoding="utf-8")
    assert [r.number for r in place.opened().rewrite_mirror()] == [0, 1, 2]
    lines = (place.folder / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2]


def test_rejected_and_repeated_candidates_are_no_trainings(place):
    trials = place.opened()
    states = ("completed", "rejected", "duplicate", "failed")
    for candidate, state in zip(taken(trials, 1, 2, 3, 4), states, strict=True):
        trials.file(candidate, record(candidate.number, state))
    taken(trials, 5)
    again = place.opened()
    assert (again.candidates_started(), again.trainings_started()) == (5, 3)


def test_a_record_is_found_by_network_and_fidelity(place):
    trials = place.opened()
    trials.queue([proposal(1), proposal(2, fidelity=LONG), proposal(3)])
    for state in ("completed", "completed", "failed"):
        candidate = trials.take()
        candidate.name_network(f"key{candidate.number + 1}")
        trials.file(candidate, record(candidate.number, state))
    again = place.opened()
    assert again.find_record("key1", BRIEF) == record(0)
    assert again.find_record("key1", LONG) is None
    assert again.find_record("key2", LONG) == record(1)
    assert again.find_record("key3", BRIEF) is None  # it failed: another try may not
    assert again.find_record("key4", BRIEF) is None


def test_a_network_that_the_proposer_did_not_name_is_found_once_it_was_built(place):
    trials = place.opened()
    trials.queue([proposal(1, network_key=None)])
    candidate = trials.take()
    candidate.name_network("built")
    trials.file(candidate, record(0))
    assert place.opened().find_record("built", BRIEF) == record(0)


@pytest.mark.slow
def test_what_was_cut_off_is_queued_again_whole_under_its_number(place):
    trials = place.opened()
    first, second = taken(trials, 5, 6)
    trials.file(second, record(1))
    assert place.opened().requeue_interrupted() == 1
    assert place.opened().requeue_interrupted() == 0
    again = place.opened().take()
    assert again.proposal.model_copy(update={"memory": {}}) == proposal(5, memory={})
    assert (again.number, again.deaths) == (first.number, 0)
    assert taken(place.opened(), 8)[0].number == 2
    assert place.opened().candidates_started() == 3


@pytest.mark.slow
def test_two_cut_offs_in_a_row_are_one_candidate(place):
    taken(place.opened(), 5)
    for deaths in (1, 2):
        trials = place.opened()
        (running,) = [t for t in trials.study.trials if t.state.name == "RUNNING"]
        assert trials.requeue_interrupted(only={running.number}, died=True) == 1
        again = place.opened().take()
        assert (again.number, again.deaths) == (0, deaths)
    assert place.opened().candidates_started() == 1


def test_only_the_trial_of_the_dead_worker_is_queued_again(place):
    trials = place.opened()
    first, _ = taken(trials, 5, 6)
    assert place.opened().requeue_interrupted(only={first.trial}, died=True) == 1
    states = [trial.state.name for trial in place.opened().study.trials]
    assert states == ["FAIL", "RUNNING", "WAITING"]


def test_a_trial_that_lacked_only_its_last_step_is_finished(place, monkeypatch):
    trials = place.opened()
    (candidate,) = taken(trials, 5)

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trials.study._storage, "set_trial_state_values", killed)
        trials.file(candidate, record(0))
    assert place.opened().requeue_interrupted() == 0
    again = place.opened()
    assert [t.state.name for t in again.study.trials] == ["COMPLETE"]
    assert again.records() == (record(0),)


def test_a_history_grows_and_follows_the_goal(place):
    trials = place.opened()
    first, second = taken(trials, 5, 6)
    trials.file(first, record(0))
    history = trials.history(GOAL)
    assert [entry.number for entry in history.finished] == [0]
    assert [entry.number for entry in history.pending] == [1]
    assert history.values(history.finished[0].record) == (0.25 + 0.5 * 0.5,)
    trials.file(second, record(1, "rejected"))
    later = trials.history(GOAL.model_copy(update={"beta": 0.0}))
    assert [entry.number for entry in later.finished] == [0, 1]
    assert (later.pending, later.candidates) == ([], 2)
    assert later.values(later.finished[0].record) == (0.25,)
    assert later.values(later.finished[1].record) == ()


@pytest.mark.parametrize("storage", STORAGES)
def test_four_objectives_are_told_in_order(storage, tmp_path, request):
    trials = Place(location_of(storage, tmp_path, request), tmp_path, objectives=4).opened()
    complete, rejected = taken(trials, 5, 6)
    trials.file(complete, record(0))
    trials.file(rejected, record(1, "rejected"))
    told = trials.study.trials
    assert told[0].values == [0.25, 0.001, 1.0, 1.0]
    assert told[1].state.name == "FAIL"


TAKES_ALL = """
import sys
from pathlib import Path
from hwkd.engine.run.database import Database
from hwkd.engine.run.lease import FolderLease
from hwkd.engine.run.shared_lease import DatabaseLease
from hwkd.engine.run.storage import load_study
from hwkd.engine.run.trials import Trials
location, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
where = Database.of(location) if "://" in location else Path(location)
trials = Trials(load_study(where, name=name), run=folder)
if isinstance(where, Path):
    lease = FolderLease(folder, asking_file=folder / "config.toml")
else:
    lease = DatabaseLease(where, name, name="test")
while True:
    with lease.asking():
        if not trials.has_queued():
            break
        print(trials.take().number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_two_processes_that_take_at_once_share_what_there_is(place):
    (place.folder / "config.toml").write_text("")
    location = place.location
    if isinstance(location, Database):
        create_leases(location)
    place.opened().queue([proposal(width) for width in range(1, 31)])
    where = str(location if isinstance(location, Path) else location.url)
    command = [sys.executable, "-c", TAKES_ALL, where, str(place.folder), place.name]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = [int(n) for worker in workers for n in worker.communicate()[0].split()]
    assert sorted(found) == list(range(30))


def test_a_storage_without_a_study_is_one_line(tmp_path):
    with pytest.raises(RunFolderError, match=r"study\.db: does not hold the study hwkd"):
        load_study(Database.of(f"sqlite:///{tmp_path / 'study.db'}"))


def test_a_database_without_its_driver_is_one_line():
    with pytest.raises(ConfigError, match=r"the driver of this database is not installed"):
        load_study(Database.of("postgresql+pg8000://localhost/hwkd"))
