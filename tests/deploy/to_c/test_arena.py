"""The planner: buffers alive together never overlap, and little is wasted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hwkd.deploy.to_c.arena import ALIGNMENT_BYTES, Buffer, lower_bound_bytes, plan_arena


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


def test_a_chain_needs_its_two_largest_neighbours():
    sizes = (100, 400, 304, 48)
    chain = [buffer(str(i), size, i - 1, i) for i, size in enumerate(sizes)]
    assert plan_arena(chain).size_bytes == 400 + 304


def test_planning_twice_gives_the_same_plan():
    buffers = [buffer(str(i), 40 + 8 * i, i % 5, i % 5 + i % 3) for i in range(12)]
    assert plan_arena(buffers) == plan_arena(buffers)
