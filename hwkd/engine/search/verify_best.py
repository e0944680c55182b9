"""The best student as C on the device's core, emulated: asked for before a search, run after it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from hwkd.core.device import Device
from hwkd.core.errors import ConfigError, HwkdError, UnknownNameError
from hwkd.core.progress import Progress
from hwkd.core.verification import Target, Verification, VerificationRecord
from hwkd.deploy.toolchain import find_host_compiler, find_tools
from hwkd.deploy.verify import verify_model
from hwkd.deploy.verify_target import target_of
from hwkd.engine.arms.export import raw_input
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.core_files import core_names
from hwkd.io.device_catalog import folder_of, load_device
from hwkd.io.run_text import write_text
from hwkd.io.student_folder import StudentFiles
from hwkd.tasks.base import TaskData

VERIFICATION_FILE = "verification.json"
_INPUTS = 512


def require_what_verifying_needs(config: SearchConfig) -> None:
    """Raise HwkdError, before anything is read, if the best student could not be verified."""
    if not config.verify_best:
        return
    if not config.train_best:
        raise ConfigError("--verify: checks the best student after full training; drop --no-final")
    require_verifiable(load_device(config.device), beside=folder_of(config.device))


def require_verifiable(device: Device, *, beside: Path | None = None) -> Target:
    """Return what the C will be compiled for; asked before anything is trained.

    Args:
        beside: folder of the user's device file, whose `cores/` come first.

    Raises:
        ConfigError: if the device has no core that can be emulated.
        ExportError: if a compiler or the emulator is missing; says how to install it.
    """
    try:
        target = target_of(device, beside=beside)
    except UnknownNameError:
        raise ConfigError(
            f"--verify: {device.name} has the core {device.core}, which is not emulated; "
            f"it works for devices with {', '.join(core_names())}"
        ) from None
    find_tools()
    find_host_compiler()
    return target


def verify_best(
    folder: Path, target: Target, data: TaskData, progress: Progress
) -> VerificationRecord:
    """Check the int8 file of a student's folder on the device's core and write `verification.json`.

    What goes wrong is part of the record: the search is over and its results stay.

    Args:
        folder: `best/` of a run.
        data: whose first 512 test examples are used, as recorded where the pipeline is in integers.
    """
    score = partial(data.head.scores, targets=data.test.labels[:_INPUTS])
    raw = None if data.raw_test is None else raw_input(data.pipeline.record())
    is_whole = raw is not None and raw.is_whole
    inputs = data.raw_test if is_whole and data.raw_test is not None else data.test.inputs
    try:
        found = verify_model(
            StudentFiles(folder).int8_path,
            target,
            inputs[:_INPUTS],
            raw=raw,
            raw_values=data.raw_test,
            score=score,
            progress=progress,
        )
    except HwkdError as error:
        return _record(target, passed=False, failure=str(error))
    write_text(folder / VERIFICATION_FILE, json.dumps(found.as_dict(), indent=2) + "\n")
    return _record(target, passed=found.passed, emulation=found)


def _record(
    target: Target,
    *,
    passed: bool,
    failure: str | None = None,
    emulation: Verification | None = None,
) -> VerificationRecord:
    return VerificationRecord(
        core=target.core.name,
        flash_limit_bytes=target.flash_bytes,
        ram_limit_bytes=target.ram_bytes,
        passed=passed,
        failure=failure,
        emulation=emulation,
    )
