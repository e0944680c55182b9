"""Arm's kernels in place of ours: equal on every tensor, scratch large enough for each core."""

import shutil

import numpy as np
import pytest
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import quantise
from hwkd.core.errors import ExportError
from hwkd.deploy.to_c import cmsis_nn
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.toolchain import INSTALL_COMMAND, find_tools
from hwkd.deploy.verify_run import build_firmware, run_firmware
from hwkd.io.core_files import load_core

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm"))),
    reason=f"no emulator or compiler; {INSTALL_COMMAND}",
)


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("rounding", ["q31", "tflite"])
def test_every_tensor_equals_that_of_our_own_kernels(core, rounding, tmp_path):
    pytest.importorskip("bakenn", reason="CMSIS-NN (optional extra cmsis-nn) is not installed")
    model = quantise(OP_NETWORKS["depthwise_shapes"](), tmp_path, "net")
    tools, traces = find_tools(), []
    for kernels in ("hwkd", "cmsis-nn"):
        folder = tmp_path / kernels
        folder.mkdir()
        target = load_core(core)
        project = build_project(
            model,
            rounding=rounding,
            kernels=kernels,
            instruction_sets=(target.instruction_set,),
        )
        inputs = np.random.default_rng(0).integers(-128, 128, (3, project.input.elements))
        programs = build_firmware(
            project, folder, target, tools, flash_bytes=2**20, ram_bytes=2**19
        )
        inputs = inputs.astype(np.int8)
        traces.append(run_firmware(programs.traced, project, inputs, target, tools).step_outputs)
    for ours, arms in zip(*traces, strict=True):
        assert np.array_equal(ours, arms)


def test_missing_package_is_one_line_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(cmsis_nn, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"pip install 'hwkd\[cmsis-nn\]'"):
        cmsis_nn.cmsis_files()
