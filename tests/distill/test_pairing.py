"""Layer pairs: proposed from shapes and depth, overridden by the user, weighed by the device."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hwkd.core.errors import ConfigError
from hwkd.distill.adapters import VectorAdapter, describe_adapter, resolve_map_adapters
from hwkd.distill.losses.fitnet import FitnetHint
from hwkd.distill.pairing import chosen_pairs, hardware_importance, propose_pairs
from hwkd.distill.spec import parse_method

STUDENT = ((4, 14, 14), (8, 7, 7), (8, 4, 4))
TEACHER = ((32, 28, 28), (32, 14, 14), (64, 14, 14), (64, 7, 7), (64, 4, 4))


def test_stages_of_equal_size_are_paired() -> None:
    pairs = propose_pairs(STUDENT, TEACHER)
    assert [(p.student, p.teacher) for p in pairs] == [(1, 2), (2, 4), (3, 5)]
    shapes = pairs[0].student_shape, pairs[0].teacher_shape
    assert describe_adapter(FitnetHint(), *shapes) == "1x1 conv 4→32"


def test_series_are_paired_by_length() -> None:
    pairs = propose_pairs(((4, 50), (8, 25)), ((16, 100), (16, 50), (16, 25)))
    assert [p.teacher for p in pairs] == [2, 3]


shapes = st.lists(
    st.tuples(st.integers(1, 64), st.integers(1, 32), st.integers(1, 32)), min_size=1, max_size=6
)


@pytest.mark.slow
@given(shapes, shapes)
def test_proposal_covers_the_student_in_order(
    student: list[tuple[int, ...]], teacher: list[tuple[int, ...]]
) -> None:
    pairs = propose_pairs(student, teacher)
    assert [p.student for p in pairs] == list(range(1, len(student) + 1))
    chosen = [p.teacher for p in pairs]
    assert chosen == sorted(chosen)
    assert all(1 <= index <= len(teacher) for index in chosen)


@given(shapes)
def test_equal_networks_are_paired_stage_by_stage(stages: list[tuple[int, ...]]) -> None:
    assert [p.teacher for p in propose_pairs(stages, stages)] == list(range(1, len(stages) + 1))


def test_nothing_is_proposed_without_stages() -> None:
    assert propose_pairs((), TEACHER) == ()


def test_the_users_pairs_are_taken_as_they_are() -> None:
    pairs = chosen_pairs(((3, 1),), STUDENT, TEACHER)
    assert (pairs[0].student_shape, pairs[0].teacher_shape) == ((8, 4, 4), (32, 28, 28))
    with pytest.raises(ConfigError, match="pairs=4:1: the student has no stage 4; it has 3"):
        chosen_pairs(((4, 1),), STUDENT, TEACHER)


def test_importance_follows_the_device_and_keeps_the_sum() -> None:
    assert hardware_importance([1e-3, 3e-3]) == pytest.approx((0.5, 1.5))
    assert hardware_importance([0.0, 0.0]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("method", "student", "teacher", "expected"),
    [
        ("fitnet", (4, 8, 8), (4, 8, 8), "identity"),
        ("fitnet", (4, 8, 8), (6, 4, 16), "1x1 conv 4→6 + pool to 4x8"),
        ("fitnet", (4, 12), (4, 6), "pool to 1x6"),
        ("fitnet", (16,), (64,), "1x1 conv 16→64"),
        ("at", (4, 8, 8), (6, 4, 16), "pool to 4x8"),
        ("sp", (4, 8, 8), (6, 4, 16), "identity"),
        ("fsp", (4, 8, 8), (6, 4, 16), "1x1 conv 4→6"),
        ("ofd", (4, 8, 8), (6, 8, 8), "1x1 conv 4→6"),
        ("ft", (4, 8, 8), (6, 8, 8), "translator 4→3"),
        ("ft:form=attention", (4, 8, 8), (6, 8, 8), "identity"),
        ("vid", (4, 8, 8), (4, 8, 8), "three 1x1 convs 4→4"),
        ("reviewkd", (4, 8, 8), (6, 8, 8), "fusion 4→6"),
        ("mhgd", (4, 8, 8), (6, 8, 8), "4 heads of attention"),
        ("weights", (4, 1, 3, 3), (6, 4, 3, 3), "matrices where the shapes differ"),
    ],
)
def test_the_table_of_pairs_says_what_is_trained_between_layers(
    method: str, student: tuple[int, ...], teacher: tuple[int, ...], expected: str
) -> None:
    assert describe_adapter(parse_method(method).method, student, teacher) == expected


def test_adapters_are_resolved_from_shapes() -> None:
    same, wider = resolve_map_adapters(((4, 8, 8), (4, 8, 8)), ((4, 8, 8), (6, 8, 8)))
    assert not list(same.parameters())
    assert tuple(wider(torch.zeros(2, 4, 9)).shape) == (2, 6, 1, 9)
    assert tuple(VectorAdapter(4, 6)(torch.zeros(2, 4)).shape) == (2, 6)
    assert not list(VectorAdapter(4, 4).parameters())
