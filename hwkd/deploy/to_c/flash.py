"""Flash and RAM that a network takes, before anything is compiled.

Constants and the arena are counted exactly. Sizes of code and stack come from `code_bytes.json`:
arm-none-eabi-gcc 12.2 at -O2, each kernel alone (`python tools/c_code_size.py --write`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hwkd.deploy.to_c.project import Project
from hwkd.qgraph.foreign_text import string_bytes

__all__ = ["constant_bytes", "predict_flash_bytes", "predict_ram_bytes"]


@dataclass(frozen=True, slots=True)
class _Rest:
    """What a core needs besides kernels, constants and arena, in bytes.

    Fitted to ELF files and stacks of 12 students from the same compiler;
    `benchmarks/accuracy/c_equality.py` holds it to others.

    Attributes:
        model: code of model.c around the calls.
        call: of one call, its pointers included.
        library_stack: of library functions below a kernel that calls some.
    """

    model: int
    call: int
    library_stack: int


# Of model_run and what calls it.
_FRAME_BYTES = 24
_REST = {
    "cortex-m0plus": _Rest(model=175, call=15, library_stack=38),
    "cortex-m3": _Rest(model=140, call=12, library_stack=30),
    "cortex-m4": _Rest(model=135, call=12, library_stack=18),
    "cortex-m7": _Rest(model=140, call=12, library_stack=18),
    "cortex-m33": _Rest(model=140, call=12, library_stack=14),
    "cortex-m55": _Rest(model=135, call=12, library_stack=30),
}


def constant_bytes(project: Project) -> int:
    """Return bytes of weights, scales, tables and layer descriptions."""
    labels = sum(len(string_bytes(label)) + 1 + 4 for label in _labels(project))
    return labels + sum(step.constants.size_bytes for step in project.steps)


def predict_flash_bytes(project: Project, core: str) -> int | None:
    """Return code and constants in bytes; None where CMSIS-NN is linked, whose code is not ours.

    Args:
        project: what will be compiled.
        core: key of `CORES`.
    """
    if project.uses_cmsis_nn:
        return None
    sizes = _code_sizes()[core][project.rounding]
    calls = [call for step in project.steps for call in step.calls]
    functions = _functions(project)
    library = {name for function in functions for name in sizes["functions"][function]["library"]}
    library |= set(sizes["always"])
    code: int = sum(sizes["functions"][function]["own_bytes"] for function in functions)
    code += sum(sizes["library"][name] for name in library)
    rest = _REST[core]
    return code + rest.model + rest.call * len(calls) + constant_bytes(project)


def predict_ram_bytes(project: Project, core: str) -> int | None:
    """Return arena and stack in bytes; None where CMSIS-NN is linked.

    Args:
        project: what will be compiled.
        core: key of `CORES`.
    """
    if project.uses_cmsis_nn:
        return None
    functions = _code_sizes()[core][project.rounding]["functions"]
    called = [functions[name] for name in _functions(project)]
    below = _REST[core].library_stack
    deepest: int = max(
        (item["stack_bytes"] + below * bool(item["library"]) for item in called), default=0
    )
    return project.memory.arena_bytes + _FRAME_BYTES + deepest


def _functions(project: Project) -> set[str]:
    """Return the kernels that are called, without prefix."""
    calls = (call for step in project.steps for call in step.calls)
    return {match.group(1) for call in calls if (match := re.match(r"hwkd_run_(\w+)", call))}


def _labels(project: Project) -> tuple[str, ...]:
    return project.labels or tuple(f"output {i}" for i in range(project.output.elements))


@cache
def _code_sizes() -> dict[str, dict[str, Any]]:
    path = files("hwkd.deploy.to_c") / "code_bytes.json"
    sizes: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cores"]
    return sizes
