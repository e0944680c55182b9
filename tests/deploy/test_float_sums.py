"""An export names the averages that a float sum may round to either side."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwkd.deploy.verify_average import averages_in_any_order, may_be_at_tie
from hwkd.deploy.verify_transposed import transposed_in_any_order
from hwkd.qgraph.ir import ConvTranspose, Pool, QuantTensor


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


def test_a_transposed_convolution_is_what_torch_makes_of_it_in_float_but_near_a_tie() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (3, 5, 3, 3)).astype(np.int8)
    scales = np.array([0.01, 0.02, 0.5 / 127], np.float32)
    op = ConvTranspose(
        name="t", inputs=("x",), output="y", weights=weights, weight_scales=scales,
        bias=rng.integers(-500, 500, 3).astype(np.int32), stride=(2, 1), cut=(1, 0),
    )  # fmt: skip
    values = rng.integers(-128, 128, (64, 5, 6, 4)).astype(np.int8)
    source = QuantTensor(name="x", shape=(1, 5, 6, 4), scale=np.float32(0.0625), zero_point=-3)
    target = QuantTensor(name="y", shape=(1, 3, 12, 6), scale=np.float32(0.125), zero_point=7)
    low, high = transposed_in_any_order(op, values, source, target)
    assert low.shape == high.shape == (64, 3, 12, 6)
    of_weights = weights * scales[:, None, None, None]
    bias = op.bias * scales * source.scale
    for dtype in (torch.float32, torch.float64):
        made = torch.nn.functional.conv_transpose2d(
            torch.tensor((values.astype(np.float32) + 3) * 0.0625, dtype=dtype),
            torch.tensor(of_weights.transpose(1, 0, 2, 3), dtype=dtype),
            torch.tensor(bias, dtype=dtype), stride=(2, 1),
        ).numpy()[:, :, 1:13]  # fmt: skip
        steps = np.clip(np.rint(made / 0.125) + 7, -128, 127)
        assert ((low <= steps) & (steps <= high)).all()
    is_open = low < high
    assert 0 < is_open.mean() < 0.01
    assert (high.astype(int) - low)[is_open].max() == 1
