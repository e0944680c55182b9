"""Flash and RAM that a network takes, before anything is compiled.

Constants and the arena are counted exactly. Sizes of code and stack come from the file of the core:
arm-none-eabi-gcc 12.2 at -O2, each kernel alone (`python -m tools.c_code_size --write`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hwkd.core.core_file import Core, RoundingCode
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.to_c.raw_input import FeatureStack
from hwkd.qgraph.foreign_text import string_bytes

# Of model_run and what calls it.
_FRAME_BYTES = 24
_POINTER_BYTES = _WORD_BYTES = 4
# Counters of model_push, and its frame on the stack.
_STREAM_BYTES, _PUSH_BYTES = 12, 16


def names_bytes(names: Sequence[str]) -> int:
    """Return bytes of the names that the C holds: pointers, and texts that end in a zero.

    Texts begin at multiples of four bytes, as the compiler lays them.
    """
    texts = (len(string_bytes(name)) + 1 for name in names)
    return sum(_POINTER_BYTES + -(-length // _WORD_BYTES) * _WORD_BYTES for length in texts)


def constant_bytes(project: Project) -> int:
    """Return bytes of weights, scales, tables and layer descriptions."""
    features = 0 if project.raw is None else project.raw.table_bytes or 0
    return (
        names_bytes(project.names)
        + features
        + sum(step.constants.size_bytes for step in project.steps)
    )


def predict_flash_bytes(project: Project, core: Core) -> int | None:
    """Return code and constants in bytes; None where the code's size is not known.

    It is not where CMSIS-NN is linked, whose code is not ours, nor on a core whose file has no
    sizes.
    """
    sizes = _kernel_code(project, core)
    features = 0 if project.raw is None else project.raw.code_bytes(core.name)
    if sizes is None or core.rest is None or features is None:
        return None
    calls = [call for step in project.steps for call in step.calls]
    called = [sizes.functions[name] for name in _functions(project)]
    library = {symbol for function in called for symbol in function.library} | set(sizes.always)
    code = sum(function.own_bytes for function in called)
    code += sum(sizes.library[symbol] for symbol in library)
    rest = core.rest.model_bytes + core.rest.call_bytes * len(calls)
    return code + features + rest + constant_bytes(project)


def predict_ram_bytes(project: Project, core: Core) -> int | None:
    """Return arena and stack in bytes; None where the stack of the kernels is not known."""
    sizes = _kernel_code(project, core)
    if sizes is None or core.rest is None:
        return None
    called = [sizes.functions[name] for name in _functions(project)]
    below = core.rest.library_stack_bytes
    deepest = max((item.stack_bytes + below * bool(item.library) for item in called), default=0)
    features = 0 if project.raw is None else project.raw.ram_bytes or 0
    stack = FeatureStack(0, 0) if project.raw is None else project.raw.stack(core.name)
    if stack is None:
        return None
    if project.stream is None:
        # The network runs when the features are there, and its stack is free again.
        deepest = max(deepest, _with_libraries(stack, below))
        return project.memory.arena_bytes + features + _FRAME_BYTES + deepest
    # It runs below the features of the last frame of a hop, which wait in a row.
    row = project.stream.frame_bytes if stack.deepest_bytes else 0
    static = features + row + _STREAM_BYTES
    deepest = max(stack.held_bytes + deepest, _with_libraries(stack, below))
    return project.memory.arena_bytes + static + _PUSH_BYTES + _FRAME_BYTES + deepest


def _with_libraries(stack: FeatureStack, library_stack_bytes: int) -> int:
    return stack.deepest_bytes + library_stack_bytes * bool(stack.deepest_bytes)


def _kernel_code(project: Project, core: Core) -> RoundingCode | None:
    """Return the kernels' sizes; None where one that is called was never measured."""
    sizes = None if project.uses_cmsis_nn else core.kernel_code(project.rounding)
    return sizes if sizes is not None and _functions(project) <= sizes.functions.keys() else None


def _functions(project: Project) -> set[str]:
    """Return the kernels that are called, without prefix."""
    calls = (call for step in project.steps for call in step.calls)
    return {match.group(1) for call in calls if (match := re.match(r"hwkd_run_(\w+)", call))}
