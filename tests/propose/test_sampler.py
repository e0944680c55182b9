from __future__ import annotations

import math
import pickle
from itertools import pairwise

import optuna
import pytest

from hwkd.propose.candidates import Screened
from hwkd.propose.sampler import SurrogateSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)


def branin(trial):
    """Branin's function; its least value is 0.397887 (Dixon and Szego 1978)."""
    x, y = trial.suggest_float("x", -5.0, 10.0), trial.suggest_float("y", 0.0, 15.0)
    a, b, c, t = 1.0, 5.1 / 39.4784176, 5.0 / 3.14159265, 1 / 25.1327412
    return a * (y - b * x * x + c * x - 6.0) ** 2 + 10.0 * (1.0 - t) * math.cos(x) + 10.0


def choices(trial):
    """2 x 5 x 5 candidates of two families, some over the limit."""
    space = trial.suggest_categorical("space", ("a", "b"))
    return space, *(trial.suggest_int(f"{space}.{name}", 0, 4) for name in "uv")


def error(made):
    space, u, v = made
    return (u - 3) ** 2 + (v - 1) ** 2 + 0.5 * (space == "a")


def screen(made):
    return Screened(
        key=made, is_feasible=made[1] + made[2] <= 6, exact=(None,),
        features=(float(made[1]), float(made[2])),
    )  # fmt: skip


def made_sampler(**changes):
    given = {"suggest": choices, "screen": screen, "group": "space", "seed": 3, **changes}
    return SurrogateSampler(**given)


def run(sampler, trials, study=None):
    study = study or optuna.create_study(sampler=sampler)
    study.sampler = sampler
    study.optimize(lambda trial: error(choices(trial)), n_trials=trials)
    return study


def chosen(study):
    return [tuple(trial.params.items()) for trial in study.trials]


def test_a_plain_study_with_one_objective_needs_nothing_but_the_sampler():
    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(branin, n_trials=35)
    assert study.best_value < 0.6  # a random search of this length: 1.4 in the median


def test_a_maximised_objective_is_maximised():
    study = optuna.create_study(direction="maximize", sampler=SurrogateSampler(seed=0))
    study.optimize(lambda trial: -branin(trial), n_trials=35)
    assert study.best_value > -0.6


@pytest.mark.slow
def test_several_objectives_that_must_be_measured_spread_over_their_front():
    def schaffer(trial):
        x = trial.suggest_float("x", -10.0, 10.0)
        return x * x, (x - 2.0) ** 2

    study = optuna.create_study(directions=["minimize"] * 2, sampler=SurrogateSampler(seed=0))
    study.optimize(schaffer, n_trials=35)
    front = sorted(t.params["x"] for t in study.best_trials if -0.05 <= t.params["x"] <= 2.05)
    assert len(front) >= 8
    assert max(b - a for a, b in pairwise([0.0, *front, 2.0])) < 1.0


@pytest.mark.skipif(
    not hasattr(optuna.Trial, "set_constraint"),
    reason="Optuna before 5 has no trial.set_constraint",
)
def test_measured_constraints_are_learned():
    def objective(trial):
        x = trial.suggest_float("x", 0.0, 1.0)
        trial.set_constraint("room", 0.6 - x)
        return x

    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(objective, n_trials=30)
    feasible = [t.values[0] for t in study.trials if t.params["x"] >= 0.6]
    assert min(feasible) < 0.63
    assert len([t for t in study.trials[15:] if t.params["x"] >= 0.55]) >= 10


def test_conditional_choices_of_an_undescribed_study_are_inferred():
    study = optuna.create_study(sampler=SurrogateSampler(seed=0))
    study.optimize(lambda trial: error(choices(trial)), n_trials=35)
    assert study.best_value == 0.0
    names = {frozenset(trial.params) for trial in study.trials}
    assert names == {frozenset({"space", f"{s}.u", f"{s}.v"}) for s in "ab"}


def test_a_described_space_is_searched_from_the_first_trial_on():
    study = run(made_sampler(), 18)
    assert study.best_value == 0.0
    assert {trial.params["space"] for trial in study.trials[:4]} == {"a", "b"}


def test_nothing_is_tried_twice_and_nothing_over_a_limit_is_asked_for():
    study = run(made_sampler(), 30)
    made = [(t.params["space"], *list(t.params.values())[1:]) for t in study.trials]
    assert len(set(made)) == len(made)
    assert all(u + v <= 6 for _, u, v in made)


def test_a_finite_space_ends_when_every_candidate_that_fits_was_tried():
    sampler = made_sampler()
    study = run(sampler, 80)
    fits = sum(u + v <= 6 for u in range(5) for v in range(5)) * 2
    assert fits <= len(study.trials) <= fits + 1  # the trial that found nothing is drawn at random
    assert len({tuple(t.params.items()) for t in study.trials}) >= fits
    assert sampler.look_ahead(study) is None


def test_nothing_that_fits_is_none_and_not_a_loop():
    sampler = made_sampler(screen=lambda made: Screened(key=made, is_feasible=False, exact=(None,),
                                                        features=()))  # fmt: skip
    assert sampler.look_ahead(optuna.create_study(sampler=sampler)) is None


@pytest.mark.parametrize("at", [1, 5, 9, 13])
def test_a_new_process_goes_on_as_the_old_one_would_have(at):
    whole = chosen(run(made_sampler(), 16))
    study = run(made_sampler(), at)
    assert chosen(run(made_sampler(), 16 - at, study)) == whole


def test_candidates_that_are_being_tried_are_not_asked_for_again():
    sampler = made_sampler()
    study = run(sampler, 8)
    pending = []
    for _ in range(4):
        trial = study.ask()
        pending.append(choices(trial))
    assert len(set(pending)) == 4


def test_references_come_first_in_their_order():
    first = [{"space": "b", "b.u": 4, "b.v": 0}, {"space": "a", "a.u": 0, "a.v": 0}]
    over_the_limit = {"space": "a", "a.u": 4, "a.v": 4}
    study = run(made_sampler(references=(over_the_limit, *first)), 3)
    assert [trial.params for trial in study.trials[:2]] == first


def test_a_proposal_says_why():
    sampler = made_sampler()
    study = run(sampler, 10)
    trial = study.ask()
    choices(trial)
    why = sampler.proposal_of(trial.number)
    assert why.origin in {"survey", "random", "mutation", "crossover"}
    assert (why.parent is not None) == (why.origin in {"mutation", "crossover"})
    (mean, deviation), *_ = why.predicted
    assert deviation > 0
    assert abs(mean - error(why.trace.made)) < 6
    assert why.gain > 0


def test_time_counts_a_slow_candidate_is_left_for_later():
    """Two families that are alike but for the time they take."""

    def slow(made):
        return Screened(
            key=made, is_feasible=True, exact=(None,), seconds=100.0 if made[0] == "a" else 1.0,
            features=(float(made[1]), float(made[2])),
        )  # fmt: skip

    study = run(made_sampler(screen=slow), 20)
    later = [trial.params["space"] for trial in study.trials[6:]]
    assert later.count("b") > later.count("a")


def test_the_known_part_of_an_objective_is_not_modelled():
    """A penalty that arithmetic knows; what is measured is the same everywhere."""

    def penalised(made):
        return Screened(
            key=made, is_feasible=True, exact=(None,), features=(float(made[1]),),
            offset=10.0 * (made[1] != 2 or made[2] != 2),
        )  # fmt: skip

    sampler = made_sampler(screen=penalised)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda t: 1.0 + penalised(choices(t)).offset, n_trials=10)
    assert study.best_value == 1.0


def test_a_sampler_can_be_copied_to_another_process():
    sampler = made_sampler()
    run(sampler, 2)
    assert pickle.loads(pickle.dumps(SurrogateSampler(seed=1)))._seed == 1


def test_screening_needs_the_space():
    with pytest.raises(ValueError, match="screen needs suggest"):
        SurrogateSampler(screen=screen)
