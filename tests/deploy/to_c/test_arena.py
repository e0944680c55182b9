"""The planner: buffers alive together never overlap, and little is wasted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hwkd.deploy.to_c.arena import ALIGNMENT_BYTES, Buffer, Overlap, lower_bound_bytes, plan_arena


def buffer(name, size, first, last):
    return Buffer(name=name, size_bytes=size, first_step=first, last_step=last)


@st.composite
def lifetimes(draw):
    count = draw(st.integers(1, 14))
    spans = []
    for index in range(count):
        first = draw(st.integers(-1, 12))
        last = draw(st.integers(first, 13))
        spans.append(buffer(str(index), draw(st.integers(1, 5000)), first, last))
    return spans


@given(lifetimes())
@settings(max_examples=60, deadline=None)
def test_buffers_that_meet_are_apart_aligned_and_inside(buffers):
    plan = plan_arena(buffers)
    for one in buffers:
        start = plan.offsets[one.name]
        assert start % ALIGNMENT_BYTES == 0
        assert start + one.size_bytes <= plan.size_bytes
        for other in buffers:
            if other is not one and other.meets(one):
                begin = plan.offsets[other.name]
                assert start + one.size_bytes <= begin or begin + other.size_bytes <= start
    assert lower_bound_bytes(buffers) <= plan.size_bytes


def lies_well(distance, overlap):
    if overlap is None:
        return False
    lag = -(-overlap.lag_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return distance == lag if overlap.is_exact else distance >= lag


@given(lifetimes(), st.integers(0, 3000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_buffer_may_follow_the_one_that_is_read_while_it_is_written(buffers, lag, exact):
    lags = {
        (one.name, other.name): Overlap(lag, exact)
        for one in buffers
        for other in buffers
        if other.first_step < one.first_step == other.last_step
    }
    plan = plan_arena(buffers, lags)
    for one in buffers:
        assert 0 <= plan.offsets[one.name] <= plan.size_bytes - one.size_bytes
        for other in buffers:
            if other is one or not other.meets(one):
                continue
            distance = plan.offsets[other.name] - plan.offsets[one.name]
            follows = lies_well(distance, lags.get((one.name, other.name)))
            leads = lies_well(-distance, lags.get((other.name, one.name)))
            assert distance >= one.size_bytes or -distance >= other.size_bytes or follows or leads
    assert lower_bound_bytes(buffers, lags) <= plan.size_bytes


def test_a_chain_of_followers_takes_its_largest_and_the_lags():
    chain = [buffer(str(i), 400, i - 1, i) for i in range(3)]
    lags = {("1", "0"): Overlap(40), ("2", "1"): Overlap(40)}
    assert plan_arena(chain, lags).size_bytes == 400 + 2 * 40
    assert lower_bound_bytes(chain, lags) == 400 + 40


def test_a_chain_in_place_takes_its_largest():
    chain = [buffer(str(i), size, i - 1, i) for i, size in enumerate((400, 400, 96))]
    exact = {(str(i + 1), str(i)): Overlap(0, is_exact=True) for i in range(2)}
    assert plan_arena(chain, exact).size_bytes == 400


def test_a_chain_needs_its_two_largest_neighbours():
    sizes = (100, 400, 304, 48)
    chain = [buffer(str(i), size, i - 1, i) for i, size in enumerate(sizes)]
    assert plan_arena(chain).size_bytes == 400 + 304


def test_planning_twice_gives_the_same_plan():
    buffers = [buffer(str(i), 40 + 8 * i, i % 5, i % 5 + i % 3) for i in range(12)]
    assert plan_arena(buffers) == plan_arena(buffers)
