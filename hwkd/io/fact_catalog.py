"""Checks a file of facts, whichever kind it is of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwkd.io.core_files import load_core_file
from hwkd.io.device_catalog import load_device
from hwkd.io.fact_files import FactKind, kind_of_file
from hwkd.io.runtime_files import load_runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """A file that is right.

    Attributes:
        open_sources: numbers whose source is still to be filled in.
    """

    kind: FactKind
    name: str
    open_sources: tuple[str, ...] = ()


def check_file(name_or_path: str) -> CheckedFile:
    """Read a device, or the user's own file of a device, runtime or core.

    Raises:
        UnknownNameError: if it is neither a file nor a device.
        ConfigError: if the file cannot be read or a field is wrong; one line.
    """
    path = Path(name_or_path)
    kind = kind_of_file(path) if path.suffix == ".toml" else "device"
    if kind == "core":
        return CheckedFile(kind=kind, name=load_core_file(name_or_path).name)
    if kind == "runtime":
        # What it is like may lie beside it, in the folder `runtimes` of the device file.
        beside = path.absolute().parent.parent
        return CheckedFile(kind=kind, name=load_runtime(name_or_path, beside).name)
    device = load_device(name_or_path)
    return CheckedFile(kind=kind, name=device.name, open_sources=device.open_sources)
