import math

import pytest

from hwkd.train.config import TrainConfig
from hwkd.train.schedule import Position, learning_rate


def course(*, clock, steps=100, budget_s=None, closing_steps=0):
    return Position(
        total_steps=steps,
        time_budget_s=budget_s,
        closing_steps=closing_steps,
        clock=clock,
        started_s=clock(),
    )


class Clock:
    """A clock that somebody else moves."""

    def __init__(self):
        self.now_s = 50.0

    def __call__(self):
        return self.now_s


def test_one_cycle_rises_and_falls_on_straight_lines():
    config = TrainConfig(epochs=1, learning_rate=0.4, schedule="one-cycle", warmup_ratio=0.2)
    rates = [learning_rate(i / 100, 0.01, config) for i in range(100)]
    expected = [0.4 * (i + 1) / 20 for i in range(20)] + [
        0.4 * (100 - i) / 80 for i in range(20, 100)
    ]
    assert rates == pytest.approx(expected)
    assert learning_rate(1.0, 0.01, config) == 0.0


def test_the_cosine_falls_by_half_in_the_middle_of_its_descent():
    config = TrainConfig(epochs=1, learning_rate=0.4, schedule="cosine", warmup_ratio=0.2)
    assert learning_rate(0.6, 0.01, config) == pytest.approx(0.2)
    assert learning_rate(0.4, 0.01, config) == pytest.approx(0.2 * (1 + math.cos(math.pi / 4)))
    assert learning_rate(1.0, 0.01, config) == pytest.approx(0.0)


def test_without_a_budget_only_steps_count():
    clock = Clock()
    going = course(clock=clock, steps=4)
    seen = []
    for _ in range(4):
        assert going.goes_on()
        seen.append(going.done_ratio)
        clock.now_s += 1e6
        going.steps += 1
    assert seen == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("step_s", [0.1, 0.9, 3.0])
@pytest.mark.parametrize("closing_steps", [0, 2])
def test_a_budget_ends_at_rate_zero_and_in_time(step_s, closing_steps):
    clock = Clock()
    going = course(clock=clock, steps=10_000, budget_s=30.0, closing_steps=closing_steps)
    config = TrainConfig(epochs=1, learning_rate=1.0, schedule="one-cycle")
    while going.goes_on():
        rate = learning_rate(going.done_ratio, going.step_ratio, config)
        clock.now_s += step_s
        going.steps += 1
    assert going.elapsed_s() + closing_steps * step_s <= 30.0 + 1e-9
    assert going.elapsed_s() + (closing_steps + 2) * step_s > 30.0  # and the time is used
    assert rate <= 1.2 * 2 * step_s / (30.0 - closing_steps * step_s)


def test_the_later_of_steps_and_time_counts():
    clock = Clock()
    going = course(clock=clock, steps=10, budget_s=100.0)
    for elapsed_s, steps, done in ((10.0, 5, 0.5), (80.0, 6, 0.8)):
        clock.now_s, going.steps = 50.0 + elapsed_s, steps
        assert going.goes_on()
        assert going.done_ratio == pytest.approx(done)


def test_even_a_budget_of_nothing_makes_one_step():
    clock = Clock()
    going = course(clock=clock, budget_s=0.0)
    assert going.goes_on()
    going.steps += 1
    clock.now_s += 1.0
    assert not going.goes_on()
