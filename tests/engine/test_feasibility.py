from __future__ import annotations

import re
from dataclasses import replace
from typing import cast

import pytest
from support.made_violations import violation

from hwkd.core.errors import ConfigError, DoesNotFitError
from hwkd.core.limits import Limits
from hwkd.core.student import SearchSpace
from hwkd.core.units import parse_bytes, parse_duration_s
from hwkd.cost.backend import CostQuestion
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.feasibility import (
    SpaceFeasibility,
    cheapest_relaxation,
    drop_infeasible,
    require_feasible,
    survey,
)
from hwkd.engine.setup.fitted_survey import fitted_survey
from hwkd.engine.setup.own_runtime import own_runtime, own_runtime_alone
from hwkd.engine.setup.references import ReferenceSurvey, survey_references
from hwkd.engine.setup.resolve import screen_of
from hwkd.engine.setup.rooms import fit_spaces
from hwkd.engine.setup.screening import Screen
from hwkd.io.device_catalog import load_device

NO_REFERENCES = ReferenceSurvey(students=(), nearest_miss=None)
SMALL_IMAGE = {"input_shape": (1, 8, 8), "num_outputs": 10}
PARSERS = {
    "--max-latency": ("latency_s", parse_duration_s),
    "--max-ram": ("ram_bytes", parse_bytes),
    "--max-flash": ("flash_bytes", parse_bytes),
    "--max-weights": ("weight_bytes", parse_bytes),
}


@pytest.fixture(scope="module")
def screen():
    return screen_of(SearchConfig(device="cortex-m7", spaces=("narrow_deep", "depthwise")))


def surveyed(screen, limits, samples=30):
    limited = replace(screen, limits=limits)
    return survey(limited, input_shape=(1, 8, 8), num_outputs=10, seed=0, samples=samples)


def test_without_limits_everything_fits(screen):
    found = surveyed(screen, Limits())
    assert [(s.space, s.feasible, s.sampled) for s in found] == [
        ("narrow_deep", 30, 30), ("depthwise", 30, 30),
    ]  # fmt: skip
    require_feasible(found, NO_REFERENCES)


def test_the_survey_says_which_limit_binds_and_repeats_exactly(screen):
    limits = Limits(weight_bytes=5_000, ram_bytes=10**9)
    found = surveyed(screen, limits)
    assert found == surveyed(screen, limits)
    for space in found:
        assert set(space.binding) <= {"weights"}
        assert space.feasible + space.binding.get("weights", 0) == space.sampled
        assert len(space.violations) == space.sampled - space.feasible


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits",
    [
        Limits(latency_s=1e-6),
        Limits(ram_bytes=100),
        Limits(weight_bytes=64, flash_bytes=2_000),
        Limits(latency_s=1e-6, ram_bytes=100, flash_bytes=100, weight_bytes=100),
    ],
)
@pytest.mark.parametrize("has_references", [True, False])
def test_the_relaxation_that_is_named_makes_a_student_fit(screen, limits, has_references):
    fitted, references = fitted_survey(replace(screen, limits=limits), **SMALL_IMAGE)
    references = references if has_references else NO_REFERENCES
    found = drop_infeasible(surveyed(fitted, limits), references)
    expected = "none of 60 sampled students" + (" and no reference design" * has_references)
    with pytest.raises(DoesNotFitError, match=f"{expected} fits") as caught:
        require_feasible(found, references)
    raised = re.findall(r"(--max-\w+) from (\S+) to (\S+)", str(caught.value))
    assert raised
    changes = {}
    for option, _, to in raised:
        field, parse = PARSERS[option]
        changes[field] = parse(to, option=option)
        assert changes[field] > getattr(limits, field)
    relaxed = replace(limits, **changes)
    if has_references:
        assert "reference design meets" in str(caught.value)
        again = fit_spaces(replace(screen, limits=relaxed), **SMALL_IMAGE)
        assert survey_references(again, **SMALL_IMAGE).students
    else:
        assert any(space.feasible for space in surveyed(fitted, relaxed))


def test_a_space_in_which_nothing_fits_is_left_out_and_the_others_stay(screen):
    def space(name, feasible):
        return SpaceFeasibility(
            space=name, sampled=9, feasible=feasible, binding={"ram": 9 - feasible}, violations=()
        )

    found = drop_infeasible([space("depthwise", 0), space("narrow_deep", 1)], NO_REFERENCES)
    assert [(s.space, s.is_left_out) for s in found] == [
        ("depthwise", True), ("narrow_deep", False),
    ]  # fmt: skip
    require_feasible(found, NO_REFERENCES)
    # A reference design that fits keeps its space, rare as such students may be.
    references = survey_references(replace(screen, limits=Limits()), **SMALL_IMAGE)
    assert not any(s.is_left_out for s in drop_infeasible([space("depthwise", 0)], references))


def test_the_cheapest_relaxation_has_the_smallest_product_of_factors():
    far = (violation("ram", 2.0),)
    both = (violation("ram", 1.2), violation("flash", 1.2))
    near = (violation("flash", 1.4),)
    space = SpaceFeasibility(
        space="s", sampled=3, feasible=0, binding={}, violations=(far, both, near)
    )
    assert cheapest_relaxation([space]) == near


def test_a_space_that_raises_is_one_clear_line():
    class Broken:
        name = "broken"
        summary = ""

        def suggest(self, chooser, *, input_shape, num_outputs):
            raise KeyError("width")

    screen = Screen(
        question=CostQuestion(device=load_device("cortex-m7")),
        limits=Limits(),
        risk="upper",
        spaces={"broken": cast(SearchSpace, Broken())},
    )
    with pytest.raises(ConfigError, match=r"search space broken: fails on .*\(1, 8, 8\).*width"):
        survey(screen, input_shape=(1, 8, 8), num_outputs=10, seed=0)


@pytest.mark.parametrize(
    ("runtime", "shape", "is_said"),
    [
        ("tflm-cmsis-nn", (1, 1, 32), True),  # numbers of pieces of words
        ("hwkd-c", (1, 1, 32), False),
        ("tflm-cmsis-nn", (1, 32), False),  # weights of words
    ],
)
def test_students_that_look_up_their_input_are_said_to_become_no_tflite_file(
    runtime, shape, is_said
):
    config = SearchConfig(device="cortex-m4", runtime=runtime, spaces=("text",))
    said = own_runtime_alone(screen_of(config), input_shape=shape, num_outputs=3)
    assert (said is not None) == is_said
    if said is not None:
        assert "--space text look their input up in a table (an embedding)" in said
        assert "--runtime hwkd-c" in said


@pytest.mark.slow
def test_where_limits_are_tight_the_exported_c_is_offered_if_more_of_the_same_students_fit(screen):
    def offered(limits):
        limited = replace(screen, limits=limits)
        found = survey(limited, **SMALL_IMAGE, seed=0)
        return found, own_runtime(limited, found, **SMALL_IMAGE, seed=0)

    found, offer = offered(Limits(ram_bytes=5_000))
    fit = sum(space.feasible for space in found)
    assert offer is not None
    assert (offer.fit, offer.sampled) == (fit, 400)
    assert offer.fit_with_own > fit + 40
    assert f"{fit} of the 400 sampled students fit with {screen.device.default_runtime}," in (
        offer.advice
    )
    assert "--runtime hwkd-c" in offer.advice
    own = replace(screen, question=replace(screen.question, runtime="hwkd-c"))
    again = survey(replace(own, limits=Limits(ram_bytes=5_000)), **SMALL_IMAGE, seed=0)
    assert [offer.fit_with_own] == [again[0].feasible + again[1].feasible]
    assert offered(Limits())[1] is None  # everything fits
    assert offered(Limits(weight_bytes=10))[1] is None  # which are as large in any runtime
