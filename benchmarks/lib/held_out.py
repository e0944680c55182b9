"""Predictions of rows that a fit has not seen: what errors and intervals rest on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.lib.published import xg24_convolutions
from benchmarks.lib.stacks import (
    OTHER_BOARD_NOISE,
    STACKS,
    Stack,
    fitted,
    mlperf,
    models,
    operators,
    prior_of,
    single_operators,
    stack_named,
)
from hwkd.cost.fit.design import Array, Design
from hwkd.cost.fit.solve import fit_cycles
from hwkd.cost.fit.validate import fold_of, held_out_predictions

FOLDS = 5
X_CUBE_AI = ("x-cube-ai-7", "x-cube-ai-8", "x-cube-ai-10")
OPERATOR_BOARDS = (
    ("NUCLEO-F446RE", "cortex-m4.tflm-cmsis-nn"),
    ("NUCLEO-L552ZE-Q", "cortex-m33.tflm-cmsis-nn"),
)


@dataclass(frozen=True)
class HeldOut:
    """Predictions beside measurements.

    Attributes:
        design: the measured rows.
        predicted: cycles, each from a fit without the row's group.
        folds: fold of each row.
    """

    design: Design
    predicted: Array
    folds: np.typing.NDArray[np.intp]

    @property
    def ratios(self) -> Array:
        """Measured over predicted."""
        return self.design.cycles / self.predicted


@cache
def held_out_operators(board: str, fit_name: str, every: int = 1) -> HeldOut:
    """Return five-fold predictions of a board's operators, grouped by configuration.

    Args:
        board: where they were measured.
        fit_name: the stack whose prior and spread are used.
        every: keep one row in so many, for a quick check.
    """
    stack = stack_named(fit_name)
    design = Design.of(operators(board)[::every])
    folds = fold_of(design.groups, FOLDS)
    prior = prior_of(stack)
    predicted = held_out_predictions(
        design, folds, lambda rows: fit_cycles(rows, prior, stack.spread)
    )
    return HeldOut(design, predicted, folds)


@cache
def held_out_families(stack: Stack) -> HeldOut:
    """Return predictions of a stack's rows with one model family left out everywhere."""
    design = Design.of(stack.rows())
    groups = np.array(design.groups)
    predicted = np.zeros(design.rows)
    folds = fold_of(design.groups, design.rows)
    for group in set(design.groups):
        rows = groups == group
        predicted[rows] = design.amounts[rows] @ fitted(stack, (group,))
    return HeldOut(design, predicted, folds)


@cache
def whole_model_ratios(*, without: str = "") -> Array:
    """Return measured over predicted of all X-CUBE-AI rows, families held out, but one stack's."""
    chosen = [s for s in STACKS if s.runtime in X_CUBE_AI and s.name != without]
    return np.concatenate([held_out_families(stack).ratios for stack in chosen])


@cache
def other_board_ratios() -> Array:
    """Return measured over predicted on M33 boards that the operators were not measured on.

    Only convolutions count: the operators hold no depthwise and no fully connected layer.
    """
    stack = stack_named("cortex-m33.tflm-cmsis-nn")
    operator_rows = Design.of(operators("NUCLEO-L552ZE-Q"))
    per_unit = fit_cycles(operator_rows, prior_of(stack), stack.spread)
    resnet = [row for row in mlperf("EK-RA6M4", "TFLM") if row.model == "ic01"]
    rows = Design.of(
        (
            *models(resnet, OTHER_BOARD_NOISE),
            *single_operators(xg24_convolutions(), OTHER_BOARD_NOISE),
        )
    )
    return rows.cycles / (rows.amounts @ per_unit)
