"""What features take of a core: instructions and code, by closed forms of what QEMU counted.

`instructions.json` has, for each core, instructions of each unit of work (`RowStep.work`) and bytes
of code of each kind of step; `python -m tools.signal_instructions` counts and writes them.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from hwkd.signals.fused import fused
from hwkd.signals.pipeline import shapes_of
from hwkd.signals.step import RowStep, Shape, Step, StreamStep, TextStep

# Per call of a step with a row, and per feature that is standardised, quantised and put.
ROW, FEATURE = "row", "feature"
# Of the code that every pipeline has.
BASE = "base"
# Largest errors of instructions, of raw inputs that differ in what they are made into.
SPECTRA, MOTION, TEXTS = "spectra", "motion", "texts"
# Of texts that are cut into pieces: how many depends on their words.
PIECES = "pieces"
_COUNTED = (RowStep, StreamStep, TextStep)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreWork:
    """What a core executes for one raw input.

    Attributes:
        instructions: of all steps.
        code_bytes: likewise, without constants.
        stack_bytes: of the function that they are inlined into and of those it calls, without what
            libraries take below.
        held_stack_bytes: what of it is kept while a network runs below the features of a stream:
            that of the function alone.
        error_ratio: largest error of the closed form on pipelines that it was not made from.
    """

    instructions: float
    code_bytes: int
    stack_bytes: int
    held_stack_bytes: int
    error_ratio: float


def work_of(steps: Sequence[Step], shapes: Sequence[Shape]) -> dict[str, float]:
    """Return the units of work of a pipeline for one raw input.

    Args:
        steps: in order.
        shapes: before each and after the last.
    """
    found: dict[str, float] = defaultdict(float)
    steps = fused(steps)
    shapes = shapes_of(steps, shapes[0])
    for step, shape in zip(steps, shapes, strict=False):
        if isinstance(step, _COUNTED):
            for unit, amount in step.work(shape).items():
                found[unit] += amount
        if isinstance(step, RowStep):
            found[ROW] += math.prod(shape[:-1])
    if not isinstance(steps[0], TextStep):  # whose units have it in them
        found[FEATURE] += math.prod(shapes[-1])
    return found


def kinds_of(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what code a pipeline has, by kind of step."""
    return (BASE, *(step.kind for step in fused(steps) if isinstance(step, _COUNTED)))


def on_core(steps: Sequence[Step], shapes: Sequence[Shape], core: str) -> CoreWork | None:
    """Return what a pipeline takes of a core; None where one of its steps was never counted.

    Args:
        steps: in order.
        shapes: before each and after the last.
        core: by the name of its file in `devices/cores`.
    """
    facts = _counted().get(core)
    work, kinds = work_of(steps, shapes), kinds_of(steps)
    if facts is None or not (set(work) <= set(facts["units"]) and set(kinds) <= set(facts["code"])):
        return None
    return CoreWork(
        instructions=sum(amount * facts["units"][unit] for unit, amount in work.items()),
        code_bytes=round(sum(facts["code"][kind] for kind in kinds)),
        # Of inlined steps the one that spills most decides.
        stack_bytes=round(max(facts["stack"][kind] for kind in kinds)),
        held_stack_bytes=round(facts["stack"][BASE]),
        error_ratio=facts["error"][_error_of(steps)],
    )


def _error_of(steps: Sequence[Step]) -> str:
    if isinstance(steps[0], TextStep):
        return PIECES if steps[0].kind == PIECES else TEXTS
    return SPECTRA if any(step.kind == "rfft" for step in steps) else MOTION


@cache
def _counted() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    text = (files("hwkd.signals") / "instructions.json").read_text("utf-8")
    found: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(text)
    return found
