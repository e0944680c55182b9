"""Places of elements: reshapes and transposes move nothing, copies become short loop nests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.deploy.to_c.layout import arrange, channels_last, loop_nest, row_major, strides_of
from hwkd.qgraph.ir import Relayout
from hwkd.qgraph.read_qdq import read_qdq


def arranged(net, folder):
    return arrange(read_qdq(quantise(net, folder, "net")))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_transposed_copy_is_the_nest_that_numpy_does(shape, random):
    axes = list(range(len(shape)))
    random.shuffle(axes)
    source = row_major(tuple(shape))
    moved = source.transpose(axes)
    target = row_major(moved.shape)
    loops = loop_nest(moved, target)
    assert loops is not None
    reads = writes = np.zeros((), int)
    for count, step, jump in loops:
        reads = np.add.outer(reads, np.arange(count) * step)
        writes = np.add.outer(writes, np.arange(count) * jump)
    copied = np.full(target.size, -1)
    copied[writes.reshape(-1)] = reads.reshape(-1)
    assert np.array_equal(copied, moved.reshape(-1))


def test_irregular_copy_has_no_nest():
    assert loop_nest(np.array([0, 1, 5, 9]), np.arange(4)) is None


def test_channels_last_puts_channels_side_by_side():
    places = channels_last((1, 3, 2, 2))
    assert strides_of(places) == (0, 1, 6, 3)


@pytest.mark.parametrize(
    "name", ["linear_attention", "one_dimensional", "flatten_before_linear", "squeeze_excite"]
)
def test_search_space_habits_need_no_copies(name, tmp_path):
    found = arranged(OP_NETWORKS[name](), tmp_path)
    assert not [op for op in found.graph.ops if isinstance(op, Relayout)]


def test_time_series_is_taken_time_major(tmp_path):
    found = arranged(OP_NETWORKS["one_dimensional"](), tmp_path)
    places = found.places[found.graph.input]
    assert places.shape == (1, 4, 61)
    assert strides_of(places) == (0, 1, 4)


def test_a_convolution_over_transposed_pixels_gets_a_copy(tmp_path):
    net = NetworkBuilder((3, 4, 5))
    net.conv(4, (3, 3))
    net.transpose(0, 2, 1, 3)
    net.conv(2, (3, 3))
    found = arranged(net, tmp_path)
    assert sum(isinstance(op, Relayout) for op in found.graph.ops) == 1
