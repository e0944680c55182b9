from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import load_file
from support.tiny_search import make_run

from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import InterruptedTrial, RunFolderError
from hwkd.core.limits import Limits
from hwkd.core.trial import FidelityRecord
from hwkd.engine.run.artifacts import FolderArtifacts
from hwkd.engine.run.proposal import Proposal
from hwkd.engine.search import trial_run
from hwkd.engine.search.trial_run import TrialRunner


def never(*arguments, **options):
    raise AssertionError("must not be called")


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> TrialRunner:
    return make_run(tmp_path_factory.mktemp("trial")).runner()


@pytest.fixture(scope="module")
def host_runner(tmp_path_factory) -> TrialRunner:
    return make_run(tmp_path_factory.mktemp("host"), device="host").runner()


def spec_of(runner, space="narrow_deep", seed=0):
    return runner.context.screen.spaces[space].suggest(
        RandomChooser(seed), input_shape=(1, 8, 8), num_outputs=3
    )


def run(runner, spec, *, number=0, earlier=None):
    proposal = Proposal(spec=spec, fidelity=runner.context.fidelity)
    return runner.run(proposal, lambda key: earlier, number=number)


def limited(runner, limits):
    screen = replace(runner.context.screen, limits=limits)
    return replace(runner, context=replace(runner.context, given=screen))


@pytest.mark.slow
def test_a_student_that_fits_is_trained_exported_scored_and_measured(runner):
    record = run(runner, spec_of(runner), number=5)
    assert (record.state, record.reason, record.number) == ("completed", None, 5)
    assert record.cost.macs == record.macs_fvcore
    accuracy = record.scores.validation_int8["accuracy"]
    assert record.objective.task_error == pytest.approx(1 - accuracy)
    assert 0.0 <= record.scores.validation_float["balanced accuracy"] <= 1.0
    assert record.profile.median_s > 0
    assert set(record.epochs[0].losses) == {"cross_entropy", "kd"}
    assert load_file(runner.artifacts.get(record.weights))
    assert record.latency_s == record.cost.latency_s


@pytest.mark.slow
def test_the_same_student_gets_the_same_scores_in_any_turn(runner):
    first, second = (run(runner, spec_of(runner, seed=1), number=n) for n in (1, 2))
    assert first.objective == second.objective
    assert first.epochs == second.epochs


def test_a_student_over_a_limit_is_rejected_with_the_reason_and_not_trained(runner, monkeypatch):
    monkeypatch.setattr(trial_run, "train_student", never)
    record = run(limited(runner, Limits(weight_bytes=100, ram_bytes=200)), spec_of(runner))
    assert record.state == "rejected"
    assert [v.limit_name for v in record.violations] == sorted(
        (v.limit_name for v in record.violations),
        key=lambda name: -{v.limit_name: v.excess_ratio for v in record.violations}[name],
    )
    worst = record.violations[0]
    assert record.reason.startswith(
        f"{worst.limit_name} {100 * worst.excess_ratio:.1f}% over its limit"
    )
    assert (record.scores, record.objective, record.epochs) == (None, None, ())
    assert record.cost is not None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("out of luck\nmore"), "RuntimeError: out of luck"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_crash_while_training_is_a_failed_record(runner, monkeypatch, error, reason):
    def crash(*arguments, **options):
        raise error

    monkeypatch.setattr(trial_run, "train_student", crash)
    record = run(runner, spec_of(runner))
    assert (record.state, record.reason) == ("failed", reason)
    assert record.spec is not None


def test_a_space_that_crashes_is_a_failed_record(runner):
    failed = Proposal(spec=None, fidelity=runner.context.fidelity, failure="KeyError: 'width'")
    record = runner.run(failed, never, number=3)
    assert (record.state, record.reason, record.spec) == ("failed", "KeyError: 'width'", None)


@pytest.mark.slow
def test_outputs_that_are_not_finite_are_a_failed_record(runner, monkeypatch):
    monkeypatch.setattr(
        trial_run, "student_logits", lambda path, inputs: np.full((len(inputs), 3), np.nan)
    )
    record = run(runner, spec_of(runner), number=9)
    assert (record.state, record.objective) == ("failed", None)
    assert "not finite" in record.reason
    assert record.weights is None


def test_training_that_diverges_or_runs_out_of_time_is_a_failed_record(runner):
    def with_training(**changes):
        config = runner.context.config
        training = config.training.model_copy(update=changes)
        changed = config.model_copy(update={"training": training})
        return replace(runner, context=replace(runner.context, config=changed))

    late = run(with_training(trial_timeout_s=1e-9), spec_of(runner))
    assert (late.state, late.reason.split(":")[0]) == ("failed", "TrainingTimeoutError")
    wild = run(with_training(learning_rate=1e30), spec_of(runner))
    assert wild.state == "failed"


def test_a_duplicate_points_to_the_first_and_is_not_trained(runner, monkeypatch):
    first = run(runner, spec_of(runner, seed=1), number=1)
    monkeypatch.setattr(trial_run, "train_student", never)
    again = run(runner, spec_of(runner, seed=1), number=7, earlier=first)
    assert (again.state, again.number) == ("duplicate", 7)
    assert again.reason == "same student as trial 1 (completed)"
    assert (again.objective, again.scores) == (first.objective, first.scores)


def test_an_interruption_is_not_a_failed_trial(runner):
    def stop():
        raise InterruptedTrial

    with pytest.raises(InterruptedTrial):
        run(replace(runner, check=stop), spec_of(runner))


@pytest.mark.slow
def test_a_folder_that_cannot_hold_the_weights_is_one_line_and_no_failed_trial(runner, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot write it: .*; free some space"):
        run(replace(runner, artifacts=FolderArtifacts(tmp_path / "file")), spec_of(runner))


@pytest.mark.slow
def test_on_the_host_latency_is_measured_and_never_estimated(host_runner):
    record = run(host_runner, spec_of(host_runner))
    assert record.state == "completed"
    assert record.cost.latency_s is None
    assert record.latency_s == record.profile.median_s
    target = host_runner.context.config.objective.target_latency_s
    overrun = max(0.0, record.profile.median_s / target - 1)
    assert record.objective.latency_overrun == pytest.approx(overrun)


def test_a_student_too_slow_for_the_host_is_rejected_after_measuring(host_runner, monkeypatch):
    monkeypatch.setattr(trial_run, "train_student", never)
    record = run(limited(host_runner, Limits(latency_s=1e-9)), spec_of(host_runner))
    assert record.state == "rejected"
    assert record.reason.startswith("measured latency ")
    (found,) = record.violations
    assert (found.limit_name, found.limit) == ("latency", 1e-9)
    assert found.needed == record.profile.p90_s
    assert record.objective is None


@pytest.mark.slow
def test_a_student_fast_enough_for_the_host_is_trained(host_runner):
    assert run(limited(host_runner, Limits(latency_s=60.0)), spec_of(host_runner)).state == (
        "completed"
    )


@pytest.mark.slow
def test_a_candidate_may_begin_with_the_weights_of_another(runner):
    spec = spec_of(runner, seed=3)
    first = run(runner, spec, number=1)
    fidelity = runner.context.fidelity
    proposal = Proposal(spec=spec, fidelity=fidelity, start_from=first.weights)
    again = runner.run(proposal, lambda key: None, number=2)
    assert (again.state, again.start_from, again.fidelity) == ("completed", first.weights, fidelity)
    assert again.epochs[0].losses["kd"] < first.epochs[0].losses["kd"]


def test_weights_of_another_network_fail_the_candidate(runner):
    weights = run(runner, spec_of(runner, seed=3), number=1).weights
    other = spec_of(runner, space="depthwise")
    proposal = Proposal(spec=other, fidelity=runner.context.fidelity, start_from=weights)
    record = runner.run(proposal, lambda key: None, number=2)
    assert record.state == "failed"
    assert "WeightsError" in record.reason


@pytest.mark.slow
def test_a_longer_fidelity_trains_longer(runner):
    fidelity = FidelityRecord(epochs=3)
    proposal = Proposal(spec=spec_of(runner), fidelity=fidelity)
    assert len(runner.run(proposal, lambda key: None, number=0).epochs) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "terms"),
    [("sad", {"labels student", "attention 1"}), ("dml", {"cross_entropy"})],
)
def test_candidates_learn_by_a_scheme_that_costs_hardly_more(tmp_path, scheme, terms):
    # A network without a second stage cannot learn by what that stage shows.
    runner = make_run(
        tmp_path, distill=[{"method": "none"}], scheme={"scheme": scheme, **_from_the_start(scheme)}
    ).runner()
    record = run(runner, spec_of(runner))
    assert record.state == "completed", record.reason
    assert set(record.epochs[0].losses) == terms
    assert (record.methods != ()) == (scheme == "sad")
    again = Proposal(
        spec=spec_of(runner), fidelity=runner.context.fidelity, start_from=record.weights
    )
    further = runner.run(again, lambda key: None, number=1)
    assert further.epochs[-1].losses != record.epochs[-1].losses


def _from_the_start(scheme: str) -> dict[str, float]:
    return {"start": 0.0} if scheme == "sad" else {}
