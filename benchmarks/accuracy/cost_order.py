"""How often the model orders two networks of equal multiply-accumulates as silicon does.

A search compares candidates; how far all of them are off together does not matter to it. Two
networks make a pair when their multiply-accumulates are within 10% of each other, so that counting
them says nothing. Networks of three to six operators are chains of operators timed alone, each fed
by the one before: their time is the sum of the operators', and the model predicts every operator
from a fit without it. Published networks are compared on one board and software, each predicted
from a fit without its family. Pairs that silicon itself tells apart by less than 2%, what repeated
runs of one network differ by, count like all others.

usage: python -m benchmarks.accuracy.cost_order [--quick]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.lib.held_out import (
    OPERATOR_BOARDS,
    HeldOut,
    held_out_families,
    held_out_operators,
)
from benchmarks.lib.stacks import STACKS, stack_named
from benchmarks.lib.verdict import Target, report
from hwkd.cost.fit.design import Measurement
from hwkd.cost.latency_terms import op_work

_EQUAL_MACS = 1.1
_NOISE = 0.02
_CHAINS = 400
_LENGTHS = (3, 4, 5, 6)
# Fewer pairs of one board and software than this are counted with the rest, not alone.
_FEWEST_PAIRS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One network.

    Attributes:
        key: equal for two measurements of one network.
        macs: multiply-accumulates that run.
        measured: cycles.
        predicted: cycles, by a fit that saw none of it.
    """

    key: tuple[str, ...]
    macs: float
    measured: float
    predicted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Pairs of one device: how many, how many close on silicon, how many ordered rightly."""

    pairs: int
    close: int
    right: int
    right_by_macs: int

    @property
    def share(self) -> float:
        """Share of the pairs that are ordered rightly."""
        return self.right / self.pairs

    @property
    def row(self) -> dict[str, Any]:
        """What the page lists."""
        return {
            "pairs": self.pairs,
            "within 2% on silicon": f"{self.close / self.pairs:.0%}",
            "ordered rightly": f"{self.share:.1%}",
            "by counting MACs": f"{self.right_by_macs / self.pairs:.1%}",
        }


def order_of(groups: Sequence[Sequence[Timed]]) -> Order:
    """Count the pairs of equal multiply-accumulates within each group."""
    pairs = close = right = by_macs = 0
    for networks in groups:
        for one, other in combinations(networks, 2):
            small, large = sorted((one.macs, other.macs))
            if one.key == other.key or small <= 0 or large > small * _EQUAL_MACS:
                continue
            slower = one.measured - other.measured
            pairs += 1
            close += abs(slower) < _NOISE * min(one.measured, other.measured)
            right += (one.predicted - other.predicted) * slower > 0
            by_macs += (one.macs - other.macs) * slower > 0
    return Order(pairs=pairs, close=close, right=right, right_by_macs=by_macs)


def chains(held: HeldOut, count: int, seed: int = 0) -> list[Timed]:
    """Return random chains of operators timed alone, each as large as its predecessor's output.

    Args:
        held: operators, predicted by fits without them.
        count: of chains; equal ones are drawn again.
        seed: of the draws.
    """
    kept: dict[str, int] = {}
    for place, row in enumerate(held.rows):
        kept.setdefault(row.group, place)
    follows: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place in kept.values():
        follows[_shape_in(held.rows[place])].append(place)
    rng = np.random.default_rng(seed)
    starts = list(kept.values())
    found: dict[tuple[int, ...], Timed] = {}
    while len(found) < count:
        chain = [int(rng.choice(starts))]
        for _ in range(int(rng.choice(_LENGTHS)) - 1):
            after = follows.get(_shape_out(held.rows[chain[-1]]))
            if not after:
                break
            chain.append(int(rng.choice(after)))
        if len(chain) >= _LENGTHS[0]:
            found[tuple(chain)] = _chain(held, chain)
    return list(found.values())


def _chain(held: HeldOut, chain: list[int]) -> Timed:
    return Timed(
        key=tuple(str(place) for place in sorted(chain)),
        macs=sum(held.rows[place].graph.macs for place in chain),
        measured=float(held.cycles[chain].sum()),
        predicted=float(held.predicted[chain].sum()),
    )


def _shape_in(row: Measurement) -> tuple[int, ...]:
    return row.graph.tensors[row.graph.ops[0].inputs[0]].shape


def _shape_out(row: Measurement) -> tuple[int, ...]:
    return row.graph.tensors[row.graph.ops[-1].outputs[0]].shape


def published(held: HeldOut) -> list[list[Timed]]:
    """Return published networks, those of one board and software together."""
    groups: dict[str, list[Timed]] = defaultdict(list)
    for row, predicted in zip(held.rows, held.predicted, strict=True):
        setting = row.name.partition(" (")[2]
        groups[setting].append(
            Timed(
                key=_network(row), macs=row.graph.macs, measured=row.cycles,
                predicted=float(predicted),
            )
        )  # fmt: skip
    return list(groups.values())


def _network(row: Measurement) -> tuple[str, ...]:
    """Return what a network runs: some are published twice, under two names."""
    works = (op_work(op, row.graph.tensors) for op in row.graph.ops)
    return tuple(sorted(f"{work.form} {work.amounts}" for work in works if work is not None))


def orders(every: int = 1) -> Iterator[tuple[str, Order]]:
    """Return device by device how its pairs are ordered, the published networks together last.

    Args:
        every: take one operator in so many, for a quick check.
    """
    for board, name in OPERATOR_BOARDS:
        held = held_out_operators(stack_named(name), every)
        yield f"{board}, chains of operators", order_of([chains(held, _CHAINS // every)])
    held = held_out_families(stack_named("cortex-m7.x-cube-ai-8"))
    for stack in STACKS:
        found = order_of(published(held.of(stack)))
        if found.pairs >= _FEWEST_PAIRS:
            yield f"{stack.core}, {stack.runtime}, published networks", found
    yield "ST's runtimes, published networks", order_of(published(held))


def targets(every: int = 1) -> tuple[list[Target], dict[str, Any]]:
    """Return what must be ordered rightly, and a row for every device."""
    found = dict(orders(every))
    judged = [name for name in found if "F446RE" in name or name.startswith("ST's")]
    limits = [
        Target(
            f"pairs of equal MACs ordered rightly, {name}, {found[name].pairs} pairs",
            found[name].share, 0.85, at_least=True,
        )
        for name in judged
    ]  # fmt: skip
    return limits, {name: order.row for name, order in found.items()}


if __name__ == "__main__":
    sys.exit(report(*targets(8 if "--quick" in sys.argv else 1)))
