"""Compares each layer of the C with ONNX Runtime's, both reading the very same integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hwkd.core.core_file import Rounding
from hwkd.core.verification import LayerCheck, layer_fault
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.verify_average import averages_in_any_order
from hwkd.deploy.verify_norm import norms_in_any_order
from hwkd.deploy.verify_onnx import LayerReference, tensors_of_trace
from hwkd.deploy.verify_transposed import transposed_in_any_order
from hwkd.qgraph.ir import ConvTranspose, LayerNorm, Pool, QuantOp, Relayout

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
_Bools: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(slots=True)
class StepCount:
    """Running totals of one step; see `hwkd.core.verification.LayerCheck`."""

    values: int = 0
    differing: int = 0
    averages_within_bound: int = 0
    averages_at_tie: int = 0
    max_lsb: int = 0

    def fault(self, rounding: Rounding) -> str | None:
        """Say what is wrong; None where the step is as it should be."""
        return layer_fault(
            rounding, values=self.values, differing=self.differing, max_lsb=self.max_lsb
        )


@dataclass(slots=True)
class LayerComparison:
    """Totals over any number of traces; `add` takes one after the other.

    Attributes:
        model_path: the ONNX file that the project was made from.
    """

    model_path: Path
    project: Project
    _reference: LayerReference = field(init=False)
    _counts: list[StepCount] = field(init=False)
    _tensors: list[tuple[str, ...]] = field(init=False)
    _has_other_tie: list[_Bools] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._reference = LayerReference(self.model_path, self.project)
        self._counts = [StepCount() for _ in self.project.steps]
        self._tensors = _tensors_of_steps(self.project, self._reference.names)

    def add(self, inputs: _Int8, step_outputs: tuple[_Int8, ...]) -> None:
        """Compare what one program wrote.

        Args:
            inputs: shape [samples, input bytes].
            step_outputs: for each step int8 [samples, bytes].
        """
        ours = tensors_of_trace(self.project, inputs, step_outputs)
        theirs = self._reference.run(ours)
        other_tie = np.zeros(len(inputs), np.bool_)
        steps = zip(self.project.arranged.graph.ops, self._counts, self._tensors, strict=True)
        for op, count, names in steps:
            main = op.output if op.output in names else names[0] if names else ""
            for name in names:
                other_tie |= _compare(
                    self.project, op, name, ours, theirs[name], count, is_main=name == main
                )
            if isinstance(op, Relayout):
                expected = ours[op.inputs[0]]
                _compare(self.project, op, op.output, ours, expected, count, is_main=True)
        self._has_other_tie.append(other_tie)

    @property
    def steps(self) -> tuple[StepCount, ...]:
        """What was found, for each step of the C."""
        return tuple(self._counts)

    def checks(self, instructions: Sequence[int]) -> tuple[LayerCheck, ...]:
        """Return what was found, for each step of the C."""
        return tuple(
            LayerCheck(
                name=step.name,
                kind=step.kind,
                macs=step.macs,
                instructions=executed,
                **asdict(count),
            )
            for step, executed, count in zip(
                self.project.steps, instructions, self._counts, strict=True
            )
        )

    @property
    def has_other_tie(self) -> _Bools:
        """For each input whether an average in it fell to the other side of a tie."""
        return np.concatenate(self._has_other_tie)


def _tensors_of_steps(project: Project, known: list[str]) -> list[tuple[str, ...]]:
    """Return for each step the tensors of the file that lie in its buffer, views included.

    A view of the network's input belongs to no step; it is compared with the first.
    """
    buffer_of = project.arranged.buffer_of
    writers = {step.output: index for index, step in enumerate(project.steps)}
    found: list[list[str]] = [[] for _ in project.steps]
    for name in known:
        found[writers.get(buffer_of[name], 0)].append(name)
    return [tuple(names) for names in found]


def _compare(
    project: Project,
    op: QuantOp,
    name: str,
    ours: dict[str, _Int8],
    expected: _Int8,
    count: StepCount,
    *,
    is_main: bool,
) -> _Bools:
    """Count the differences in one tensor; return the inputs with an average at another tie.

    The main tensor of a step is what it writes, or the first reshape of that in the file: a
    window over time writes a plane of height 1, which only the exporter knows.
    """
    values = ours[name]
    lsb = np.abs(values.astype(np.int16) - expected.astype(np.int16))
    is_other = lsb > 0
    within = np.zeros_like(is_other)
    bounds = _bounds(project, op, ours) if is_main else None
    if bounds is not None:
        low, high = (bound.reshape(lsb.shape) for bound in bounds)
        count.averages_at_tie += int((low < high).sum())
        # Both must be what float sums of some order give: a reference that is not is no tie.
        within = (lsb == 1) & (low <= np.minimum(values, expected))
        within &= np.maximum(values, expected) <= high
    if is_main:  # a view of it has the same values once more
        count.values += values.size
    count.averages_within_bound += int(within.sum())
    count.differing += int((is_other & ~within).sum())
    count.max_lsb = max(count.max_lsb, int(lsb.max(initial=0, where=~within)))
    return np.asarray(within.reshape(len(values), -1).any(axis=1))


def _bounds(project: Project, op: QuantOp, ours: dict[str, _Int8]) -> tuple[_Int8, _Int8] | None:
    """Return what float sums of any order may give; None where integers decide."""
    tensors = project.arranged.graph.tensors
    ends = tensors[op.inputs[0]], tensors[op.output]
    if isinstance(op, Pool) and op.kind != "max":
        return averages_in_any_order(op, ours[op.inputs[0]][:, 0], *ends)
    if isinstance(op, ConvTranspose):
        return transposed_in_any_order(op, ours[op.inputs[0]][:, 0], *ends)
    if isinstance(op, LayerNorm):
        return norms_in_any_order(op, ours[op.inputs[0]], *ends)
    return None
