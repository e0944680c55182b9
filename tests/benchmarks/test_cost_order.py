"""Pairs of networks: which count, and when they are ordered rightly."""

from __future__ import annotations

import numpy as np

from benchmarks.accuracy.cost_order import Timed, chains, order_of
from benchmarks.lib.held_out import HeldOut
from benchmarks.lib.stack_rows import operators
from benchmarks.lib.stacks import stack_named


def timed(key: str, macs: float, measured: float, predicted: float) -> Timed:
    return Timed(key=(key,), macs=macs, measured=measured, predicted=predicted)


def test_only_pairs_of_equal_work_and_of_two_networks_count() -> None:
    networks = [
        timed("a", 100, 10.0, 20.0), timed("b", 109, 12.0, 21.0), timed("b", 109, 12.5, 21.0),
        timed("c", 150, 30.0, 30.0), timed("no macs", 0, 1.0, 1.0),
    ]  # fmt: skip
    found = order_of([networks])
    assert (found.pairs, found.right, found.right_by_macs, found.close) == (2, 2, 2, 0)


def test_a_pair_predicted_the_other_way_round_or_equal_is_not_right() -> None:
    slow, fast = timed("a", 100, 10.1, 8.0), timed("b", 100, 10.0, 9.0)
    found = order_of([[slow, fast], [slow, timed("c", 100, 9.0, 8.0)]])
    assert (found.pairs, found.right, found.close, found.share) == (2, 0, 1, 0.0)


def test_chains_feed_each_operator_what_the_one_before_gives() -> None:
    rows = operators("NUCLEO-F446RE")
    cycles = np.array([row.cycles for row in rows])
    stack = stack_named("cortex-m4.tflm-cmsis-nn")
    held = HeldOut(
        rows=rows, stacks=(stack,) * len(rows), labels=("",) * len(rows), predicted=cycles,
        low=cycles, high=cycles,
    )  # fmt: skip
    found = chains(held, 20)
    assert len({one.key for one in found}) > 1
    for chain in found:
        assert 3 <= len(chain.key) <= 6
        assert chain.measured == chain.predicted  # the sum of the same operators
    assert [one.key for one in chains(held, 20)] == [one.key for one in found]
