from __future__ import annotations

import shutil
import sys
from dataclasses import replace

import pytest
from support.tiny_search import TinyRun, make_run

from hwkd.core.errors import UnknownNameError
from hwkd.core.student import Layer, Layers, StudentSpec
from hwkd.core.trial import ObjectiveRecord, TrialRecord
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search import proposers
from hwkd.engine.search.candidate_features import graph_features
from hwkd.engine.search.loop import run_trials
from hwkd.engine.search.proposer import PROPOSERS
from hwkd.engine.search.proposers.surrogate import SurrogateProposer
from hwkd.io.discovery import discover

discover("hwkd.engine.search.proposers")


class Outcomes:
    """Gives each candidate the state that a function of its number says."""

    def __init__(self, run: TinyRun, state) -> None:
        self.context = run.runner().context
        self._state = state

    end_s = None

    def run(self, proposal, find_earlier, *, number, has_teacher):
        spec = proposal.spec
        candidate = self.context.screen.candidate(spec)
        find_earlier(candidate.layers.key)
        return TrialRecord(
            number=number, state=self._state(number), spec=spec, seed=0,
            proposal=proposal.why,
            cost=replace(candidate.cost, per_op=()),
            started_at="t", duration_s=0.0,
        )  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> TinyRun:
    return make_run(tmp_path_factory.mktemp("sampling"), trials=6)


@pytest.fixture
def run(template, tmp_path) -> TinyRun:
    shutil.copytree(template.store.path, tmp_path / "run")
    return TinyRun(store=RunFolder(tmp_path / "run"), prepared=template.prepared)


def with_config(run: TinyRun, **changes) -> TinyRun:
    config = run.prepared.config.model_copy(update=changes)
    run.store.config_path.write_text(config.to_toml(), encoding="utf-8")
    return run


def searched(run: TinyRun, state) -> list[TrialRecord]:
    store = run.reopened()
    run_trials(
        store.trials,
        store.lease,
        Outcomes(run, state),
        keep_asking=lambda: True,
        on_start=lambda trial, number: None,
    )
    return list(store.trials.records())


@pytest.mark.slow
def test_trials_counts_trainings_and_not_what_was_rejected_or_repeated(run):
    states = ("rejected", "duplicate", "completed", "failed")
    records = searched(run, lambda number: states[number % 4])
    trained = [record for record in records if record.state in ("completed", "failed")]
    assert len(trained) == 6
    assert [record.number for record in records] == list(range(12))
    assert run.reopened().trials.trainings_started() == 6


@pytest.mark.slow
def test_a_search_in_which_everything_is_rejected_ends(run):
    assert run.prepared.config.most_candidates == 25 * 6
    assert len(searched(with_config(run, candidates=12), lambda number: "rejected")) == 12


@pytest.mark.slow
def test_candidates_alone_bound_a_search(run):
    states = ("rejected", "failed")
    few = with_config(run, trials=None, candidates=7)
    assert len(searched(few, lambda number: states[number % 2])) == 7


@pytest.mark.parametrize("sampler", PROPOSERS.names())
def test_every_sampler_runs_a_search(run, sampler):
    records = searched(with_config(run, sampler=sampler, trials=3), lambda number: "failed")
    assert [record.number for record in records] == [0, 1, 2]
    assert {record.proposal is not None for record in records} == {sampler == "surrogate"}


@pytest.mark.slow
def test_what_our_sampler_proposes_fits_and_is_new(run):
    limits = run.prepared.config.limits.model_copy(update={"latency_s": 0.0008})
    records = searched(with_config(run, limits=limits, trials=20), lambda number: "failed")
    assert len({record.spec.key for record in records}) == len(records)
    context = run.runner().context
    assert not any(context.screen.candidate(r.spec).violations for r in records)


class TwoStudents:
    """A user's space with two students, of which one is far too slow."""

    name = "narrow_deep"
    summary = "two"

    def suggest(self, chooser, *, input_shape, num_outputs):
        width = chooser.categorical("width", (4, 8))
        return StudentSpec(
            space=self.name, params={"width": width}, input_shape=input_shape,
            num_outputs=num_outputs,
        )  # fmt: skip

    def layers(self, spec):
        width = int(spec.params["width"])
        layers = (
            Layer(name="pool", kind="global_avg_pool", inputs=("input",), shape=(1, 1, 1)),
            Layer(name="flat", kind="reshape", inputs=("pool",), shape=(1,)),
            Layer(name="wide", kind="linear", inputs=("flat",), shape=(width,)),
            Layer(name="out", kind="linear", inputs=("wide",), shape=(spec.num_outputs,)),
        )
        return Layers(input_shape=spec.input_shape, layers=layers)


def test_a_search_ends_when_every_student_that_fits_was_tried(run):
    store, outcomes = run.reopened(), Outcomes(run, lambda number: "failed")
    object.__setattr__(outcomes.context.screen, "spaces", {"narrow_deep": TwoStudents()})
    run_trials(
        store.trials,
        store.lease,
        outcomes,
        keep_asking=lambda: True,
        on_start=lambda trial, number: None,
    )
    assert sorted(record.spec.params["width"] for record in store.trials.records()) == [4, 8]


def test_features_follow_the_graph(run):
    screen = run.runner().context.screen
    small, large = (
        screen.candidate(
            StudentSpec(space=name, params=params, input_shape=(1, 8, 8), num_outputs=3)
        ).graph
        for name, params in (
            ("narrow_deep", _some_params(screen, "narrow_deep", seed=0)),
            ("depthwise", _some_params(screen, "depthwise", seed=1)),
        )
    )
    assert len(graph_features(small)) == len(graph_features(large))
    by_macs = sorted((small, large), key=lambda graph: graph.macs)
    assert graph_features(by_macs[0])[0] <= graph_features(by_macs[1])[0]


def _some_params(screen, space, *, seed):
    from hwkd.core.chooser import RandomChooser

    chooser = RandomChooser(seed)
    return screen.spaces[space].suggest(chooser, input_shape=(1, 8, 8), num_outputs=3).params


MINE = """
from hwkd.core.chooser import RandomChooser
from hwkd.engine.run.proposal import Proposal
from hwkd.engine.search.proposer import PROPOSERS
from hwkd.engine.search.proposers.surrogate import SurrogateProposer


class OneSpace:
    def __init__(self, context):
        self.context = context

    def propose(self, history, n):
        data, space = self.context.data, self.context.screen.spaces["depthwise"]
        return [
            Proposal(
                spec=space.suggest(
                    RandomChooser(history.candidates + index),
                    input_shape=data.input_shape, num_outputs=data.num_outputs,
                ),
                fidelity=self.context.fidelity,
            )
            for index in range(n)
        ]


PROPOSERS.register("one_space")(OneSpace)
"""


def test_a_file_in_the_folder_of_proposers_is_a_proposer(run, tmp_path, monkeypatch):
    (tmp_path / "one_space.py").write_text(MINE)
    monkeypatch.setattr(proposers, "__path__", [*proposers.__path__, str(tmp_path)])
    discover.cache_clear()
    try:
        records = searched(with_config(run, sampler="one_space", trials=3), lambda n: "failed")
    finally:
        PROPOSERS.take("one_space")
        monkeypatch.delitem(sys.modules, "hwkd.engine.search.proposers.one_space")
    assert [record.spec.space for record in records] == ["depthwise"] * 3
    assert len({record.spec.key for record in records}) == 3


def test_a_sampler_that_is_not_there_is_one_line_with_the_nearest(run):
    with pytest.raises(UnknownNameError, match=r"tpf.*tpe"):
        searched(with_config(run, sampler="tpf"), lambda number: "failed")


class Beats(Outcomes):
    """From its third candidate on, students are as good as the teacher."""

    def run(self, proposal, find_earlier, *, number, has_teacher):
        record = super().run(proposal, find_earlier, number=number, has_teacher=has_teacher)
        assert self.context.teacher_error is not None
        error = self.context.teacher_error + (0.1 if number < 2 else 0.0)
        terms = ObjectiveRecord(task_error=error, divergence=1.0, latency_overrun=0.0, value=9.0)
        return record.model_copy(update={"objective": terms})


@pytest.mark.slow
def test_what_is_minimised_follows_a_teacher_that_was_left_out(run, monkeypatch):
    heard = []

    class Hears(SurrogateProposer):
        def propose(self, history, n):
            heard.append([history.goal.beta, *(history.values(e.record) for e in history.finished)])
            return super().propose(history, n)

    monkeypatch.setitem(PROPOSERS._items, "surrogate", Hears)
    store, runner = run.reopened(), Beats(run, lambda number: "completed")
    run_trials(
        store.trials, store.lease, runner,
        keep_asking=lambda: store.trials.candidates_started() < 4,
        on_start=lambda trial, number: None,
    )  # fmt: skip
    beta, error = run.prepared.config.objective.beta, runner.context.teacher_error
    assert error is not None
    assert [goal for goal, *_ in heard] == [beta, beta, beta, 0.0]
    assert heard[2][1:] == [pytest.approx((error + 0.1 + beta,))] * 2
    assert heard[3][1:] == [*[pytest.approx((error + 0.1,))] * 2, pytest.approx((error,))]
