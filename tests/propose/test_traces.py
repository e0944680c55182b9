from __future__ import annotations

from random import Random

import pytest

from hwkd.propose import domains
from hwkd.propose.traces import cross, enumerate_traces, mutate, run


def conditional(trial):
    """Two families; the second has as many widths as it has layers."""
    if trial.suggest_categorical("family", ("a", "b")) == "a":
        return ("a", trial.suggest_int("size", 1, 3))
    layers = trial.suggest_int("layers", 1, 2)
    return ("b", *(trial.suggest_categorical(f"width{i}", (8, 16)) for i in range(layers)))


def test_a_replayed_trace_is_the_same_trace():
    first = run(conditional, {}, Random(1))
    again = run(conditional, first.params, Random(2))
    assert (again.params, again.made) == (first.params, first.made)


def test_a_given_number_outside_its_range_becomes_the_nearest_legal_one():
    trace = run(lambda t: t.suggest_int("n", 4, 16, step=4), {"n": 99}, Random(0))
    assert trace.made == 16
    trace = run(lambda t: t.suggest_int("n", 4, 16, step=4), {"n": 11}, Random(0))
    assert trace.made == 12


def test_mutations_are_legal_runs_of_the_space_and_reach_every_candidate():
    everything = {t.made for t in enumerate_traces(conditional, most=100)}
    random, trace, reached = Random(0), run(conditional, {}, Random(0)), set()
    for _ in range(300):
        trace = mutate(conditional, trace, random)
        reached.add(trace.made)
    assert reached == everything


def test_a_mutation_of_one_choice_replays_the_others():
    def space(trial):
        return [trial.suggest_categorical(f"c{i}", tuple(range(50))) for i in range(20)]

    parent = run(space, {}, Random(0))
    child = mutate(space, parent, Random(0))
    assert 1 <= sum(a != b for a, b in zip(parent.made, child.made, strict=True)) <= 2


def test_a_crossing_takes_every_choice_from_one_of_its_parents():
    def space(trial):
        return [trial.suggest_int(f"c{i}", 0, 10**6) for i in range(30)]

    first, second = run(space, {}, Random(1)), run(space, {}, Random(2))
    child = cross(space, first, second, Random(3))
    pairs = list(zip(child.made, first.made, second.made, strict=True))
    assert all(c in (a, b) for c, a, b in pairs)
    assert 5 < sum(c == a for c, a, _ in pairs) < 25


def test_every_candidate_of_a_finite_space_is_listed_once():
    listed = [t.made for t in enumerate_traces(conditional, most=100)]
    assert len(listed) == len(set(listed)) == 3 + 2 + 4


@pytest.mark.parametrize(
    ("space", "most"),
    [(conditional, 5), (lambda t: t.suggest_float("x", 0.0, 1.0), 100)],
)
def test_an_incomplete_list_says_so(space, most):
    listed = list(enumerate_traces(space, most=most))
    assert listed[-1] is None
    assert len(listed) <= most + 1


@pytest.mark.parametrize(
    "domain",
    [
        domains.integer(1, 9, 2, False),
        domains.integer(1, 100, 1, True),
        domains.real(0.5, 2.5, 0.5, False),
        domains.real(1e-4, 1.0, None, True),
        domains.categorical(("a", 1, True, None)),
    ],
    ids=str,
)
def test_draws_and_changes_are_legal_and_differ(domain):
    random = Random(0)
    value = domains.draw(domain, random)
    for _ in range(200):
        other = domains.another(domain, value, random)
        assert domain._contains(domain.to_internal_repr(other))
        assert other != value or type(other) is not type(value)
        assert domains.nearest(domain, other) == pytest.approx(other)
        value = other


def test_one_and_true_are_different_choices():
    assert domains.categorical((1, 0)).choices == (1, 0)
    assert [type(c) for c in domains.categorical((True, False)).choices] == [bool, bool]
