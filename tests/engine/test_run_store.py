from __future__ import annotations

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from support.tiny_search import TinyRun, make_config, make_run

from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.core.trial import ObjectiveRecord, TrialRecord
from hwkd.engine.run.lease import FolderLease
from hwkd.engine.run.loaded_context import load_context
from hwkd.engine.run.lost_records import require_nothing_lost
from hwkd.engine.run.prepared import prepared_json
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.trials import TakenProposal
from hwkd.engine.search.loop import run_trials
from hwkd.engine.search.proposer import make_proposer
from hwkd.engine.setup.context import SearchContext
from hwkd.io.run_files import PREPARED_FILE
from hwkd.train.symmetry import Symmetry

TRIALS = 16
CUT_AT = (0, 3, 14)
# What is proposed follows from seed and history alone: the next few tell whether either was hurt.
_LATER = 6


_CONTEXTS: dict[str, SearchContext] = {}


def context_of(run: TinyRun) -> SearchContext:
    """Return what a run shares; it never changes, and copies of a run have the same."""
    config = run.store.config_path.read_text()
    if config not in _CONTEXTS:
        _CONTEXTS[config] = run.runner().context
    return _CONTEXTS[config]


class FakeRunner:
    """Scores a student by arithmetic, so that a whole search takes a second."""

    def __init__(self, run: TinyRun) -> None:
        self.context = context_of(run)

    end_s = None

    def run(self, proposal, find_earlier, *, number, has_teacher):
        spec = proposal.spec
        candidate = self.context.screen.candidate(spec)
        find_earlier(candidate.layers.key)
        error = candidate.cost.macs % 997 / 997
        return TrialRecord(
            number=number,
            state="completed",
            spec=spec,
            seed=0,
            cost=replace(candidate.cost, per_op=()),
            objective=ObjectiveRecord(
                task_error=error, divergence=0, latency_overrun=0, value=error
            ),
            started_at="t",
            duration_s=0.0,
        )


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> TinyRun:
    return make_run(tmp_path_factory.mktemp("store"), trials=TRIALS)


@pytest.fixture
def run(template, tmp_path) -> TinyRun:
    return copy_of(template, tmp_path / "run")


def go_on(run: TinyRun, until: int = TRIALS) -> RunFolder:
    store = run.reopened()
    runner = FakeRunner(run)
    run_trials(
        store.trials, store.lease, runner,
        keep_asking=lambda: store.trials.candidates_started() < until,
        on_start=lambda trial, candidate: None,
    )  # fmt: skip
    return store


def cut_off(run: TinyRun, *, after: str) -> TakenProposal | None:
    """Propose as a worker does and die: before the proposal was filed, in the queue or at work."""
    store, context = run.reopened(), context_of(run)
    history = store.trials.history(context.config.objective)
    proposals = make_proposer(context).propose(history, 1)
    if after == "proposing":
        return None
    store.trials.queue(proposals)
    return store.trials.take() if after == "taking" else None


def outcome(store: RunFolder) -> list[tuple[int, str, str]]:
    return [(r.number, r.spec.space, r.spec.key) for r in store.trials.records()]


def copy_of(run: TinyRun, folder: Path) -> TinyRun:
    shutil.copytree(run.store.path, folder)
    return TinyRun(store=RunFolder(folder), prepared=run.prepared)


def test_what_pictures_allow_is_measured_once_for_a_run(run: TinyRun) -> None:
    kept = Symmetry(mirror=True, directions=4)
    run.store.write(PREPARED_FILE, prepared_json(run.prepared.transfer, None, symmetry=kept))
    assert load_context(run.store).symmetry == kept


@pytest.fixture(scope="module")
def stages(template, tmp_path_factory) -> dict[int, TinyRun]:
    """Return one search, nowhere cut off, after some numbers of candidates and at its end."""
    folder = tmp_path_factory.mktemp("stages")
    run = copy_of(template, folder / "run")
    kept = {}
    for at in (*CUT_AT, TRIALS):
        go_on(run, until=at)
        kept[at] = copy_of(run, folder / str(at))
    return kept


@pytest.fixture(scope="module")
def undisturbed(stages):
    return outcome(stages[TRIALS].store)


@pytest.mark.slow
def test_a_search_samples_as_many_candidates_as_wanted(undisturbed):
    assert [number for number, _, _ in undisturbed] == list(range(TRIALS))
    assert {space for _, space, _ in undisturbed[:2]} == {"narrow_deep", "depthwise"}


@pytest.mark.slow
@pytest.mark.parametrize("at", CUT_AT)
@pytest.mark.parametrize("after", ["proposing", "queueing", "taking"])
def test_a_search_that_was_cut_off_goes_on_as_if_nothing_had_happened(
    stages, tmp_path, undisturbed, at, after
):
    run = copy_of(stages[at], tmp_path / "run")
    cut_off(run, after=after)
    assert run.reopened().trials.requeue_interrupted() == (after == "taking")
    until = min(at + _LATER, TRIALS)
    assert outcome(go_on(run, until)) == undisturbed[:until]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_so_does_a_search_with_one_of_the_samplers_of_optuna(template, tmp_path, sampler):
    found = []
    for name in ("whole", "cut"):
        folder = tmp_path / name
        shutil.copytree(template.store.path, folder)
        config = template.prepared.config.model_copy(update={"sampler": sampler})
        (folder / "config.toml").write_text(config.to_toml(), encoding="utf-8")
        run = TinyRun(store=RunFolder(folder), prepared=template.prepared)
        if name == "cut":
            go_on(run, until=9)
            cut_off(run, after="taking")
            run.reopened().trials.requeue_interrupted()
        found.append(outcome(go_on(run)))
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_repeated_candidate_keeps_its_number_beside_later_ones(run):
    go_on(run, until=4)
    interrupted = cut_off(run, after="taking")
    store = go_on(run, until=7)
    assert store.trials.requeue_interrupted(only={interrupted.trial}, died=True) == 1
    store = go_on(run, until=8)
    assert sorted(r.number for r in store.trials.records()) == list(range(8))
    again = next(r for r in store.trials.records() if r.number == 4)
    assert again.spec.key == interrupted.proposal.spec.key


@pytest.mark.slow
def test_trials_that_an_older_version_left_open_are_no_candidates(stages, tmp_path, undisturbed):
    """It asked first and chose then, and kept no student beside the choices."""
    run = copy_of(stages[14], tmp_path / "run")
    study = run.reopened().trials.study
    study.ask()
    study.enqueue_trial({})
    assert run.reopened().trials.requeue_interrupted() == 0
    assert outcome(go_on(run)) == undisturbed


def test_the_trials_file_is_rewritten_from_the_journal(run):
    store = go_on(run, until=4)
    store.trials_path.write_text("rubbish", encoding="utf-8")
    records = store.trials.rewrite_mirror()
    lines = store.trials_path.read_text().splitlines()
    assert [TrialRecord.model_validate_json(line) for line in lines] == list(records)
    assert len(lines) == 4


def test_a_torn_last_line_is_cut_and_a_copy_is_kept(run):
    store = go_on(run, until=3)
    before = outcome(store)
    whole = store.journal_path.read_bytes()
    torn = whole + b'{"op_code":5,"worker'
    store.journal_path.write_bytes(torn)
    reopened = run.reopened()
    reopened.check_journal()
    assert store.journal_path.read_bytes() == whole
    assert store.journal_path.with_suffix(".torn").read_bytes() == torn
    assert outcome(reopened) == before


@pytest.mark.parametrize("inside_a_line", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_journal_that_was_cut_loses_no_finished_trial_in_silence(
    stages, tmp_path, share, inside_a_line
):
    store = copy_of(stages[TRIALS], tmp_path / "run").store
    require_nothing_lost(store)
    journal, mirror = store.journal_path, store.trials_path
    lines = journal.read_bytes().splitlines(keepends=True)
    kept = lines[: int(share * len(lines))]
    journal.write_bytes(b"".join(kept) + (lines[len(kept)][:9] if inside_a_line else b""))
    left = sum(b'"hwkd.record"' in line for line in kept)
    before = mirror.read_bytes()
    store = RunFolder(store.path)
    store.check_journal()
    lost = rf"journal\.log no longer holds {TRIALS - left} of the {TRIALS} trials in trials\.jsonl "
    with pytest.raises(RunFolderError, match=lost + rf"\(the first is trial {left}\).*a copy"):
        require_nothing_lost(store)
    assert mirror.read_bytes() == before
    mirror.rename(tmp_path / "moved.jsonl")
    require_nothing_lost(store)
    assert len(store.trials.rewrite_mirror()) == left


def test_a_trials_file_that_is_cut_is_no_loss_since_the_journal_has_all(stages, tmp_path):
    store = copy_of(stages[TRIALS], tmp_path / "run").store
    whole = store.trials_path.read_bytes()
    store.trials_path.write_bytes(whole[: len(whole) // 2] + b"\xff\n7\n")
    require_nothing_lost(store)
    store.trials.rewrite_mirror()
    assert store.trials_path.read_bytes() == whole


def test_a_torn_line_is_also_cut_before_the_next_write(run):
    store = go_on(run, until=3)
    with store.journal_path.open("ab") as handle:
        handle.write(b'{"torn')
    go_on(run, until=4)
    run.reopened().check_journal()
    assert len(run.reopened().trials.records()) == 4


def test_damage_in_the_middle_is_one_line_and_nothing_changes(run):
    store = go_on(run, until=3)
    lines = store.journal_path.read_bytes().splitlines(keepends=True)
    lines[5] = b'{"op_code": 4, "tri\n'
    damaged = b"".join(lines) + b'{"torn'
    store.journal_path.write_bytes(damaged)
    with pytest.raises(RunFolderError, match=r"journal\.log: line 6 is damaged .*first 5 lines"):
        run.reopened().check_journal()
    assert store.journal_path.read_bytes() == damaged


@pytest.mark.parametrize("content", [b"", b"7\n", b'{"op_code": 4}\n'])
def test_a_journal_without_a_search_is_one_line(run, content):
    run.store.journal_path.write_bytes(content)
    store = run.reopened()
    with pytest.raises(RunFolderError, match=r"journal\.log: does not hold the journal"):
        _ = store.trials.study


def test_a_folder_without_a_journal_is_no_run(tmp_path):
    for use in (RunFolder(tmp_path).check_journal, lambda: RunFolder(tmp_path).trials.study):
        with pytest.raises(RunFolderError, match=r"no journal\.log in it"):
            use()
    with (
        pytest.raises(ConfigError, match="no such file or folder"),
        RunFolder(tmp_path / "x").lease.held(),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_another_run_or_other_files_is_refused(run, tmp_path):
    with pytest.raises(RunFolderError, match=r"holds another run; .* --resume"):
        run.store.create(run.prepared.config, {})
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match=r"holds other files; choose a new folder$"):
        RunFolder(other).create(run.prepared.config, {})
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


BEFORE_JOURNAL = ("config.toml", "prepared.json", "run.json")


def before_the_journal(folder, names=BEFORE_JOURNAL):
    """Make what older versions left that were killed before they wrote the journal."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("of the search that was killed")
    return RunFolder(folder)


def test_a_folder_in_which_an_older_version_was_killed_is_made_anew(run, tmp_path):
    store = before_the_journal(tmp_path / "cut")
    with pytest.raises(RunFolderError, match=r"no trial was begun .* again with --out .*cut$"):
        store.check_journal()
    store.create(run.prepared.config, {"run.json": "{}"})
    store.check_journal()
    assert (store.path / "run.json").read_text() == "{}"


def test_such_a_folder_is_refused_while_it_is_held_and_with_anything_else_in_it(tmp_path):
    held = before_the_journal(tmp_path / "held")
    lease = FolderLease(held.path, asking_file=held.config_path)
    with lease.held(), pytest.raises(RunFolderError, match="other files"):
        held.require_free()
    reported = before_the_journal(tmp_path / "reported")
    (reported.path / "trials.jsonl").touch()
    alone = before_the_journal(tmp_path / "alone", names=BEFORE_JOURNAL[:1])
    for store in (reported, alone):
        with pytest.raises(RunFolderError, match="other files"):
            store.require_free()


@pytest.mark.parametrize("place", ["file/run", "/proc/hwkd-run", "/proc/hwkd/run"])
def test_a_folder_that_cannot_be_made_is_refused_before_time_is_spent(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunFolderError, match="is not a folder that can be written"):
        RunFolder(tmp_path / place).require_free()


@pytest.mark.parametrize("is_there", [False, True])
def test_a_full_disk_while_the_run_is_created_leaves_nothing(tmp_path, monkeypatch, is_there):
    folder = tmp_path / "run"
    if is_there:
        folder.mkdir()

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(optuna, "create_study", full)
    with pytest.raises(RunFolderError, match="cannot write there: No space left on device"):
        RunFolder(folder).create(make_config(tmp_path), {"run.json": "{}"})
    assert folder.exists() is is_there
    assert not is_there or list(folder.iterdir()) == []


@pytest.mark.slow
def test_one_search_at_a_time_holds_a_folder(run):
    with run.store.lease.held():
        (run.store.path / "run.lock").write_text("1")  # process 1 is always alive
        running = pytest.raises(RunFolderError, match=r"a search is running in it \(process 1\)")
        with running, run.reopened().lease.held():
            pass
    with run.reopened().lease.held():
        pass


@pytest.mark.slow
def test_students_of_a_pareto_search_tell_four_values(template, tmp_path):
    run = make_run(tmp_path, trials=6, objective={"mode": "pareto"})
    store = go_on(run, until=6)
    for trial, record in zip(store.trials.study.trials, store.trials.records(), strict=True):
        assert trial.values == [
            record.objective.task_error, record.cost.latency_s,
            record.cost.peak_ram_bytes, record.cost.flash_bytes,
        ]  # fmt: skip


def test_the_journal_is_json_that_other_tools_open(run):
    store = go_on(run, until=2)
    assert all(json.loads(line) for line in store.journal_path.read_text().splitlines())
