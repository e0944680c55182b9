"""Writes docs/accuracy.md and its pictures from the data that the project carries.

usage: python -m tools.accuracy_page
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np

from benchmarks.accuracy import (
    cost_intervals,
    cost_model_families,
    cost_new_board,
    cost_new_stack,
    cost_other_boards,
    cost_single_operators,
)
from benchmarks.lib.held_out import (
    OPERATOR_BOARDS,
    HeldOut,
    held_out_families,
    held_out_operators,
)
from benchmarks.lib.stacks import STACKS, Stack, stack_named
from benchmarks.lib.verdict import Target
from hwkd.core.device import LatencyModel
from hwkd.cost.fit.validate import summarise
from tools.accuracy_plots import plot_models, plot_operators
from tools.refit import latency_model

DOCS = Path(__file__).parents[1] / "docs"

_HEAD = """# How far to trust the latency estimates

Written by `python -m tools.accuracy_page` from `benchmarks/facts`; the numbers below are
computed, not typed. Every error is on rows that the fit had not seen. Every row of the first table
is a command, `python -m benchmarks.<name>`, that exits 1 when its target is missed.

An estimate is a sum of non-negative terms: amounts of work (multiply-accumulates by kind of
operator, output elements, copies into column buffers, weights read, calls) times cycles for each.
Coefficients belong to a pair of core and runtime. One fitting rule serves one row or thousands: it
finds the most probable cycles given the rows and a published stack to start from
(`hwkd/cost/fit/solve.py`). A term that no row shows keeps its ratio to the rest, and its operator
class is named under "borrowed".
"""

_LIMITS = """
## Where not to trust it

- **Other boards.** Cycles are taken as a property of core and runtime. Flash wait states and caches
  differ: coefficients of NUCLEO-L552ZE-Q read 14% low for ResNet-8 on EK-RA6M4 at 200 MHz and 4 to
  9% low on xG24, and those of one M4 board were up to 1.4 times off on another. The intervals of
  the generic devices allow for it; one measured model (`hwkd devices calibrate`) removes most.
- **Another clock.** `--clock` scales time only. Faster clocks need more flash wait states.
- **New stacks.** From one measured model the mean error is below 10% on each core, from vww01. From
  kws01 it is 11% on the M4, and single stacks are 20 to 40% off: those whose fully connected
  kernels have little in common with their convolutions.
- **What was chosen on these rows.** Coefficients never saw the rows that they are tested on, but
  the form of the model did: which amounts to count, the spreads, what channels that are no
  multiple of four cost in the generic start, and, for new stacks, how similar stacks are
  weighted and how far fully connected layers follow (about twenty settings were compared). The
  M4's 9.5% from one model was 11.2% before that choice. Expect new data to be somewhat worse.
- **Leave one board out** rests on few boards: one H7A3 by two submitters and four reference models
  on the H747; for the M33, two software versions on one board, so no second M33 board is tested.
- **Borrowed classes.** `tflm-cmsis-nn` on the M4 has no depthwise or fully connected row of its
  own; on the M7 and M0+ all of it is scaled from the M4 (see the device files).
- **esp-nn and tflm-reference on ESP32** rest on about a dozen operators, one or two of each class;
  their intervals say so. Measure before you decide.
- **Raspberry Pi** fits rest on six large image networks with one thread; small students lie outside
  and the interval widens. ncnn uses Winograd kernels for some 3x3 convolutions and not for others.
- **Grouped convolutions** with several channels in each group were timed nowhere; priced as
  depthwise ones, with ends six times as far where all of the latency lies there.
- **Attention** matrix products were measured nowhere on a microcontroller; their cost is borrowed.
- **float32** is known for the Raspberry Pi only.
"""


def main() -> int:
    """Write the page; returns 1 when a target is missed."""
    DOCS.mkdir(exist_ok=True)
    pictures = DOCS / "accuracy"
    pictures.mkdir(exist_ok=True)
    targets = _all_targets()
    lines = [_HEAD, "## Targets\n", "| what | reached | target | |", "|---|---|---|---|"]
    lines += [_target_row(name, target) for name, target in targets]
    operators = {board: held_out_operators(stack_named(name)) for board, name in OPERATOR_BOARDS}
    plot_operators(operators, pictures / "operators.png")
    lines += ["\n![Operators, predicted against measured](accuracy/operators.png)"]
    by_core: dict[str, dict[str, HeldOut]] = {}
    for stack in STACKS:
        if stack.runtime.startswith("x-cube-ai"):
            by_core.setdefault(stack.core, {})[stack.runtime] = held_out_families(stack).of(stack)
    plot_models(by_core, pictures / "models.png")
    lines += ["\n![Whole models, predicted against measured](accuracy/models.png)"]
    lines += ["\n## Runtime by runtime"]
    for stack in STACKS:
        lines += _stack_section(stack)
    lines += [_LIMITS]
    (DOCS / "accuracy.md").write_text("\n".join(lines), encoding="utf-8")
    missed = [target for _, target in targets if not target.is_met]
    for target in missed:
        print(target)
    return 1 if missed else 0


def _all_targets() -> list[tuple[str, Target]]:
    modules = (
        cost_single_operators, cost_new_board, cost_model_families, cost_other_boards,
        cost_new_stack, cost_intervals,
    )  # fmt: skip
    found = []
    for module in modules:
        with contextlib.redirect_stdout(io.StringIO()):
            targets = module.targets()
        found += [(module.__name__.rpartition(".")[2], target) for target in targets]
    return found


def _target_row(name: str, target: Target) -> str:
    sign = "≥" if target.at_least else "≤"
    verdict = "met" if target.is_met else "**missed**"
    reached, limit = f"{target.reached:.2%}", f"{sign} {target.limit:.1%}"
    return f"| {target.what} (`{name}`) | {reached} | {limit} | {verdict} |"


def _stack_section(stack: Stack) -> list[str]:
    model = latency_model(stack)
    board = next((b for b, name in OPERATOR_BOARDS if name == stack.name), None)
    held = held_out_families(stack).of(stack) if board is None else held_out_operators(stack)
    title = f"{stack.core}, {stack.runtime} {stack.version}"
    errors = summarise(held.predicted, held.cycles)
    return [
        f"\n### {title}{'' if stack.dtype == 'int8' else ', ' + stack.dtype}\n",
        f"- fitted on {model.fitted_on} ({model.measurements} rows); source: {model.source}",
        f"- held-out error: mean {errors.mean_ratio:.1%}, worst {errors.worst_ratio:.1%} "
        f"({model.validation})",
        f"- 90% interval: x{model.interval.low_ratio:.2f} to x{model.interval.high_ratio:.2f} "
        f"({model.interval.calibrated_on})",
        f"- borrowed: {', '.join(model.borrowed) or 'nothing'}",
        f"- fitted range: {_ranges(model)}",
        "",
        *_fold_table(held),
    ]


def _ranges(model: LatencyModel) -> str:
    return "; ".join(
        f"{name} {fitted.macs[0]:,.0f} to {fitted.macs[1]:,.0f}"
        for name, fitted in model.fitted_range.items()
    )


def _fold_table(held: HeldOut) -> list[str]:
    """Return errors by fold: fold numbers for operators, families for models."""
    labels = np.array(held.labels)
    lines = ["| left out | rows | mean error | worst |", "|---|---|---|---|"]
    for label in sorted(set(labels)):
        rows = labels == label
        errors = summarise(held.predicted[rows], held.cycles[rows])
        lines.append(
            f"| {label} | {errors.rows} | {errors.mean_ratio:.1%} | {errors.worst_ratio:.1%} |"
        )
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
