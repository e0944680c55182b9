"""Which core and memories a check is about."""

from __future__ import annotations

from pathlib import Path

from hwkd.core.device import Device
from hwkd.core.verification import Target
from hwkd.io.core_files import core_names, load_core
from hwkd.io.device_catalog import device_names, folder_of, load_device
from hwkd.io.fact_files import kind_of_file


def target_named(name_or_path: str) -> Target:
    """Return core and memories of a device, or of a bare core: those of a common part.

    Args:
        name_or_path: a device or core by name, or the TOML file of one.

    Raises:
        UnknownNameError: if it is neither, or its core is not one that can be emulated.
        ConfigError: if a file is wrong.
    """
    is_path = name_or_path.endswith(".toml")
    is_core = name_or_path not in device_names() and name_or_path in core_names()
    if not (kind_of_file(Path(name_or_path)) == "core" if is_path else is_core):
        return target_of(load_device(name_or_path), beside=folder_of(name_or_path))
    core = load_core(name_or_path)
    return Target(
        name=f"{core.name} ({core.part.source})",
        core=core,
        flash_bytes=core.part.flash_bytes,
        ram_bytes=core.part.ram_bytes,
    )


def target_of(device: Device, *, beside: Path | None = None) -> Target:
    """Return what a device file says about core and memories.

    Args:
        beside: folder of the user's device file, whose `cores/` come first.

    Raises:
        UnknownNameError: if its core is not one that can be emulated.
        ConfigError: if the core's file is wrong.
    """
    core = load_core(device.core_key, beside)
    flash, ram = device.available_flash_bytes, device.available_ram_bytes
    return Target(
        name=device.name,
        core=core,
        flash_bytes=core.part.flash_bytes if flash is None else flash,
        ram_bytes=core.part.ram_bytes if ram is None else ram,
    )
