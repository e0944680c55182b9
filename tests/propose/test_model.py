from __future__ import annotations

import inspect
from random import Random

import numpy as np
import pytest
from scipy.stats import qmc

from hwkd.propose.acquisition import (
    Box,
    Estimates,
    expected_improvement,
    front_at,
    hypervolume_gain,
)
from hwkd.propose.candidates import Screened, ScreenedTrace
from hwkd.propose.encoding import Encoder
from hwkd.propose.kernel import LOG_MEAN, likeness, own_variance
from hwkd.propose.observations import Trained, bounded, drawn_in, interval_stretch
from hwkd.propose.problem import Observation
from hwkd.propose.surrogate import Surrogate, find_settings
from hwkd.propose.traces import run


def space(trial):
    name = trial.suggest_categorical("space", ("a", "b"))
    kind = trial.suggest_categorical(f"{name}.kind", ("x", "y", "z"))
    return name, kind, trial.suggest_int(f"{name}.width", 0, 16)


def candidates(count, seed=0):
    random = Random(seed)
    made = [run(space, {}, random) for _ in range(count)]
    return [
        ScreenedTrace(
            trace,
            Screened(
                key=trace.identity, is_feasible=True, exact=(None,),
                features=(float(trace.made[2]), random.random()),
            ),
        )
        for trace in made
    ]  # fmt: skip


def truth(candidate):
    name, kind, width = candidate.trace.made
    return 0.3 * (name == "a") + {"x": 0.0, "y": 0.5, "z": 1.0}[kind] - 0.05 * width


def test_distances_between_choices_are_what_a_person_would_count():
    def encoded(*choices):
        return rows(ScreenedTrace(run(space, dict(choices), Random(0)), one.screened))

    seen = candidates(200)
    one = seen[0]
    encoder = Encoder(seen, "space")

    def rows(candidate):
        return encoder.rows([candidate])

    def distance(first, second):
        return float(likeness(encoded(*first), encoded(*second), is_grouped=True).different[0, 0])

    base = (("space", "a"), ("a.kind", "x"), ("a.width", 0))
    assert distance(base, base) == 0
    assert distance(base, (*base[:1], ("a.kind", "y"), base[2])) == pytest.approx(1)
    assert distance(base, (*base[:2], ("a.width", 16))) == pytest.approx(1)
    assert distance(base, (*base[:2], ("a.width", 4))) == pytest.approx(0.25)


def test_the_kernel_is_positive_definite_over_several_spaces():
    rows = Encoder(candidates(60), "space").rows(candidates(60, seed=1))
    kernel = likeness(rows, rows, is_grouped=True).kernel(LOG_MEAN)
    assert np.linalg.eigvalsh(kernel).min() > -1e-9
    assert np.diag(kernel) == pytest.approx(own_variance(rows, LOG_MEAN, is_grouped=True))


def test_predictions_equal_the_textbook_formula():
    """Rasmussen and Williams 2006, equations 2.25 and 2.26, with one setting of the kernel."""
    seen = candidates(30)
    encoder = Encoder(seen, "space")
    rows, new = encoder.rows(seen), encoder.rows(candidates(7, seed=5))
    result = np.array([truth(c) for c in seen])
    found = Surrogate(rows, result[:, None], (LOG_MEAN,)).predict(new)
    z = (result - result.mean()) / result.std()
    noisy = likeness(rows, rows, is_grouped=True).kernel(LOG_MEAN) + (
        np.exp(LOG_MEAN[7]) + 1e-6
    ) * np.eye(30)
    cross = likeness(new, rows, is_grouped=True).kernel(LOG_MEAN)
    mean = cross @ np.linalg.solve(noisy, z)
    own = likeness(new, new, is_grouped=True).kernel(LOG_MEAN)
    variance = np.diag(own - cross @ np.linalg.solve(noisy, cross.T))
    assert found.mean == pytest.approx(result.mean() + result.std() * mean)
    assert found.deviation == pytest.approx(result.std() * np.sqrt(variance), rel=1e-4)


def test_the_surrogate_learns_and_its_intervals_hold():
    seen, new = candidates(60), candidates(200, seed=9)
    noise = np.random.default_rng(0).normal(size=260) * 0.05
    encoder = Encoder(seen, "space")
    rows = encoder.rows(seen)
    result = np.array([truth(c) for c in seen]) + noise[:60]
    measured = np.array([truth(c) for c in new]) + noise[60:]
    surrogate = Surrogate(rows, result[:, None], find_settings(rows, result, seed=0))
    found = surrogate.predict(encoder.rows(new))
    assert np.std(found.mean - measured) < 0.25 * np.std(measured)
    deviation = surrogate.measured_deviation(found.deviation)
    covered = np.mean(np.abs(found.mean - measured) <= 1.2816 * deviation)
    assert 0.7 <= covered <= 0.95


def test_the_same_seed_finds_the_same_settings():
    seen = candidates(20)
    rows = Encoder(seen, "space").rows(seen)
    result = np.array([truth(c) for c in seen])
    first, second = (find_settings(rows, result, seed=4) for _ in range(2))
    assert np.array_equal(first, second)


def test_expected_improvement_equals_its_simulation():
    draws = np.random.default_rng(0).normal(0.4, 0.3, size=400_000)
    simulated = np.maximum(0.0, 0.5 - draws).mean()
    found = expected_improvement(np.array(0.4), np.array(0.3), np.array(0.5))
    assert float(found) == pytest.approx(simulated, rel=0.01)


@pytest.mark.parametrize("axes", [2, 3, 5])
def test_the_points_of_a_box_are_scrambled_sobol_points(axes):
    box = Box.spanning(np.zeros(axes), np.ones(axes), worst=1.0)
    called = "rng" if "rng" in inspect.signature(qmc.Sobol).parameters else "seed"  # SciPy < 1.15
    drawn = qmc.Sobol(axes, scramble=True, **{called: np.random.default_rng(0)})
    expected = drawn.random(256)
    np.testing.assert_array_equal(box.points, expected)


def test_a_sure_gain_is_the_volume_that_a_point_adds():
    box = Box.spanning(np.array([0.0]), np.array([1.0]), worst=1.0)
    front, who = front_at(box, np.array([[0.6, 0.5]]))
    assert set(who.tolist()) == {-1, 0}
    sure = Estimates(np.array([[0.2, 0.25]]), np.zeros((1, 2)))
    # Left of 0.5 nothing was there: 0.25 wide, 0.8 high; right of it 0.4 above the known point.
    assert hypervolume_gain(box, front, sure)[0] == pytest.approx(0.25 * 0.8 + 0.5 * 0.4, abs=0.01)


def test_expected_volume_equals_its_simulation_when_a_cost_is_uncertain_too():
    box = Box.spanning(np.array([0.0, 0.0]), np.array([1.0, 1.0]), worst=1.0)
    known = np.array([[0.5, 0.4, 0.6], [0.3, 0.8, 0.7]])
    front, _ = front_at(box, known)
    mean, deviation = np.array([[0.4, 0.3, 0.5]]), np.array([[0.1, 0.2, 0.0]])
    draws = mean + deviation * np.random.default_rng(0).normal(size=(4000, 3))
    simulated = np.mean(
        [(front - front_at(box, np.r_[known, draw[None]])[0]).mean() for draw in draws]
    )
    found = hypervolume_gain(box, front, Estimates(mean, deviation))[0]
    assert found == pytest.approx(simulated, rel=0.05)


def test_a_bounded_part_holds_the_front_the_best_and_the_newest():
    values = np.random.default_rng(0).random((5000, 2))
    trained = Trained([Observation(number=i, params={}) for i in range(5000)], values)
    part = bounded(trained, [7, 11], most=100)
    assert len(part) <= 100
    assert part == sorted(set(part))
    assert {7, 11, 4999, int(values[:, 0].argmin())} <= set(part)


def test_intervals_shrink_while_they_hold_and_settle_where_four_of_five_do():
    def after(holds):
        return interval_stretch(
            [Observation(number=i, params={}, held=held) for i, held in enumerate(holds)]
        )

    assert after([]) == after([None, None]) == 1.0
    assert after([True] * 5) == pytest.approx(np.exp(-0.3))
    assert after([True, True, False, True, True]) == pytest.approx(1.0)
    assert (after([True] * 500), after([False] * 500)) == pytest.approx((0.25, 4.0))
    # Measurements of deviation 1, intervals that believe in 3: in the long run four of five hold.
    random = np.random.default_rng(0)
    seen: list[bool] = []
    for _ in range(600):
        seen.append(bool(abs(random.normal()) <= 1.2816 * 3.0 * after(seen)))
    assert np.mean(seen[100:]) == pytest.approx(0.8, abs=0.04)


def test_hopeless_results_are_drawn_in():
    found = drawn_in(np.array([1.0, 2.0, 3.0, 1e9]), None)
    assert found[:3].tolist() == [1.0, 2.0, 3.0]
    assert found[3] < 10
    assert drawn_in(np.array([0.2, 0.9]), 0.5).tolist() == [0.2, 0.5]
