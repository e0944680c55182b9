"""`hwkd.profile`: what a network costs on a device, layer by layer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from hwkd.api.common import (
    FIT,
    ClockOption,
    DeviceOption,
    DtypeOption,
    MaxEnergy,
    MaxFlash,
    MaxLatency,
    MaxRam,
    MaxWeights,
    PatchOption,
    RiskOption,
    RuntimeOption,
    StreamingOption,
)
from hwkd.api.option import Here, Option, declares_options
from hwkd.core.units import Duration

if TYPE_CHECKING:
    from hwkd.api.profile_data import ModelProfile
    from hwkd.core.device import Device
    from hwkd.core.run_record import RunRecord
    from hwkd.cost.features import FeatureNeed


Period: TypeAlias = Annotated[
    Duration | None,
    Option(
        "Time from one inference to the next, as 1s: adds the energy of a day.",
        panel=FIT,
        amount="1s",
    ),
]
Training: TypeAlias = Annotated[
    str | None,
    Option(
        "Also say what training on the device takes, as sgd:layers=2,samples=500 (or momentum, "
        "adam; batch, bits=8 or 32, top: classes of each answer in a teacher's file)."
    ),
]
SleepPower: TypeAlias = Annotated[
    str | None,
    Option(
        "Power of the board between inferences, as 10uW; with --period.", panel=FIT, amount="10uW"
    ),
]


Plot: TypeAlias = Annotated[
    str | Path | None, Option("Also draw the memory over time into this .png or .svg.")
]


@declares_options
def profile(
    model: Annotated[
        str | Path,
        Option(
            "ONNX file, float32 or int8; or a finished student or run, whose int8 file is taken.",
            metavar="MODEL|STUDENT|RUN",
        ),
    ],
    *,
    device: DeviceOption,
    runtime: RuntimeOption = None,
    clock: ClockOption = None,
    dtype: Annotated[DtypeOption | None, Here("Default: as the device runs it.")] = None,
    patch: PatchOption = None,
    streaming: Annotated[StreamingOption, Here("All numbers are of one run.")] = False,
    max_latency: MaxLatency = None,
    max_ram: MaxRam = None,
    max_flash: MaxFlash = None,
    max_weights: MaxWeights = None,
    max_energy: MaxEnergy = None,
    risk: RiskOption = "upper",
    period: Period = None,
    sleep_power: SleepPower = None,
    training: Training = None,
    plot: Plot = None,
) -> "ModelProfile":
    """Predict latency, RAM, flash and energy of a network on a device, layer by layer.

    A float32 file is costed as the int8 network that it becomes, unless --dtype says otherwise. The
    device `host` is this machine: its latency is measured with ONNX Runtime, everything else about
    it is estimated. An Ethos-U takes int8 files and is costed by Arm's vela compiler (the extra
    `hwkd[ethos]`). Whether the network fits is said for each limit, those given and the device's
    own: its RAM, its flash and the latency that it aims at. An energy is a band: the interval of
    the latency times the range of the published power. Of a run or student the features of its raw
    samples are a layer of their own.

    Raises:
        ConfigError: if device, runtime, clock, dtype and patch do not go together.
        ModelFileError: if the file cannot be read.
        ProfilingError: if the host cannot run it.
    """
    from hwkd.api.profile_model import profile_model
    from hwkd.api.search_config import duty_cycle, frequency, limit_amounts
    from hwkd.core.limits import Limits
    from hwkd.core.patches import Patches
    from hwkd.cost.backend import CostQuestion
    from hwkd.cost.on_device_training import TrainingPlan
    from hwkd.io.device_catalog import load_device
    from hwkd.io.student_folder import FLOAT_FILE, INT8_FILE, given_place, model_of

    names = (FLOAT_FILE,) if dtype == "float32" else (INT8_FILE, FLOAT_FILE)
    place = given_place(model)
    path = model_of(place, *names)
    limits = Limits(**limit_amounts(max_latency, max_ram, max_flash, max_weights, max_energy))
    clock_hz, on = frequency(clock, "--clock"), load_device(device, runtime=runtime)
    run = _run_of(place)
    question = CostQuestion(
        device=on, runtime=runtime, clock_hz=clock_hz, dtype=dtype, streaming=streaming,
        patches=None if patch is None else Patches.parse(patch),
        names_bytes=0 if run is None else _names_bytes(run),
    )  # fmt: skip
    features = None if run is None or streaming else _feature_need(run, on)
    plan = None if training is None else TrainingPlan.parse(training)
    duty = duty_cycle(period, sleep_power)
    found = profile_model(path, question, limits, risk, duty, features, plan)
    if plot is not None:
        _draw_memory(found, Path(plot))
    return found


def _run_of(place: Path) -> "RunRecord | None":
    """Return the run that a student's folder comes from; None of a file."""
    from hwkd.io.student_folder import holds_student, read_student, student_folder_of

    if place.is_file() or not holds_student(student_folder_of(place)):
        return None
    return read_student(place).record.run


def _names_bytes(run: "RunRecord") -> int:
    """Return what the names of a student's answers take in its C."""
    from hwkd.deploy.to_c.flash import names_bytes
    from hwkd.io.discovery import output_kind

    return names_bytes(output_kind(run.data.kind).told(run.data.class_names))


def _feature_need(run: "RunRecord", device: "Device") -> "FeatureNeed | None":
    """Return what the features of a student's raw samples take; None of one that has none."""
    from hwkd.engine.setup.feature_need import feature_need
    from hwkd.signals.pipeline import Pipeline

    return feature_need(Pipeline.of(run.data.pipeline), device)


def _draw_memory(found: "ModelProfile", path: Path) -> None:
    from hwkd.api.memory_figure import write_memory_figure

    cost = found.cost
    title = f"{found.model} on {cost.device}, {cost.runtime}, {cost.dtype}"
    write_memory_figure(found.stages, path, title=title, limit_bytes=found.limits.ram_bytes)
