"""When a network with exits may stop: at the first exit whose classes have little entropy.

The rule lies in the ONNX file as metadata, so what exports, compiles or checks the file finds it
there. Its arithmetic is that of the C, step by step: exponentials of whole int8 steps from a table
of 16 bits, sums of integers, one logarithm in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from hwkd.core.errors import ExportError
from hwkd.deploy.model_metadata import put_metadata

EXPONENT_ONE = 65535
_KEY = "hwkd.exit_entropy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitPoint:
    """What one threshold does.

    Attributes:
        threshold: entropy in nats; an exit below it is the answer. The last output always is.
        accuracy_ratio: of the answers, 0 to 1.
        error: standard error of its difference from the whole network's, sample by sample.
        shares: of samples that leave by each output, exits first, the last output last.
        cost_ratio: mean cost over that of the whole network.
    """

    threshold: float
    accuracy_ratio: float
    error: float
    shares: tuple[float, ...]
    cost_ratio: float


def exponentials(scale: float) -> NDArray[np.uint16]:
    """Return exp(-scale d) of d = 0 to 255 steps below the largest logit, 65535 for 1."""
    steps = np.arange(256, dtype=np.float64)
    shares: NDArray[np.uint16] = np.rint(EXPONENT_ONE * np.exp(-scale * steps)).astype(np.uint16)
    return shares


def entropies(steps: NDArray[np.int8], scale: float) -> NDArray[np.float32]:
    """Return the entropy of classes in nats, as the C computes it; shape [samples].

    Args:
        steps: int8 logits, shape [samples, classes].
        scale: of a step.
    """
    below = steps.max(axis=1, keepdims=True).astype(np.int64) - steps
    shares = exponentials(scale)[below].astype(np.uint64)
    total = shares.sum(axis=1).astype(np.float32)
    weighed = (shares * below.astype(np.uint64)).sum(axis=1).astype(np.float32)
    one = np.float32(EXPONENT_ONE)
    return np.asarray(np.log(total / one) + np.float32(scale) * (weighed / total), dtype=np.float32)


def exits_taken(found: Sequence[NDArray[np.float32]], threshold: float) -> NDArray[np.int64]:
    """Return the exit that each sample leaves by, counted from 0; the last output is len(found).

    Args:
        found: entropies at each exit, in execution order, each of shape [samples].
        threshold: nats.
    """
    unsure = np.stack([each >= np.float32(threshold) for each in found])
    passed: NDArray[np.int64] = np.logical_and.accumulate(unsure).sum(axis=0)
    return passed


def exit_points(
    found: Sequence[NDArray[np.float32]],
    right: NDArray[np.bool_],
    costs: Sequence[float],
    *,
    most: int = 64,
) -> list[ExitPoint]:
    """Return what thresholds do, from none that leaves early on.

    Args:
        found: entropies at each exit, each of shape [samples].
        right: whether each output is right, shape [exits + 1, samples], the last output last.
        costs: of an inference that ends at each output, the last one's last.
        most: thresholds that are tried; they lie between two entropies, where a rounding moves
            nothing.
    """
    known = np.unique(np.concatenate(found))
    between = (known[1:] + known[:-1]) / 2
    tried = between[np.linspace(0, len(between) - 1, min(most, len(between))).astype(int)]
    return [exit_point(found, right, costs, threshold) for threshold in [0.0, *map(float, tried)]]


def exit_point(
    found: Sequence[NDArray[np.float32]],
    right: NDArray[np.bool_],
    costs: Sequence[float],
    threshold: float,
) -> ExitPoint:
    """Return what one threshold does; see `exit_points`."""
    taken = exits_taken(found, threshold)
    answers = right[taken, np.arange(right.shape[1])]
    shares = tuple(float((taken == index).mean()) for index in range(len(costs)))
    lost = right[-1].astype(np.float64) - answers
    return ExitPoint(
        threshold=float(np.float32(threshold)),
        accuracy_ratio=float(answers.mean()),
        error=float(lost.std() / np.sqrt(len(lost))),
        shares=shares,
        cost_ratio=float(np.dot(shares, costs) / costs[-1]),
    )


def cheapest_within(points: Sequence[ExitPoint], lost_ratio: float) -> ExitPoint:
    """Return the cheapest point that loses no more accuracy than allowed from the first.

    What it lost is taken for one standard error more: of many that are tried, the cheapest that
    just holds has been lucky, and would lose more elsewhere.

    Args:
        points: the first leaves nobody early.
        lost_ratio: at least 0.
    """
    least = points[0].accuracy_ratio - lost_ratio
    good = [point for point in points if point.accuracy_ratio - point.error >= least]
    return min(good, key=lambda point: (point.cost_ratio, point.threshold))


def write_exit_rule(path: Path, threshold: float) -> None:
    """Put a threshold into a file whose outputs but the first are exits, in execution order.

    Its nodes are put in the order in which an inference needs them: what lies before an exit, the
    exit, and only then what follows. Exporters have other orders, in which an inference that ends
    early has done work for the outputs behind.
    """
    model = onnx.load(path)
    _order_by_exits(model.graph)
    put_metadata(model, {_KEY: f"{threshold:.9g}"})
    onnx.save(model, path)


def _order_by_exits(graph: onnx.GraphProto) -> None:
    nodes, outputs = list(graph.node), [output.name for output in graph.output]
    maker = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    ordered: dict[int, None] = {}
    for output in (*outputs[1:], outputs[0]):
        needed: set[int] = set()
        waiting = [output]
        while waiting:
            place = maker.get(waiting.pop())
            if place is not None and place not in needed and place not in ordered:
                needed.add(place)
                waiting += nodes[place].input
        ordered.update(dict.fromkeys(sorted(needed)))
    del graph.node[:]
    graph.node.extend(nodes[place] for place in ordered)


def read_exit_rule(path: Path) -> float | None:
    """Return the threshold of a file; None where it has no rule.

    Raises:
        ExportError: if it has one that is no number, or no exits.
    """
    model = onnx.load(path, load_external_data=False)
    said = next((entry.value for entry in model.metadata_props if entry.key == _KEY), None)
    if said is None:
        return None
    try:
        threshold = float(np.float32(said))
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold < 1e3 or len(model.graph.output) < 2:
        raise ExportError(
            f"{path.name}: {_KEY} is {said!r} with {len(model.graph.output)} outputs; expected a "
            "threshold in nats and an exit"
        )
    return threshold
