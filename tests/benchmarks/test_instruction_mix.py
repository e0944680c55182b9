"""Instructions counted block by block are those that the emulated board's counter counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from benchmarks.lib.instruction_mix import CLASSES, mix_of_steps
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.toolchain import find_tools
from hwkd.deploy.verify_run import build_firmware, run_firmware
from hwkd.io.core_files import load_core

needs_tools = pytest.mark.skipif(
    not (shutil.which("qemu-system-arm") and shutil.which("arm-none-eabi-gcc")),
    reason="needs QEMU and the cross compiler",
)


@needs_tools
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_blocks_add_up_to_what_the_counter_counts(name: str, tmp_path: Path) -> None:
    net = NetworkBuilder((3, 8, 8))
    net.conv(8, (3, 3))
    net.depthwise()
    net.classifier(4)
    core, tools = load_core(name), find_tools()
    model = quantise(net, tmp_path, "network")
    steps = mix_of_steps(model, core, tools)
    project = build_project(model, rounding=core.rounding)
    program = build_firmware(
        project, tmp_path, core, tools, flash_bytes=1 << 20, ram_bytes=1 << 20
    ).traced
    inputs = np.random.default_rng(0).integers(-128, 128, (1, project.input.elements))
    done = run_firmware(program, project, inputs.astype(np.int8), core, tools)
    counted = [core.instructions(int(ticks)) for ticks in done.step_ticks[0]]
    assert [step.instructions for step in steps] == pytest.approx(counted, rel=0.01, abs=12)
    for step in steps:
        assert len(step.amounts) == len(CLASSES)
        assert sum(step.amounts) >= step.instructions
