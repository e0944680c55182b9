"""What the check of a network with exits looks at: the outputs that an inference came to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.verification import ExitCheck
from hwkd.deploy.exit_rule import entropies, exits_taken
from hwkd.deploy.to_c.project import Project

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]


def outputs_taken(project: Project, expected: _Int8) -> NDArray[np.int64]:
    """Return the output that each inference ends at, by ONNX Runtime's answers.

    Args:
        expected: shape [inputs, bytes of all outputs].

    Returns:
        Numbers of outputs, shape [inputs]; 0, the first, is the end of the network.
    """
    if project.exit_entropy is None:
        return np.zeros(len(expected), np.int64)
    columns = _columns(project)
    scales = [float(tensor.scale) for tensor in project.outputs.values()]
    found = [
        entropies(expected[:, own], scale)
        for own, scale in zip(columns[1:], scales[1:], strict=True)
    ]
    taken = exits_taken(found, project.exit_entropy)
    return np.where(taken == len(found), 0, taken + 1)


def reached(project: Project, outputs: _Int8, taken: NDArray[np.int64]) -> _Int8:
    """Return outputs with those that an inference did not come to as zeros."""
    if project.exit_entropy is None:
        return outputs
    kept = outputs.copy()
    for index, own in enumerate(_columns(project)):
        is_early = (taken > 0) & ((index == 0) | (taken < index))
        kept[is_early, own] = 0
    return kept


def answers(project: Project, outputs: _Int8, taken: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the output that each inference ended at, in real values; shape [inputs, *output]."""
    columns, tensors = _columns(project), list(project.outputs.values())
    real = np.empty((len(outputs), *tensors[0].shape[1:]), np.float32)
    for index in np.unique(taken):
        tensor, is_here = tensors[index], taken == index
        # C keeps maps position by position, a head has them class by class.
        places = project.arranged.places[tensor.name].reshape(tensor.shape[1:])
        steps = outputs[is_here][:, columns[index]][:, places].astype(np.float32)
        real[is_here] = (steps - np.float32(tensor.zero_point)) * np.float32(tensor.scale)
    return real


def exit_checks(
    project: Project,
    taken: NDArray[np.int64],
    ticks: NDArray[np.uint32],
    instructions: Callable[[int], int],
) -> tuple[ExitCheck, ...]:
    """Return how many inferences ended where, and what they took; none without exits.

    Args:
        ticks: of each inference.
        instructions: of ticks.
    """
    if project.exit_entropy is None:
        return ()
    names = list(project.outputs)
    order = [*range(1, len(names)), 0]
    return tuple(
        ExitCheck(
            output=names[index],
            inputs=int((taken == index).sum()),
            instructions=instructions(int(ticks[taken == index].mean()))
            if (taken == index).any()
            else None,
        )
        for index in order
    )


def _columns(project: Project) -> list[slice]:
    sizes = [tensor.elements for tensor in project.outputs.values()]
    ends = np.cumsum(sizes)
    return [slice(int(e) - size, int(e)) for e, size in zip(ends, sizes, strict=True)]
