"""Packed weights read back by the rule that the kernels' header states."""

import numpy as np
import pytest

from hwkd.deploy.to_c.pack import packed_dense


@pytest.mark.parametrize(("channels", "inputs"), [(2, 4), (3, 5), (1, 1), (8, 27), (5, 16)])
def test_dense_blocks_hold_two_channels_and_four_inputs(channels, inputs):
    rows = np.random.default_rng(0).integers(-127, 128, (channels, inputs)).astype(np.int8)
    packed = packed_dense(rows)
    depth = -(-inputs // 4) * 4
    assert packed.size == -(-channels // 2) * 2 * depth
    places = {0: 0, 2: 2, 1: 4, 3: 6}
    for channel in range(channels):
        for index in range(inputs):
            block = channel // 2 * depth * 2 + index // 4 * 8
            assert packed[block + places[index % 4] + channel % 2] == rows[channel, index]
    assert np.abs(packed.astype(int)).sum() == np.abs(rows.astype(int)).sum()
