"""Fits every stack to its published rows and writes the fits into `devices/runtimes/*.toml`.

usage: python -m tools.refit [--check]

What people write in those files (fusion, memory, storage) stays. With --check nothing is written:
the exit code is 1 when a file differs from what the data give.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib.held_out import (
    OPERATOR_BOARDS,
    HeldOut,
    held_out_families,
    held_out_operators,
    is_timed_by_kind,
    is_timed_by_operator,
    other_board_ratios,
)
from benchmarks.lib.stack_fits import model_of
from benchmarks.lib.stack_rows import MLPERF_NOISE, mlperf, models
from benchmarks.lib.stacks import STACKS, Stack
from hwkd.core.device import Interval, LatencyModel
from hwkd.cost.fit.describe import describe_interval
from hwkd.cost.fit.design import Design, as_vector
from hwkd.cost.fit.validate import summarise
from hwkd.io.fact_files import parse_facts
from tools.generated_part import with_generated

FOLDER = Path(__file__).parents[1] / "devices" / "runtimes"
# What boards, compilers and settings differ by where nothing else does.
_LEAST_MISFIT = 0.05
_PROGRAM = "python -m tools.refit"


def latency_model(stack: Stack) -> LatencyModel:
    """Fit one stack and test it on rows left out."""
    held, validation = tested(stack)
    errors = summarise(held.predicted, held.cycles)
    model = model_of(stack, interval_of(stack))
    update = {"error_ratio": round(errors.mean_ratio, 4), "validation": validation}
    return model.model_copy(update=update)


def interval_of(stack: Stack) -> Interval:
    """Return the interval of a network whose forms are known exactly, from all relatives."""
    if is_timed_by_operator(stack):
        words = "L552 operators against ResNet-8 on EK-RA6M4 and convolutions on xG24"
        return describe_interval(other_board_ratios(), words)
    if is_timed_by_kind(stack):  # a kind left out says nothing of a network of known kinds
        base = stack.open_ratio
        words = "what one measured network leaves open of a new stack; few of this one were timed"
    else:
        base = float(np.exp(1.645 * max(held_out_families(stack).misfit(), _LEAST_MISFIT)))
        words = "networks of families left out, all versions and cores of the runtime together"
    return Interval(
        low_ratio=round(1 / base - 0.0005, 3), high_ratio=round(base + 0.0005, 3),
        calibrated_on=words,
    )  # fmt: skip


def tested(stack: Stack) -> tuple[HeldOut, str]:
    """Return the predictions of a stack's rows left out, and how they were obtained."""
    board = next((b for b, name in OPERATOR_BOARDS if name == stack.name), None)
    if board is not None:
        words = f"single operators on {board}, 5 folds grouped by configuration"
        return held_out_operators(stack), words
    return held_out_families(stack).of(stack), "leave one model family (or operator) out"


@cache
def runtime_fits() -> dict[str, dict[str, Any]]:
    """Return runtime -> core -> version and latencies."""
    tables: dict[str, dict[str, Any]] = {}
    for stack in sorted(STACKS, key=lambda stack: stack.name):
        core = stack.name.split(".", 1)[0]
        table = tables.setdefault(stack.runtime, {}).setdefault(
            core, {"version": stack.version, "latency": {}}
        )
        table["latency"][stack.dtype] = latency_model(stack).model_dump(mode="json")
    return tables


def is_equal(given: Any, expected: Any) -> bool:
    """Compare nested tables, numbers to 2%; coefficients by what they predict.

    Two coefficients that the rows cannot tell apart may trade places without any effect.
    Evidence is compared form by form, by how well all of it is known.
    """
    if isinstance(expected, dict):
        if given.keys() != expected.keys():
            return False
        return all(
            _predict_alike(given[key], expected[key])
            if key == "cycles"
            else _know_alike(given[key], expected[key])
            if key == "evidence"
            else is_equal(given[key], expected[key])
            for key in given
        )
    if isinstance(expected, list):
        return len(given) == len(expected) and all(map(is_equal, given, expected))
    if isinstance(expected, float):
        return bool(np.isclose(given, expected, rtol=0.02, atol=1e-3))
    return bool(given == expected)


def _predict_alike(given: dict[str, Any], expected: dict[str, Any]) -> bool:
    rows = Design.of(models(mlperf("NUCLEO-L4R5ZI-P", "v10.2"), MLPERF_NOISE)).amounts
    return bool(np.allclose(rows @ as_vector(given), rows @ as_vector(expected), rtol=0.02))


def _know_alike(given: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Compare how well each form is known, in whatever directions.

    Directions in which equally little is known have no order: another machine turns them.
    """
    plain = [
        {form: {**known, "spread": 0.0, "shared": []} for form, known in table.items()}
        for table in (given, expected)
    ]
    known, wanted = (
        np.array([np.hypot(one["spread"], np.linalg.norm(one["shared"])) for one in table.values()])
        for table in (given, expected)
    )
    return is_equal(*plain) and bool(np.allclose(known, wanted, rtol=0.02, atol=2e-3))


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    stale = []
    for name, cores in runtime_fits().items():
        path = FOLDER / f"{name}.toml"
        if check:
            kept = parse_facts(path.read_text(encoding="utf-8"), path.name).get("cores", {})
            if not is_equal(kept, cores):
                stale.append(name)
            continue
        path.write_text(with_generated(path, _PROGRAM, {"cores": cores}), encoding="utf-8")
        print(f"wrote {path.name}")
    if stale:
        print(f"differ from the data: {', '.join(stale)}; run python -m tools.refit")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
