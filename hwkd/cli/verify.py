"""`hwkd verify`: compiles the exported C for a device, runs it emulated and compares."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwkd.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwkd.core.metric import Scores
    from hwkd.deploy.to_c.steps import Kernels
    from hwkd.deploy.verification import Target
    from hwkd.qgraph.requantise import Rounding

__all__ = ["verify"]

EXIT_FAILED = 1
_ROUNDINGS: dict[str, Rounding | None] = {
    "auto": None, "float": "float", "q31": "q31", "tflite": "tflite",
}  # fmt: skip
_KERNELS: dict[str, Kernels] = {"hwkd": "hwkd", "cmsis-nn": "cmsis-nn"}


def verify(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|STUDENT|C|MODEL",
            help="Folder of `hwkd search`, of a finished student or of exported C, or an int8 ONNX "
            "file.",
        ),
    ],
    device: Annotated[
        str, typer.Option(help="Device name, Cortex-M core, or your own .toml file.")
    ],
    inputs: Annotated[int, typer.Option(min=1, help="Inputs to compare.")] = 512,
    rounding: Annotated[
        str,
        typer.Option(
            help="auto (float with an FPU, else q31; q31 with cmsis-nn), float (equal to ONNX "
            "Runtime), q31 (one rounding), tflite (two)."
        ),
    ] = "auto",
    kernels: Annotated[str, typer.Option(help="hwkd, or cmsis-nn (Arm's).")] = "hwkd",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compile the network's C for a device, run it on an emulated core and compare every value.

    The linker script has the device's own flash and RAM. The C runs on this computer and in QEMU;
    both are compared with ONNX Runtime. The check passes when the emulated core equals this
    computer exactly, every layer equals ONNX Runtime's from the same integers (float rounding; q31
    and tflite may differ by one step in 2% and 25% of a layer) and outputs are within one step.
    Averages at a tie, which the order of a float sum decides, are counted apart. Instruction counts
    repeat exactly; they are not times: QEMU has no caches, wait states or dual issue. The exit code
    is 1 when the check fails. Of exported C the C is made again from the int8 model in the folder
    and compared with the files, in their own rounding and kernels; nothing else is compiled.

    Example: hwkd verify runs/digits --device cortex-m4
    """
    from hwkd.cli.verify_view import live_progress, print_verification
    from hwkd.deploy.to_c.exported import read_exported
    from hwkd.deploy.verify import verify_model
    from hwkd.io.student_folder import int8_model

    _check_choice("--rounding", rounding, _ROUNDINGS)
    _check_choice("--kernels", kernels, _KERNELS)
    target = _target(device)
    exported = read_exported(model)
    if exported is not None and (rounding != "auto" or kernels != "hwkd"):
        raise ConfigError(
            f"{model} is exported C with --rounding {exported.rounding} --kernels "
            f"{exported.kernels}; leave out --rounding and --kernels, or give the ONNX file"
        )
    path = int8_model(model) if exported is None else exported.model_path
    samples, score, origin = _samples(model, path, inputs)
    with live_progress(is_shown=not as_json) as progress:
        found = verify_model(
            path,
            target,
            samples,
            score=score,
            rounding=_ROUNDINGS[rounding],
            kernels=_KERNELS[kernels],
            exported=exported,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps({**found.as_dict(), "inputs_from": origin}))
    else:
        print_verification(found, origin)
    if not found.passed:
        raise typer.Exit(EXIT_FAILED)


def _check_choice(option: str, given: str, allowed: Collection[str]) -> None:
    if given not in allowed:
        raise ConfigError(f"{option}: {given!r} is not one of {', '.join(allowed)}")


def _target(device: str) -> Target:
    """Return a device's core and memories; a bare core gets those of a common part."""
    from hwkd.deploy.toolchain import CORES
    from hwkd.deploy.verification import Target
    from hwkd.deploy.verify import target_of
    from hwkd.io.device_catalog import device_names, load_device

    if device not in device_names() and device in CORES:
        core = CORES[device]
        flash, ram = core.memory
        name = f"{device} ({core.memory_source})"
        return Target(name=name, core=core, flash_bytes=flash, ram_bytes=ram)
    return target_of(load_device(device))


def _samples(
    model: Path, path: Path, count: int
) -> tuple[NDArray[np.float32], Callable[[NDArray[np.float32]], Scores] | None, str]:
    """Return inputs, what scores answers if labels are known, and where they come from."""
    from hwkd.deploy.verify import seeded_samples
    from hwkd.io.run_files import RUN_FILE

    if not (model / RUN_FILE).is_file():
        return seeded_samples(path, count), None, "seeded noise over the input's range"
    from hwkd.engine.run.run_folder import RunFolder
    from hwkd.engine.setup.config import SearchConfig
    from hwkd.engine.setup.context import load_data

    _, data = load_data(SearchConfig.from_toml(RunFolder(model).config_path))
    test = data.test
    score = partial(data.head.scores, targets=test.labels[:count])
    return test.inputs[:count], score, f"test split of {data.source}"
