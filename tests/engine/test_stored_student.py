"""Choices from a file make a network of their space, or are refused in one line."""

import pytest

from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError
from hwkd.core.student import StudentSpec
from hwkd.engine.setup.screening import load_spaces
from hwkd.engine.setup.stored_student import layers_of_spec

SPACES = load_spaces(("depthwise", "narrow_deep"))


@pytest.fixture
def spec():
    return SPACES["depthwise"].suggest(RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3)


def changed(spec, *, space="depthwise", shape=(1, 8, 8), outputs=3, **params):
    return StudentSpec(
        space=space, params={**spec.params, **params}, input_shape=shape, num_outputs=outputs
    )


def test_a_sampled_spec_makes_the_network_of_its_space(spec):
    assert layers_of_spec(SPACES, spec, where="x") == SPACES["depthwise"].layers(spec)


def test_choices_that_make_no_network_are_one_line(spec):
    first = next(name for name, value in spec.params.items() if type(value) is int)
    missing = StudentSpec(space="depthwise", params={}, input_shape=(1, 8, 8), num_outputs=3)
    for broken, match in (
        (changed(spec, space="other"), "search space 'other', which is not one of the run's"),
        (missing, "is missing or unknown there"),
        (changed(spec, **{first: "text"}), "makes no network of space depthwise: ValueError"),
        (changed(spec, **{first: 10**6}), "1000000 is outside what a choice may be"),
        (changed(spec, **{first: float("nan")}), "nan is outside what a choice may be"),
        (changed(spec, shape=(1, 0, 8)), "a shape below 1"),
        (changed(spec, shape=()), "makes no network"),
        (changed(spec, outputs=0), "a shape below 1"),
    ):
        with pytest.raises(ConfigError, match=match):
            layers_of_spec(SPACES, broken, where="--student spec.json")
