"""Answers of exported C on an emulated Cortex-M: the network and `model_answer` together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.deploy.to_c.project import PROGRAMS, Project
from hwkd.deploy.toolchain import find_tools, run_tool
from hwkd.deploy.verify_run import harness_text, write_link_script
from hwkd.io.core_files import load_core

_MIB = 1024 * 1024
_STACK_BYTES = 4096
_PLATFORM = "platform_cortex_m.c"
# Task -> C that writes an answer as int32 values, and how many those are.
_THINGS = """
        static model_thing things[MODEL_MOST_THINGS];
        const int32_t count = model_answer(things);
        for (int32_t i = 0; i < MODEL_MOST_THINGS; i++) {
            const int32_t row[] = {i < count ? things[i].label : -1,
                                   i < count ? things[i].left : 0, i < count ? things[i].top : 0,
                                   i < count ? things[i].right : 0,
                                   i < count ? things[i].bottom : 0};
            platform_write(HARNESS_TRACE, row, sizeof row);
        }"""
_POSITIONS = """
        for (int32_t i = 0; i < MODEL_POSITIONS; i++) {
            const int32_t label = model_answer(i);
            platform_write(HARNESS_TRACE, &label, sizeof label);
        }"""
_CLASS = """
        const int32_t label = model_answer();
        platform_write(HARNESS_TRACE, &label, sizeof label);"""
ANSWERS: Mapping[str, str] = MappingProxyType(
    {"detect": _THINGS, "segment": _POSITIONS, "text": _CLASS}
)
_MAIN = """\
#include "harness.h"
#include "model.h"
#include "model_answer.h"

int harness_main(void)
{{
    static {kind} input[{values}];
    model_init();
    while (platform_read(input, sizeof input)) {{
        {run}
        platform_write(HARNESS_OUTPUTS, model_output(), MODEL_OUTPUT_BYTES);{answer}
    }}
    return 0;
}}
"""
_RUN = """\
for (int32_t i = 0; i < MODEL_INPUT_BYTES; i++)
            model_input()[i] = input[i];
        model_run();"""


def answers_on_core(
    exported: Path, project: Project, inputs: NDArray[Any], *, task: str, core_name: str
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Compile a folder of exported C and run it emulated.

    Args:
        exported: folder of `hwkd export --target c`; measuring code is written into it.
        project: what its files are of.
        inputs: bytes of the network's input, or raw values where it takes those.
        task: one of `ANSWERS`.

    Returns:
        Outputs, shape [inputs, bytes], and answers, [inputs, values].
    """
    raw = project.raw
    filled = _MAIN.format(
        kind="int8_t" if raw is None else raw.c_type,
        values="MODEL_INPUT_BYTES" if raw is None else "MODEL_RAW_VALUES",
        run=_RUN if raw is None else "model_run_raw(input);",
        answer=ANSWERS[task],
    )
    for name in ("harness.h", _PLATFORM):
        (exported / name).write_text(harness_text(name), encoding="utf-8")
    (exported / "answers.c").write_text(filled, encoding="utf-8")
    core, tools = load_core(core_name), find_tools()
    write_link_script(exported / "answers.ld", core, (2 * _MIB, 2 * _MIB, _STACK_BYTES))
    sources = [path.name for path in exported.glob("*.c") if path.name not in PROGRAMS]
    counter = [f"-D{name}={value}" for name, value in core.counter.items()]
    flags = [*core.flags, "-std=gnu99", "-O2", "-I.", *counter, *project.flags]
    link = ["-nostartfiles", "-Tanswers.ld", "-lm", "-o", "answers.elf"]
    run_tool([tools.compiler, *flags, *sorted(sources), *link], folder=exported)
    inputs.tofile(exported / "inputs.bin")
    emulated: list[str | Path] = [
        tools.emulator, "-M", core.machine, "-nographic", "-monitor", "none", "-serial", "none",
        "-semihosting-config", "enable=on,target=native", "-kernel", "answers.elf",
    ]  # fmt: skip
    run_tool(emulated, folder=exported)
    outputs = np.fromfile(exported / "outputs.bin", np.int8).reshape(len(inputs), -1)
    answers = np.fromfile(exported / "trace.bin", np.int32).reshape(len(inputs), -1)
    return outputs, answers
