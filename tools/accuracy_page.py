"""Writes docs/accuracy.md and its pictures from the data that the project carries.

usage: python -m tools.accuracy_page
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Container
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmarks.accuracy import (
    cost_intervals,
    cost_model_families,
    cost_new_board,
    cost_new_stack,
    cost_order,
    cost_other_boards,
    cost_single_operators,
    memory_families,
)
from benchmarks.lib import c_fit
from benchmarks.lib.held_out import (
    OPERATOR_BOARDS,
    HeldOut,
    held_out_families,
    held_out_operators,
)
from benchmarks.lib.results import read_results
from benchmarks.lib.stacks import STACKS, Stack, stack_named
from benchmarks.lib.verdict import Target
from hwkd.core.device import LatencyModel
from hwkd.core.kinds import OPERATORS, kind_of
from hwkd.cost.fit.validate import summarise
from hwkd.io.device_catalog import load_device
from hwkd.io.runtime_files import load_runtime
from tools.accuracy_plots import plot_models, plot_operators
from tools.refit import latency_model

DOCS = Path(__file__).parents[1] / "docs"

_HEAD = """# How far to trust the estimates of latency and RAM

After this page you know how far an estimate of latency, RAM or flash may be off,
on which chip and runtime, and why.

Written by `python -m tools.accuracy_page` from `benchmarks/facts`; the numbers below are
computed, not typed. Every error is on rows that the fit had not seen. Every row of the first table
is a command, `python -m benchmarks.<name>`, that exits 1 when its target is missed.

An estimate is a sum of non-negative terms: amounts of work (multiply-accumulates by kind of
operator, output elements, copies into column buffers, weights read, calls) times cycles for each.
Coefficients belong to a pair of core and runtime. One fitting rule serves one row or thousands: it
finds the most probable cycles given the rows and a published stack to start from
(`hwkd/cost/fit/solve.py`). A term that no row shows keeps its ratio to the rest, and its operator
class is named under "borrowed". ST's runtimes of all versions and cores are fitted together, and
so are the open kernels on M4 and M33 (`benchmarks/lib/related_fits.py`): the file of each says for
every form of operator how many rows hold it and how well it is known; "never timed" lists the forms
that only a relative timed.
"""

_ORDER = """
## Order of networks of equal work

A search needs order. Pairs have multiply-accumulates within 10% of each other; each network is
predicted by a fit that saw nothing of it (`cost_order`). What counting multiply-accumulates orders
rightly stands beside it. The published networks make few pairs, most of them of one family and
within 6% of each other on silicon, which is less than the model is off by. A row whose printed
weights are more than 0.5% from those of its list of layers was timed on another network of its name
and is left out, here, of every fit and of every table of RAM: four rows, 2 to 26% off (all others
agree within 0.1%). With them the published networks make 19 pairs, 16 of them ordered rightly:
84.2%, where 85% is the goal.
"""

_MEMORY = """
## RAM and code of ST's runtimes

Predicted against what the model zoo prints, each row by rules without its family
(`memory_families`). Which output lies over which input is a rule by kind of operator and version
and not fitted (`hwkd/cost/memory_slide.py`); fitted are the working memory that version 10 and
later keep apart and the laws of runtime RAM and code. "Published over predicted" holds nine of ten
rows.
"""

_MISSED = """
## What is missed, and why

- **The worst family of networks** is MLPerf's autoencoder, ten dense layers. Dense layers are below
  1% of the time of every other network, so only the prior prices them when it is left out. Versions
  7 and 8 of X-CUBE-AI come out 12 to 24% too low and 9 to 10 from 5% too low to 9% too high; all
  thirteen rows lie inside their intervals. Rules that would be physical (weights read at the
  version's price, dense layers that follow a version's speed by half) make it 26 to 46%
  ([latency fits](decisions/latency-fits.md)).
- **Activation RAM of X-CUBE-AI 8**: one MobileNetV1 of four that hold the same operators is planned
  as version 7 plans it, the others are not, and neither kind nor size tells them apart.
- **Activation RAM of X-CUBE-AI 7 and 10**: the smallest network of each, of 4.8 and 17.6 KB; 732
  and 2,700 bytes are missing or too many ([memory and flash](decisions/memory-and-flash.md)).
"""

_OWN_C = """
## hwkd's own C

Instructions are counted on an emulated core and priced by what CMSIS-NN's instructions take on
silicon (`hwkd_c_cycles`), so the band below is that of prices; nobody timed this C. The closed
forms that replace counting for networks of a search were predicted over counted, by kind of layer,
on networks that they were not fitted to (`hwkd_c_layers`), all cycles of a kind together. Whole
networks, the worst of them: """

_RUNTIMES = """
## Runtime by runtime

The "90% interval" of a runtime is that of networks whose operators were timed. A row left out may
hold operators that the rest never timed: its own interval is widened by what is not known of each,
so "covered" may say 100% beside an error far outside the narrow one."""

_LIMITS = """
## Where not to trust it

- **Other boards.** Cycles are taken as a property of core and runtime. Flash wait states and caches
  differ: coefficients of NUCLEO-L552ZE-Q read 14% low for ResNet-8 on EK-RA6M4 at 200 MHz and 4 to
  9% low on xG24, and those of one M4 board were up to 1.4 times off on another. The intervals of
  the generic devices allow for it; one measured model (`hwkd devices calibrate`) removes most.
- **Other compiler flags.** `tflm-cmsis-nn` on the M4 is fitted to builds for speed. EdgeMark's
  networks on NUCLEO-L4R5ZI built with GCC -Os took 1 to 87% longer than estimated, 40% in the
  mean, and 4 of 18 lie inside their intervals; built with -Ofast 17 of 18 do
  (`cost_other_boards` prints both). Calibrate with your build.
- **Zero channels.** X-CUBE-AI 8 and later leave all-zero channels out, in groups of four.
- **Data elsewhere.** ST's runtimes are fitted to rows with weights in internal flash and tensors in
  internal RAM; published rows in external memory were left out. A network that does not fit there
  runs slower than any interval says.
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
- **Borrowed classes.** `tflm-cmsis-nn` on the M7 and M0+ is scaled from the M4 (see the device
  files), and its evidence is the M4's.
- **Cortex-M55** rests on eight forms of operator and DS-CNN, from one board and kernels of two
  libraries, and starts from loops that were counted. A minimum counts as moving bytes, since it
  scales nothing: left out, it is 39% off and inside its band.
- **TinyEngine** has one network that can be rebuilt, on a board whose clock is not printed.
- **esp-nn and tflm-reference on ESP32** rest on about a dozen operators, one or two of each class,
  and one network, person detection on an ESP32-S3. Measure before you decide.
- **Raspberry Pi** fits rest on six large image networks with one thread; small students lie outside
  and the interval widens. ncnn uses Winograd kernels for some 3x3 convolutions and not for others.
- **Grouped convolutions** with several channels in each group were timed nowhere; priced as
  depthwise ones, with ends six times as far where all of the latency lies there (`hwkd-c` counts
  them).
- **Attention** matrix products were measured nowhere on a microcontroller; their cost is borrowed
  (but of `hwkd-c`, whose instructions are counted).
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
    lines += _order_section()
    lines += _memory_section()
    lines += [_MISSED]
    lines += _own_c_section()
    lines += [_RUNTIMES]
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
            found += [(_name_of(module), target) for target in module.targets()]
    with contextlib.redirect_stdout(io.StringIO()):
        for module in (cost_order, memory_families):
            found += [(_name_of(module), target) for target in module.targets()[0]]
    return found


def _name_of(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _order_section() -> list[str]:
    """Return how often pairs of networks are ordered rightly, device by device."""
    lines = [_ORDER]
    rows = {name: order.row for name, order in cost_order.orders()}
    columns = list(next(iter(rows.values())))
    lines += [f"| device | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    return lines + [f"| {n} | {' | '.join(map(str, row.values()))} |" for n, row in rows.items()]


def _memory_section() -> list[str]:
    """Return errors of RAM and code by runtime, those of activation RAM by family as well."""
    lines = [_MEMORY, "| runtime | what | rows | mean error | worst | published over predicted |"]
    lines += ["|---|---|---|---|---|---|"]
    seen: set[str] = set()
    folds = ["\n| runtime | family left out | rows | mean error | worst |", "|---|---|---|---|---|"]
    for runtime in dict.fromkeys(memory_families.RUNTIMES.values()):
        for what, (rows, ratio) in memory_families.left_out(runtime).items():
            low, high = np.quantile(1 / ratio, (0.05, 0.95))
            ends = f"x{low:.2f} to x{high:.2f}"
            lines += [f"| {runtime} | {what} | {len(rows)} | {_errors(ratio)} | {ends} |"]
            families = np.array([row.family for row in rows])
            if what == "activation RAM":
                folds += [
                    f"| {runtime} | {name} | {sum(families == name)} | "
                    f"{_errors(ratio[families == name])} |"
                    for name in sorted(set(families))
                ]
            seen |= {op.kind for row in rows for op in row.graph.ops}
    lines += [f"\nNo row holds another kind of operator than {', '.join(sorted(seen))}."]
    return [*lines, "\nActivation RAM, family by family:", *folds]


def _own_c_section() -> list[str]:
    """Return the bands of the exported C and the closed forms of its layers, kind by kind."""
    found = [one for one in read_results() if one.name == "accuracy.hwkd_c_layers"]
    rows = found[0].values["predicted over counted"] if found else []
    table = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    columns = list(dict.fromkeys(name for row in table for name in row))
    networks = [one for each in found for one in each.targets if " networks, " in one.what]
    reached = "; ".join(f"{one.what} {one.reached:.1f}%" for one in networks)
    lines = [_OWN_C + reached + ".\n", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(str(row.get(name, '')) for name in columns)} |" for row in table]
    lines += ["\n| core | 90% interval of a latency | calibrated on |", "|---|---|---|"]
    for core in c_fit.CORES:
        band = load_device(core).runtime("hwkd-c").latency["int8"].interval
        ends = f"x{band.low_ratio:.2f} to x{band.high_ratio:.2f}"
        lines.append(f"| {core} | {ends} | {band.calibrated_on} |")
    return lines


def _errors(ratio: np.typing.NDArray[np.float64]) -> str:
    error = np.abs(ratio - 1)
    return f"{error.mean():.1%} | {error.max():.1%}"


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
        f"- never timed: {_never_timed(model, load_runtime(stack.runtime).fusion.activations)}",
        "",
        *_fold_table(held, float(np.log(model.interval.high_ratio)) / 1.645),
    ]


def _never_timed(model: LatencyModel, free: Container[str]) -> str:
    """Return the forms without a row, and the activations that are not even listed."""
    if not model.evidence:
        return "nothing listed"
    names = [form for form, known in model.evidence.items() if not known.rows]
    curves = [name for name in OPERATORS.names() if kind_of(name).work == "activation"]
    names += [name for name in curves if name not in model.evidence and name not in free]
    return ", ".join(name for name in names if not name.startswith("other ")) or "nothing listed"


def _ranges(model: LatencyModel) -> str:
    return "; ".join(
        f"{name} {fitted.macs[0]:,.0f} to {fitted.macs[1]:,.0f}"
        for name, fitted in model.fitted_range.items()
    )


def _fold_table(held: HeldOut, misfit: float) -> list[str]:
    """Return errors by fold: fold numbers for operators, families for models."""
    labels = np.array(held.labels)
    lines = ["| left out | rows | mean error | worst | covered |", "|---|---|---|---|---|"]
    for label in sorted(set(labels)):
        rows = labels == label
        errors = summarise(held.predicted[rows], held.cycles[rows])
        covered = held.take(rows).covered(misfit).mean()
        lines.append(
            f"| {label} | {errors.rows} | {errors.mean_ratio:.1%} | {errors.worst_ratio:.1%} | "
            f"{covered:.0%} |"
        )
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
