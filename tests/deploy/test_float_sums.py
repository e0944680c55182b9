"""An export names the averages that a float sum may round to either side."""

from dataclasses import replace

import numpy as np
import pytest

from hwkd.deploy.verify_average import averages_in_any_order, may_be_at_tie
from hwkd.qgraph.ir import Pool, QuantTensor


def tensor(scale: float) -> QuantTensor:
    return QuantTensor(name="t", shape=(1, 1, 2, 1), scale=np.float32(scale), zero_point=3)


POOL = Pool(
    name="p", inputs=("t",), output="u", kind="average",
    kernel=(2, 1), stride=(1, 1), pads=(0, 0, 0, 0),
)  # fmt: skip


@pytest.mark.parametrize(("ratio", "ties"), [(1.0, True), (0.37123, False), (2.0, False)])
def test_what_can_tie_is_what_some_pair_of_values_ties(ratio: float, ties: bool) -> None:
    """Two values are averaged: all 65,536 pairs are looked at."""
    pairs = np.stack(np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)), -1)
    values = pairs.reshape(-1, 1, 2, 1).astype(np.int8)
    source, target = tensor(ratio), tensor(1.0)
    low, high = averages_in_any_order(POOL, values, source, target)
    assert bool((low < high).any()) == ties
    assert may_be_at_tie(POOL, source, target) == ties


def test_a_window_over_the_edge_averages_fewer_values() -> None:
    """One value times 0.5 ties; the mean of two of them times 2/2 never would."""
    pads = replace(POOL, pads=(1, 0, 1, 0))
    assert may_be_at_tie(pads, tensor(0.5), tensor(1.0))
    assert not may_be_at_tie(POOL, tensor(2.0), tensor(1.0))
