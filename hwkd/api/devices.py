"""`hwkd.devices` and what goes with it: the chips that hwkd knows, and files of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import ForceOption
from hwkd.api.option import Option, declares_options

if TYPE_CHECKING:
    from hwkd.core.device import Device
    from hwkd.cost.backend import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSummary:
    """One line of `hwkd devices list`; what is unknown is None."""

    name: str
    core: str
    board: str
    clock_hz: float | None
    sram_bytes: int | None
    flash_bytes: int | None
    default_runtime: str
    runtimes: tuple[str, ...]
    costed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCheck:
    """Files that were read without a mistake.

    Attributes:
        valid: names of what they describe, in the order of the files.
        kinds: "device", "runtime" or "core", likewise.
        to_fill_in: name of a device -> fields whose source still says FILL IN.
    """

    valid: tuple[str, ...]
    kinds: tuple[str, ...]
    to_fill_in: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice:
    """A device file that was written, and the packaged device that it starts from."""

    path: Path
    like: str


@declares_options
def devices() -> tuple[DeviceSummary, ...]:
    """List the devices with their runtimes."""
    from hwkd.io.device_catalog import device_names, load_device

    return tuple(
        DeviceSummary(
            name=found.name,
            core=found.core,
            board=found.board,
            clock_hz=found.clock_hz,
            sram_bytes=found.sram_bytes,
            flash_bytes=found.flash_bytes,
            default_runtime=found.default_runtime,
            runtimes=tuple(sorted(found.runtimes)),
            costed_by=found.costed_by,
        )
        for found in map(load_device, device_names())
    )


@declares_options
def device(
    name: Annotated[str, Option("Device name, or your own .toml file.", metavar="DEVICE")],
) -> "Device":
    """Show one device: memories, runtimes, what they were fitted on, errors and sources."""
    from hwkd.io.device_catalog import load_device

    return load_device(name)


def evidence(device: "Device") -> "tuple[Evidence, ...]":
    """Return what the latencies of each runtime of a device rest on."""
    from hwkd.cost.backend import backend_of

    return backend_of(device).evidence(device)


@declares_options
def validate_devices(
    files: Annotated[
        Sequence[str],
        Option(
            "Your .toml files of devices, runtimes and cores, or device names.", metavar="FILES"
        ),
    ],
) -> DeviceCheck:
    """Check files of devices, runtimes and cores; the first mistake is one line, exit code 2."""
    from hwkd.io.fact_catalog import check_file

    found = [check_file(file) for file in files]
    return DeviceCheck(
        valid=tuple(each.name for each in found),
        kinds=tuple(each.kind for each in found),
        to_fill_in={each.name: each.open_sources for each in found if each.open_sources},
    )


@declares_options
def new_device(
    path: Annotated[
        str | Path, Option("File to write, for example my-board.toml.", metavar="PATH")
    ],
    *,
    like: Annotated[str, Option("Packaged device to start from.")] = "cortex-m4",
    force: ForceOption = False,
) -> NewDevice:
    """Write a commented device file for your own board.

    Edit it, `hwkd devices validate` it, then measure: `hwkd devices bench-kit`, `hwkd devices
    calibrate`.
    """
    from hwkd.api.device_file import new_device_text
    from hwkd.core.errors import ConfigError
    from hwkd.io.device_catalog import load_device
    from hwkd.io.paths import written_atomically

    path = Path(path)
    if path.suffix != ".toml":
        raise ConfigError(f"{path}: a device file ends in .toml, for example {path.stem}.toml")
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; give another name, or --force to replace it")
    start = load_device(like)
    if not start.runtime().latency:
        raise ConfigError(f"--like: {like} has no fit to start from; give a chip that is predicted")
    text = new_device_text(path.stem, start)
    with written_atomically(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return NewDevice(path=path, like=like)
