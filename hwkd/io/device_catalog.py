"""Reads device descriptors: packaged ones by name, the user's own by path.

A device has every runtime with a fit for its core (`[cores.KEY]` of `devices/runtimes/NAME.toml`,
or of `runtimes/` beside the user's device file), and those that it lists itself, with what it says
of them on top: `fit = "<core>.<runtime>"` takes another core's fit, `fit = "<device>/<runtime>"`
what a packaged device makes of one (docs/decisions/device-files.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hwkd.core import catalog
from hwkd.core.basis import ESTIMATED
from hwkd.core.device import Device, core_key
from hwkd.core.errors import ConfigError, HwkdError, UnknownNameError
from hwkd.core.runtime_file import RuntimeFile
from hwkd.core.stm32_families import CORES, family_of
from hwkd.io.discovery import discover
from hwkd.io.fact_files import checked, fact_names, fact_text, merged, parse_facts
from hwkd.io.runtime_files import RULES, fit_names, load_runtime, runtime_names


def device_names() -> tuple[str, ...]:
    """Return the names of the packaged devices, sorted."""
    return fact_names("device")


def folder_of(name_or_path: str) -> Path | None:
    """Return the folder whose runtimes and cores come before the packaged ones, if there is one."""
    return None if name_or_path in device_names() else Path(name_or_path).parent


def load_device(name_or_path: str, *, runtime: str | None = None) -> Device:
    """Read one device.

    Args:
        name_or_path: a packaged name such as "cortex-m4", or the path of a TOML file.
        runtime: the path of a runtime's TOML file gives the device that runtime, under this path;
            names change nothing.

    Raises:
        UnknownNameError: if it is neither.
        ConfigError: if a file cannot be read or a field is wrong; one line.
    """
    if name_or_path in device_names():
        device = _load_packaged(name_or_path)
    else:
        if not name_or_path.endswith(".toml"):
            devices = [load_device(name) for name in device_names()]
            called = {
                text: each.name for each in devices for text in (each.board, each.description)
            }
            meant = _of_family(name_or_path, devices)
            raise UnknownNameError(
                "device", name_or_path, device_names(), called=called, meant=meant
            )
        text, origin = fact_text("device", name_or_path)
        device = parse_device(text, origin=origin, beside=Path(origin).parent)
    if runtime is None or not runtime.endswith(".toml"):
        return device
    return _with_runtime(device, runtime)


def _of_family(name: str, devices: Sequence[Device]) -> list[str] | None:
    """Return the devices with the core of an STM32 and its family's boards; None if it is none."""
    family = family_of(name)
    if family is None:
        return None
    cores = [each.name for each in devices if each.name == CORES[family]]
    return cores + [each.name for each in devices if family in each.board.lower()]


def parse_device(text: str, *, origin: str, beside: Path | None = None) -> Device:
    """Check a descriptor's text.

    Args:
        origin: the file's name, for messages.
        beside: the file's folder, whose `runtimes/` come before the packaged ones.

    Raises:
        ConfigError: with file, key, what was given and what is allowed, in one line.
    """
    data = parse_facts(text, origin)
    core, runtimes = core_key(str(data.get("core"))), data.get("runtimes", {})
    if beside is not None and isinstance(data.get("core"), str):
        _require_core(data, core, origin, beside)
    if isinstance(runtimes, dict):
        data["runtimes"] = {
            name: _completed(name, table, core, f"{origin}: runtimes.{name}", beside)
            for name, table in {**_fitted(core, beside), **runtimes}.items()
        }
    return _checked(data, origin)


def _require_core(data: dict[str, Any], core: str, origin: str, beside: Path) -> None:
    """Refuse a user's board whose core nobody described; what a plugin costs is its own affair."""
    described = {*fact_names("core", beside)}
    described |= {key for name in runtime_names(beside) for key in load_runtime(name, beside).cores}
    if core in described or data.get("costed_by", ESTIMATED.name) != ESTIMATED.name:
        return
    known = {core_key(named): named for named in (load_device(n).core for n in device_names())}
    if core in known:
        return
    unknown = UnknownNameError("core", data["core"], {*known.values()}, called=known)
    raise ConfigError(
        f"{origin}: {unknown} (one of your own is described in cores/{core}.toml beside this "
        f"file, or timed in [cores.{core}] of a runtime: docs/devices.md)"
    )


def _checked(data: dict[str, Any], origin: str) -> Device:
    """Return the device, which has what its cost backend needs."""
    device = checked("device", Device, data, origin)
    discover("hwkd.backends")
    try:
        catalog.BACKENDS.get(device.costed_by).check(device)
    except HwkdError as error:
        raise ConfigError(f"{origin}: {error}") from None
    return device


@cache
def _load_packaged(name: str) -> Device:
    text, origin = fact_text("device", name)
    return parse_device(text, origin=origin)


def _with_runtime(device: Device, path: str) -> Device:
    found = load_runtime(path)
    if device.core_key not in found.cores:
        raise ConfigError(
            f"{path}: cores has no {device.core_key!r}, the core of {device.name}; it has "
            f"{', '.join(found.cores) or 'none'}"
        )
    table = {"name": found.name, **_rules(found, device.core_key), **_fit(found, device.core_key)}
    known = device.model_dump(mode="json", exclude_unset=True)
    known["runtimes"] = {**known["runtimes"], path: table}
    return _checked(known, path)


def _fitted(core: str, beside: Path | None) -> dict[str, dict[str, Any]]:
    """Return the runtimes that have a fit for a core, with nothing to add to it."""
    return {name: {} for name in runtime_names(beside) if core in load_runtime(name, beside).cores}


def _completed(name: str, table: Any, core: str, place: str, beside: Path | None) -> Any:
    """Return a runtime's table with what its file, or the fit that it names, says under it."""
    if not isinstance(table, dict):
        return table
    own = {"name": name, **table}
    for rule in RULES:  # a device may name another runtime for each
        if isinstance(own.get(rule), str):
            own[rule] = _rules(_named(own[rule], f"{place}.{rule}", beside), core)[rule]
    fit = own.pop("fit", None)
    if fit is not None:
        found = _fit_table(str(fit), f"{place}.fit", beside)
        return merged(found if beside is None else _said_of_core(found, str(fit), core), own)
    if own["name"] not in runtime_names(beside):
        return own
    file = load_runtime(own["name"], beside)
    is_fitted = core in file.cores and "latency" not in own
    return merged({**_rules(file, core), **(_fit(file, core) if is_fitted else {})}, own)


def _said_of_core(table: dict[str, Any], fit: str, core: str) -> dict[str, Any]:
    """Return a fit's table that says so where it is of another core than the user's board."""
    source = fit.partition("/")[0]
    fit_core = _load_packaged(source).core_key if "/" in fit else fit.partition(".")[0]
    if fit_core == core:
        return table
    latency = {
        dtype: {**model, "fitted_on": f"{model['fitted_on']}, of {fit_core} and not of {core}"}
        for dtype, model in table.get("latency", {}).items()
    }
    counted = {name: part for name, part in table.items() if name != "instructions"}
    return {**counted, "latency": latency}


def _fit_table(fit: str, place: str, beside: Path | None) -> dict[str, Any]:
    """Return what `fit` names: `<core>.<runtime>`, or `<device>/<runtime>` of a packaged device."""
    if "/" not in fit:
        core, _, name = fit.partition(".")
        file = load_runtime(name, beside) if name in runtime_names(beside) else None
        if file is None or core not in file.cores:
            raise ConfigError(f"{place}: {UnknownNameError('fit', fit, fit_names(beside))}")
        return {"name": name, **_rules(file, core), **_fit(file, core)}
    device, runtime = fit.split("/", 1)
    if device not in device_names():
        raise ConfigError(f"{place}: {UnknownNameError('device', device, device_names())}")
    found = _load_packaged(device).runtimes.get(runtime)
    if found is None:
        known = ", ".join(sorted(_load_packaged(device).runtimes))
        raise ConfigError(f"{place}: {device} has no runtime {runtime!r}; it has {known}")
    # Power belongs to the board that it was measured on.
    return found.model_dump(mode="json", exclude={"active_power_w"}, exclude_unset=True)


def _named(name: str, place: str, beside: Path | None) -> RuntimeFile:
    if name not in runtime_names(beside):
        raise ConfigError(f"{place}: {UnknownNameError('runtime', name, runtime_names(beside))}")
    return load_runtime(name, beside)


def _rules(file: RuntimeFile, core: str) -> dict[str, Any]:
    """Return what a runtime says of fusion, memory and storage on one core."""
    models = {rule: getattr(file, rule) for rule in RULES} | {"memory": file.memory_of(core)}
    return {rule: m.model_dump(mode="json", exclude_none=True) for rule, m in models.items()}


def _fit(file: RuntimeFile, core: str) -> dict[str, Any]:
    return file.cores[core].model_dump(mode="json", exclude_unset=True)
