"""A time limit is divided so that what must follow has its time: closed forms, fake clocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from hwkd.core.errors import ConfigError
from hwkd.engine.setup.time_plan import TimeLimit


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def limit_of(seconds: float | None, *, spent: float = 5.0) -> tuple[TimeLimit, Clock]:
    clock = Clock()
    limit = TimeLimit(seconds, clock.now, clock=clock)
    clock.now += spent
    limit.start_up_s = limit.child_s = spent
    return limit, clock


@pytest.mark.parametrize("trains_teacher", [False, True])
@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("verifies", [False, True])
@pytest.mark.parametrize("seconds", [40.0, 300.0, 1200.0])
def test_shares_add_up_to_what_is_left(seconds, verifies, final, trains_teacher):
    limit, _ = limit_of(seconds)
    shares = limit.plan(trains_teacher=trains_teacher, final=final, verifies=verifies)
    assert sum(shares.values()) == pytest.approx(limit.left_s())
    assert all(share > 0 for share in shares.values())
    assert ("teacher" in shares, "final training" in shares) == (trains_teacher, final)
    assert ("verification" in shares) == verifies


def test_a_slow_report_never_takes_more_than_half_of_what_is_left():
    limit, _ = limit_of(60.0)
    limit.report_s = 500.0
    shares = limit.plan(trains_teacher=False, final=True, verifies=False)
    assert shares["search"] + shares["final training"] == pytest.approx(0.5 * 55.0)


def test_a_later_plan_divides_what_an_earlier_stage_left():
    limit, clock = limit_of(300.0)
    first = limit.plan(trains_teacher=True, final=True, verifies=False)
    clock.now += 1.0  # the teacher came from the cache
    second = limit.plan(trains_teacher=False, final=True, verifies=False)
    assert second["search"] > first["search"]
    assert second["final training"] > first["final training"]


def test_without_a_limit_there_is_no_plan():
    limit, _ = limit_of(None)
    assert limit.left_s() == math.inf
    assert limit.plan(trains_teacher=True, final=True, verifies=True) == {}
    limit.require_enough(verifies=True)


def test_a_limit_too_short_names_the_least_that_works():
    limit, _ = limit_of(8.0)
    with pytest.raises(ConfigError, match=r"--timeout 8s: .* took 5\.0 s, .* at least") as caught:
        limit.require_enough(verifies=False)
    least = int(str(caught.value).rsplit(" ", 1)[1].removesuffix("s"))
    enough, _ = limit_of(float(least))
    enough.require_enough(verifies=False)


@pytest.mark.parametrize("slowdown", [1.0, 4.0])
def test_a_limit_that_is_too_short_is_refused_after_the_imports(monkeypatch, slowdown):
    clock = Clock()
    monkeypatch.setattr("time.process_time", lambda: clock.now / slowdown)

    def starts(limit_s):
        limit = TimeLimit(limit_s, clock.now, clock=clock, _cpu_started_s=clock.now / slowdown)
        clock.now += 3.0
        limit.code_is_imported()
        limit.require_enough(verifies=False)
        clock.now += 1.2  # the data, the spaces
        limit.data_is_read(imports_again=False)
        limit.is_ready()
        limit.require_enough(verifies=False)

    with pytest.raises(ConfigError, match=r"starting took 3\.0 s, .* at least") as caught:
        starts(3.0)
    starts(float(str(caught.value).rsplit(" ", 1)[1].removesuffix("s")))


@pytest.mark.parametrize(("cores", "slowdown"), [(1, 1.0), (2, 2.0)])
def test_what_imports_beside_is_no_other_load_on_one_core(monkeypatch, cores, slowdown):
    monkeypatch.setattr("hwkd.engine.setup.time_plan.available_cores", lambda: cores)
    monkeypatch.setattr("time.process_time", lambda: 3.0)
    clock = Clock()
    limit = TimeLimit(60.0, clock.now, clock=clock, _cpu_started_s=0.0)
    clock.now += 6.0
    limit.is_ready(beside_s=3.0)
    assert limit.slowdown == pytest.approx(slowdown)


def test_a_busy_machine_is_expected_to_stay_busy():
    clock = Clock()
    limit = TimeLimit(60.0, clock.now, clock=clock)
    clock.now += 1000.0  # far more than this test takes of the processor
    limit.is_ready()
    assert limit.slowdown > 1.0
    assert limit.closing_s(verifies=False) > TimeLimit(60.0, 0.0).closing_s(verifies=False)


def test_the_load_of_a_machine_changes_only_what_has_a_time_limit():
    clock = Clock()
    for limit_s, expected in ((60.0, True), (None, False)):
        limit = TimeLimit(limit_s, clock.now, clock=clock, slowdown=5.0)
        assert limit.wants_one_thread is expected
    assert not TimeLimit(60.0, clock.now, clock=clock).wants_one_thread


def test_a_slow_machine_gives_up_the_teacher_first_and_then_full_trainings():
    limit, _ = limit_of(60.0)
    limit.learning_s = 1.0
    asked = {"trains_teacher": True, "final": True, "verifies": False}
    stages = []
    for slowdown in (1.0, 4.0, 12.0):
        limit.slowdown = slowdown
        stages.append(limit.plan(**asked))
    assert [*map(set, stages)] == [
        {"teacher", "search", "final training", "report"},
        {"search", "final training", "report"},
        {"search", "report"},
    ]
    assert "teacher" in limit.plan(**asked, has_teacher=True)


@pytest.mark.parametrize(
    ("learned", "candidates", "is_full"),
    [(3.9, 2, True), (2.8, 2, True), (2.2, 1, True), (1.4, 1, True), (1.2, 1, False)],
)
def test_candidates_are_given_up_before_the_full_training(learned, candidates, is_full):
    """Args: how many candidates could learn in all the time that is left for training."""
    limit, _ = limit_of(105.0, spent=1.0)
    given = {"trains_teacher": False, "final": True, "verifies": False}
    shares = limit.plan(**given)
    training_s = math.fsum(shares[stage] for stage in ("search", "final training"))
    net_s = training_s - limit.search_start_s - limit.full_start_s
    limit.learning_s = net_s / learned
    shares = limit.plan(**given)
    assert ("final training" in shares) == is_full
    if is_full:
        full_s = shares["final training"] - limit.full_start_s
        assert full_s == pytest.approx(shares["search"] - limit.search_start_s)
        assert full_s == pytest.approx(net_s / 2)
    else:
        assert shares["search"] == pytest.approx(training_s)
    share_s = limit.candidate_share_s(shares["search"], is_last=not is_full)
    assert (shares["search"] - limit.child_s) / share_s == pytest.approx(candidates)


def test_where_candidates_ship_as_they_are_one_has_the_time_of_a_few():
    limit, _ = limit_of(105.0, spent=1.0)
    counts = {}
    for learned in (1.2, 2.5, 3.9, 4.1):
        limit.learning_s = (90.0 - limit.search_start_s) / learned
        shares = [limit.candidate_share_s(90.0, is_last=last) for last in (True, False)]
        counts[learned] = [round((90.0 - limit.child_s) / share) for share in shares]
    assert counts == {1.2: [1, 1], 2.5: [1, 2], 3.9: [1, 3], 4.1: [4, 4]}


def test_a_full_training_has_time_for_more_than_to_start_and_to_be_judged():
    # As a stranger had it: pieces of words on a tenth of a core, of which a candidate learned in
    # a second; a full training that had 83 s, and needed them all before and after it.
    limit, _ = limit_of(360.0, spent=140.0)
    limit.start_up_s, limit.child_s, limit.slowdown, limit.report_s = 140.0, 40.0, 10.0, 10.0
    limit.learning_s = 0.5
    shares = limit.plan(trains_teacher=False, final=True, verifies=False)
    learned_s = 2 * limit.learning_s * limit.slowdown
    if "final training" in shares:
        assert shares["final training"] >= limit.full_start_s + learned_s
    limit.child_s = 100.0
    assert "final training" not in limit.plan(trains_teacher=False, final=True, verifies=False)


def test_a_full_training_of_few_passes_gets_more_of_the_time():
    limit, _ = limit_of(1200.0)
    searches = []
    for limit.pass_s in (0.0, 0.5, 5.0):
        searches.append(limit.plan(trains_teacher=False, final=True, verifies=False)["search"])
    unknown, many, few = searches
    assert unknown == many > few > 0.25 * limit.left_s()


@pytest.mark.parametrize("slowdown", [1.0, 3.0, 6.0, 12.0])
def test_a_candidate_has_the_time_to_learn_however_slow_the_machine_is(slowdown):
    limit, _ = limit_of(60.0)
    limit.learning_s, limit.slowdown = 1.3, slowdown
    search_s = limit.plan(trains_teacher=True, final=True, verifies=False)["search"]
    usable_s = search_s - limit.child_s
    assert limit.candidate_share_s(search_s) >= min(2 / 3 * 1.3 * slowdown, usable_s)
    assert limit.candidate_share_s(search_s) >= usable_s / 6


def test_the_pace_is_that_of_what_was_computed_last():
    limit, clock = limit_of(60.0)
    limit.slowdown = 1.0
    with limit.pacing():
        clock.now += 0.5  # too short to tell
    assert limit.slowdown == 1.0
    with limit.pacing():
        clock.now += 50.0  # far more than this test takes of the processor
    assert limit.slowdown == 12.0
    assert limit.report_s == 12.0


def test_the_pace_follows_the_report_that_was_written_last():
    limit, clock = limit_of(60.0)
    limit.slowdown = 1.0
    with limit.timing_report():
        clock.now += 50.0  # far more than this test takes of the processor
    assert limit.report_s == 50.0
    assert limit.slowdown > 1.0


@pytest.mark.parametrize(
    ("limit_s", "waiting_ratio", "is_refused"),
    [
        (180.0, 17.0, True),  # a core of which a seventeenth was free
        (600.0, 17.0, False),
        (360.0, 60.0, False),  # it cannot stay so busy
        (8.0, 1.0, False),  # an idle machine: what starting takes tells
        (8.0, None, False),
        (None, 17.0, False),
    ],
)
def test_a_limit_that_starting_fills_is_refused_before_the_imports(
    limit_s, waiting_ratio, is_refused
):
    clock = Clock()
    limit = TimeLimit(limit_s, clock.now, clock=clock)
    clock.now += 7.0
    if not is_refused:
        limit.require_start(waiting_ratio)
        return
    with pytest.raises(
        ConfigError, match=r"--timeout 180s: starting took 7\.0 s, .* at least"
    ) as e:
        limit.require_start(waiting_ratio)
    least_s = float(str(e.value).rsplit(" ", 1)[1].removesuffix("s"))
    clock.now = 100.0
    enough = TimeLimit(least_s, clock.now, clock=clock)
    clock.now += 7.0
    enough.require_start(waiting_ratio)
