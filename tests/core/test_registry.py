from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwkd.core.errors import UnknownNameError
from hwkd.core.registry import Registry


@given(st.lists(st.text(min_size=1, max_size=6), unique=True))
def test_what_was_registered_is_found_and_names_are_sorted(names):
    registry: Registry[int] = Registry("thing")
    for index, name in enumerate(names):
        assert registry.register(name)(index) == index
    assert list(registry) == sorted(names)
    assert [registry.get(name) for name in names] == list(range(len(names)))


def test_a_taken_name_is_refused():
    registry: Registry[int] = Registry("thing")
    registry.register("one")(1)
    with pytest.raises(ValueError, match="thing 'one' is registered twice"):
        registry.register("one")(2)
    assert registry.get("one") == 1


def test_an_unknown_name_offers_the_nearest():
    registry: Registry[int] = Registry("search space")
    for name in ("depthwise", "narrow_deep"):
        registry.register(name)(0)
    with pytest.raises(UnknownNameError, match="unknown search space 'depthwize'; did you mean"):
        registry.get("depthwize")
    with pytest.raises(UnknownNameError, match="known: depthwise, narrow_deep"):
        registry.get("qqqq")


def test_what_was_taken_is_gone():
    registry: Registry[int] = Registry("thing")
    registry.register("one")(1)
    assert registry.take("one") == 1
    assert "one" not in registry
