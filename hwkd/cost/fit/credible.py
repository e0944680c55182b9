"""Refuses measured rows that no fit can use, each in one line that names the rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import exp, hypot

import numpy as np

from hwkd.core.choices import Dtype
from hwkd.core.errors import ConfigError, OutlierError
from hwkd.core.graph import OpGraph
from hwkd.cost.fit.design import Array, Design, Measurement
from hwkd.cost.latency_terms import op_work

# Rows that differ by more than this many standard deviations of both do not measure one thing.
_FURTHEST_APART = 3.0
_SHOWN = 4
# Factor from which on a row is in another unit or at another clock: kernels in plain C take up to
# eight times as long as those of a library.
_FURTHEST_FROM_KNOWN = 10.0


def refuse_operators_without_cost(rows: Sequence[Measurement], dtype: Dtype) -> None:
    """Refuse networks with operators whose time the fit would give to the others.

    Raises:
        ConfigError: naming the first such row and its operators.
    """
    for row in rows:
        found = [
            kind if own in (None, dtype) else f"{kind} in {own}"
            for kind, own, has_cost in _operators(row.graph)
            if not has_cost or own not in (None, dtype)
        ]
        if found:
            names = ", ".join(list(dict.fromkeys(found))[:_SHOWN])
            raise ConfigError(
                f"{row.name}: it runs {names}, which the {dtype} cost model does not know; a fit "
                "would give their time to the other operators: leave the row out, or time the "
                "other operators one by one (column `op`)"
            )


def _operators(graph: OpGraph) -> list[tuple[str, str | None, bool]]:
    """Return each operator's kind, the type that the file fixes, and whether it has a cost."""
    return [
        (
            op.kind,
            op.facts.computes_in if op.facts is not None else None,
            op_work(op, graph.tensors) is not None,
        )
        for op in graph.ops
    ]


def refuse_contradictions(rows: Sequence[Measurement]) -> None:
    """Refuse two rows of which one took longer though it runs no operator that the other does not.

    Whatever operators cost, none takes less than nothing: equal networks take as long as each
    other, and a network no less than a part of it, up to the spread of the two measurements.

    Raises:
        ConfigError: naming the first such pair.
    """
    parts = [_parts(row.graph) for row in rows]
    holding = defaultdict(list)
    for number, held in enumerate(parts):
        for part in held:
            holding[part].append(number)
    for slow, held in enumerate(parts):
        for fast in holding[next(iter(held))] if held else ():
            if held <= parts[fast]:
                _refuse_if_far(rows[slow], rows[fast], is_equal=held == parts[fast])


def _refuse_if_far(part: Measurement, whole: Measurement, *, is_equal: bool) -> None:
    allowed = exp(_FURTHEST_APART * hypot(part.noise_ratio, whole.noise_ratio))
    ratio = part.cycles / whole.cycles
    if ratio > allowed:
        same = "the same operators" if is_equal else "a part of its operators"
        raise ConfigError(
            f"{whole.name} and {part.name} contradict each other: the second runs {same} and took "
            f"{ratio:.3g} times as long, {part.cycles:,.0f} cycles against {whole.cycles:,.0f}; "
            f"repeats are taken to agree within {allowed - 1:.0%}: time both again, with one clock "
            "and one build, or leave one out"
        )


def _parts(graph: OpGraph) -> Counter[tuple[object, ...]]:
    """Return a graph's operators, whatever they are called."""
    shape_of = {name: (tensor.shape, tensor.bits) for name, tensor in graph.tensors.items()}
    return Counter(
        (
            op.kind, tuple(shape_of[name] for name in op.inputs),
            tuple(shape_of[name] for name in op.outputs), op.weights, op.kernel, op.stride,
            op.pads, op.dilation, op.groups, op.zero_out_channels,
        )
        for op in graph.ops
    )  # fmt: skip


def refuse_rows_without_cost(design: Design, vectors: Sequence[Array]) -> None:
    """Refuse rows that cost nothing in known stacks.

    Args:
        vectors: cycles per unit of known stacks.

    Raises:
        ConfigError: naming the first such row.
    """
    predicted = design.amounts @ (sum(vectors) / len(vectors))
    for name, cycles in zip(design.names, predicted, strict=True):
        if cycles <= 0:
            raise ConfigError(f"{name}: no operator of it has a cost in any known stack")


def refuse_another_unit(
    design: Design, vectors: Sequence[Array], *, known_as: str, file: str
) -> None:
    """Refuse a row that is far from every known stack, as in another unit or at another clock.

    Args:
        vectors: cycles per unit of known stacks.
        known_as: those stacks in words.

    Raises:
        OutlierError: names the row, what was measured and expected, the factor and what to do.
    """
    expected = design.amounts @ np.stack(vectors, axis=1)
    for name, measured, known in zip(design.names, design.cycles, expected, strict=True):
        nearest = float(np.clip(measured, known.min(), known.max()))
        if nearest <= 0:
            continue  # `refuse_rows_without_cost` names it
        factor = float(measured) / nearest
        if not 1 / _FURTHEST_FROM_KNOWN < factor < _FURTHEST_FROM_KNOWN:
            shown = f"{factor:,.0f} times" if factor >= 1 else f"1/{1 / factor:,.0f} of"
            raise OutlierError(
                f"{file}: {name} took {measured:,.0f} cycles, {shown} the {nearest:,.0f} expected "
                f"from {known_as}; check the unit of the column and the device's clock_hz, or say "
                "that it is right with --outliers keep"
            )
