"""Stages of a network that are run by themselves."""

from dataclasses import replace

import pytest
import torch
from support.staged import student

from hwkd.core.cohort import STUDENT, Network, Segment
from hwkd.core.errors import ConfigError
from hwkd.core.student import Layer
from hwkd.nn.build import build_module
from hwkd.nn.cohort import Cohort
from hwkd.nn.cut import part_between, run_between, tail_state


def test_stages_one_after_another_are_the_network():
    module = build_module(student(), seed=0).eval()
    inputs = torch.randn(3, 1, 6, 6)
    first = run_between(module, inputs, 0, 1)
    second = run_between(module, first, 1, 2)
    logits, values = module.forward_taps(inputs, ("first", "second"))
    assert torch.equal(first, values["first"])
    assert torch.equal(second, values["second"])
    assert torch.equal(run_between(module, second, 2, 0), logits)
    assert {key.split(".")[1] for key in tail_state(module, 1)} == {"second", "logits"}


def test_a_segment_reaches_its_own_stages_alone():
    roles = (
        Network(name=STUDENT, in_parts=True),
        Segment(name="block", of=STUDENT, after=1, until=2, shown="t.stage1", width=2.0),
    )
    cohort = Cohort(roles, student(), seed=0)
    shown = cohort.signals(torch.randn(3, 1, 6, 6), given={"t.stage1": torch.randn(3, 8, 3, 3)})
    assert set(shown) == {"block.stage2"}
    assert shown["block.stage2"].shape == (3, 16, 3, 3)
    shown["block.stage2"].square().sum().backward()
    pulled = {
        n.split(".")[3] for n, p in cohort.named_parameters() if p.grad is not None and "steps" in n
    }
    assert pulled == {"second"}
    assert all(p.grad is not None for p in cohort.parts["block"].parameters())


def test_stages_that_are_not_there_or_read_more_are_refused():
    with pytest.raises(ConfigError, match="stage 3 of a student with 2"):
        part_between(student(), 2, 3)
    *body, second, pool, flat, logits = student().layers
    added = Layer(name="added", kind="add", inputs=("second", "first"), shape=(8, 3, 3))
    wide = replace(body[-1], shape=(8, 3, 3))
    stem = replace(body[-2], shape=(8, 6, 6))
    early = replace(added, inputs=("second", "stem2"))
    down = replace(wide, name="stem2", inputs=("stem",))
    layers = replace(
        student(),
        layers=(stem, down, wide, second, early, replace(pool, inputs=("added",)), flat, logits),
    )
    with pytest.raises(ConfigError, match="also reads stem2"):
        part_between(layers, 1, 0)
