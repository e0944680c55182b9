"""The latency of exported C on a core: closed forms of its counted instructions, priced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.lib.c_cycles import (
    MANUAL,
    CountedOp,
    counted,
    held_out_ratios,
    m7_over_m4,
    over_manual,
    prices,
)
from benchmarks.lib.stacks import OPERATORS
from hwkd.core.device import Interval, LatencyModel
from hwkd.cost.fit.describe import describe_fit
from hwkd.cost.fit.design import COLUMNS, Array, Design, Measurement, as_table, as_vector
from hwkd.cost.fit.prior import GENERIC
from hwkd.cost.fit.solve import fit_cycles

_SOURCE = (
    "instructions: python -m tools.c_instructions (benchmarks/facts/c_instructions.csv); cycles of "
    "CMSIS-NN: benchmarks/facts/op_cycles.csv"
)
_TAIL = 1.645
# Classes that only counted kernels tell apart, in instructions of a Cortex-M4 as read from the
# loops of `hwkd/deploy/to_c/kernels`; a start for the fit, so rounded.
_PRODUCTS: dict[str, float] = {
    "mac": 0.8, "mac_of_three": 1.0, "block_of_16": 6, "block_of_4": 3, "pair": 50,
    "single_mac": 1.4, "single_rest": 0.5, "single_block": 5, "single_pair": 20, "output": 30,
    "pixel": 50, "last_mac": 0.1,
}  # fmt: skip
_COUNTED: dict[str, dict[str, float]] = {
    "lined": {
        "tap": 9,
        "tap_of_nine": 8,
        "pixel": 90,
        "loaded": 8,
        "moved": 5,
        "row": 40,
        "weight": 5,
        "block": 150,
        "call": 150,
    },
    "gathered": {
        **_PRODUCTS,
        "row": 30,
        "tap": 20,
        "byte": 2,
        "filled": 1,
        "narrow_row": 10,
        "narrow_tap": 10,
        "narrow_byte": 2,
        "call": 300,
    },
    "listed": {**_PRODUCTS, "byte": 2, "call": 100},
    "grouped": {"mac": 8, "tap": 25, "output": 30, "call": 200},
    "transposed": {"mac": 8, "tap": 40, "output": 80, "call": 200},
    "move": {"output": 12, "looked_up": 2, "filled": 0.5, "run": 25, "call": 150},
    "resize": {"output": 40, "pixel": 40, "call": 100},
    "max_pool": {"tap": 6, "place": 20, "output": 10, "call": 100},
    "product": {"output": 20, "run": 10, "call": 100},
    "softmax_rows": {"output": 40, "row": 40, "call": 100},
    "layer_norm": {"output": 35, "row": 150, "call": 100},
    "lookup": {"output": 3, "digit": 10, "row": 30, "call": 50},
}
# Classes that the finer ones above leave nothing to.
_REPLACED = ("pointwise", "conv", "depthwise", "dense", "softmax")
_PRIOR: Array = np.add(
    [value * (name not in _REPLACED) for (name, _), value in zip(COLUMNS, GENERIC, strict=True)],
    as_vector(_COUNTED),
)
_CLASSES = frozenset(as_table(_PRIOR))
# Standard deviation of the logarithm between boards of one core with one software: 5 to 15%.
_BOARDS = 0.08


@dataclass(frozen=True, kw_only=True)
class Pricing:
    """What an instruction costs on a core.

    Attributes:
        cycles: of a word moved, a product, a branch, any other instruction.
        fitted_on: the silicon behind it, in words.
        error_ratio: mean error on silicon that it was not fitted to.
        validation: how that was obtained.
        deviation: standard deviation of the logarithm, boards included.
        calibrated_on: what that rests on.
    """

    cycles: Array
    fitted_on: str
    error_ratio: float
    validation: str
    deviation: float
    calibrated_on: str


def pricing(core: str) -> Pricing:
    """Return the prices on one core."""
    return _PRICINGS[core]()


def _timed(core: str, board: str) -> Pricing:
    """Return the prices of a core on which CMSIS-NN's operators were timed."""
    rows = counted(core, "cmsis-nn")
    logs = np.log(held_out_ratios(core))
    return Pricing(
        cycles=prices(rows)[:-1],
        fitted_on=f"{len(rows)} operators of CMSIS-NN on {board}",
        error_ratio=float(np.mean(np.abs(logs))),
        validation=f"CMSIS-NN on {board}, each window left out; hwkd's own C was never timed",
        deviation=float(np.hypot(np.sqrt(np.mean(logs**2)), _BOARDS)),
        calibrated_on=f"CMSIS-NN's windows left out on {board}, and what boards differ by",
    )


def _m4() -> Pricing:
    return _timed("cortex-m4", "NUCLEO-F446RE")


def _m33() -> Pricing:
    return _timed("cortex-m33", "NUCLEO-L552ZE-Q")


def _m7() -> Pricing:
    m4, logs = _m4(), np.log(m7_over_m4())
    misfit = logs - logs.mean()
    own = np.log(held_out_ratios("cortex-m4"))
    return Pricing(
        cycles=m4.cycles * np.exp(logs.mean()),
        fitted_on=f"{m4.fitted_on}, times Cortex-M7 over Cortex-M4 of {len(logs)} pairs of the "
        "same software and network",
        error_ratio=float(np.mean(np.abs(misfit))),
        validation="the pairs, their mean over each; hwkd's own C was never timed",
        deviation=float(np.sqrt(np.mean(misfit**2) + np.mean(own**2))),
        calibrated_on="spread of the pairs and CMSIS-NN's windows left out on NUCLEO-F446RE",
    )


def _apart() -> float:
    """Return what the two timed cores say of each other, as the logarithm of a ratio."""
    return abs(float(np.log(over_manual("cortex-m4") / over_manual("cortex-m33"))))


def _m0plus() -> Pricing:
    nearest = np.sqrt(over_manual("cortex-m4") * over_manual("cortex-m33"))
    return Pricing(
        # Two stages: a word takes a second cycle, a branch one more; products in one cycle.
        cycles=np.array([1.6, 1.0, 2.0, 1.0]) * nearest,
        fitted_on="Arm's manual, times what CMSIS-NN takes over it on Cortex-M4 and M33",
        error_ratio=_apart(),
        validation="Cortex-M4 from Cortex-M33; no Cortex-M0+ was timed with known code",
        deviation=float(np.hypot(_apart(), 0.15)),
        calibrated_on="what the nearest timed cores differ by; a choice of hwkd, no silicon",
    )


def _m55() -> Pricing:
    return Pricing(
        cycles=MANUAL[:-1] * over_manual("cortex-m55"),
        fitted_on="Arm's manual, times what one Helium convolution of CMSIS-NN takes over it on "
        "Apollo510 EVB",
        error_ratio=_apart(),
        validation="Cortex-M4 from Cortex-M33; one operator was timed here",
        deviation=0.42,
        calibrated_on="a choice of hwkd: one operator was timed on this core",
    )


_PRICINGS = {
    "cortex-m4": _m4, "cortex-m33": _m33, "cortex-m7": _m7, "cortex-m0plus": _m0plus,
    "cortex-m55": _m55,
}  # fmt: skip
CORES = tuple(_PRICINGS)


def measurements(core: str) -> list[Measurement]:
    """Return our operators with their instructions priced."""
    price = pricing(core).cycles
    return [_measurement(row, float(row.amounts @ price)) for row in counted(core, "hwkd")]


def instruction_forms(core: str) -> dict[str, dict[str, float]]:
    """Return instructions by operator class and amount of work."""
    rows = [_measurement(row, row.instructions) for row in counted(core, "hwkd")]
    return as_table(closed_forms(rows))


def _measurement(row: CountedOp, cycles: float) -> Measurement:
    name = f"{row.graph.ops[0].kind} {row.kernel}"
    return Measurement(name=name, graph=row.graph, cycles=cycles, group=name, noise_ratio=0.03)


def closed_forms(rows: list[Measurement]) -> Array:
    """Return cycles per amount of work."""
    return fit_cycles(Design.of(rows, priced=_CLASSES), _PRIOR, OPERATORS)


def closed_form_logs(core: str) -> Array:
    """Return the logarithms of priced instructions over their closed forms."""
    rows = measurements(core)
    design = Design.of(rows, priced=_CLASSES)
    logs: Array = np.log(design.cycles / (design.amounts @ closed_forms(rows)))
    return logs


def latency_model(core: str) -> LatencyModel:
    """Return the latency of exported C on one core."""
    rows, price = measurements(core), pricing(core)
    # A whole network's misfit is mostly that of what takes its time.
    share = np.array([row.cycles for row in rows])
    misfit = float(np.sqrt(np.average(closed_form_logs(core) ** 2, weights=share)))
    reach = float(np.exp(_TAIL * np.hypot(price.deviation, misfit)))
    return describe_fit(
        closed_forms(rows),
        rows,
        fitted_on=f"instructions of {len(rows)} operators, priced by {price.fitted_on}",
        source=_SOURCE,
        error_ratio=price.error_ratio,
        validation=price.validation,
        interval=Interval(
            low_ratio=round(1 / reach - 0.0005, 3), high_ratio=round(reach + 0.0005, 3),
            calibrated_on=f"{price.calibrated_on}; closed forms of the counted instructions",
        ),
    )  # fmt: skip
