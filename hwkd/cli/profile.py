"""`hwkd profile`: what a network costs on a device, layer by layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["profile"]


def profile(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL|STUDENT|RUN",
            help="ONNX file, float32 or int8; or a finished student, whose int8 file is taken.",
        ),
    ],
    device: Annotated[str, typer.Option(help="Device name, or your own .toml file.")],
    runtime: Annotated[
        str | None, typer.Option(help="Inference stack; the device's default otherwise.")
    ] = None,
    clock: Annotated[
        str | None, typer.Option(help="Clock with its unit, as 216MHz; the device's otherwise.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="int8 or float32: how it will run on the device.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw the memory over time into this .png or .svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Predict latency, RAM, flash and energy of a network on a device, layer by layer.

    A float32 file is costed as the int8 network that it becomes, unless --dtype says otherwise. The
    device `host` is this machine: its latency is measured with ONNX Runtime, everything else about
    it is estimated. An Ethos-U takes int8 files and is costed by Arm's vela compiler (the extra
    `hwkd[ethos]`). The network fits when the upper end of the latency interval, peak RAM and flash
    stay inside the device's limits.

    Example: hwkd profile student.onnx --device cortex-m7 --clock 216MHz --plot memory.png
    """
    from hwkd.cli.profile_data import profile_model
    from hwkd.cli.profile_view import print_profile
    from hwkd.core.units import parse_frequency_hz
    from hwkd.io.student_folder import FLOAT_FILE, INT8_FILE, model_of

    names = (FLOAT_FILE,) if dtype == "float32" else (INT8_FILE, FLOAT_FILE)
    model = model_of(model, *names)
    clock_hz = None if clock is None else parse_frequency_hz(clock, option="--clock")
    found = profile_model(model, device, runtime=runtime, clock_hz=clock_hz, dtype=dtype)
    if plot is not None:
        from hwkd.cli.memory_figure import write_memory_figure

        title = f"{model.name} on {found.cost.device}, {found.cost.runtime}, {found.cost.dtype}"
        write_memory_figure(found.stages, plot, title=title, limit_bytes=found.ram_limit_bytes)
    if as_json:
        typer.echo(json.dumps(found.as_dict()))
        return
    print_profile(found, model)
    if plot is not None:
        typer.echo(f"memory over time drawn in {plot}")
