"""Whether the exported C fits a chip: by what is known before compiling, and as it was built."""

from __future__ import annotations

from hwkd.core.choices import LimitName
from hwkd.core.errors import DoesNotFitError
from hwkd.core.limits import Fit, Limits, Need
from hwkd.core.verification import Target
from hwkd.deploy.to_c.flash import constant_bytes, predict_flash_bytes, predict_ram_bytes
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.verify_run import VECTOR_BYTES, BuildSizes


def predicted_fit(project: Project, target: Target) -> Fit:
    """Compare code, constants, arena and stack with the memories of a target.

    Where the code's own sizes are not known, constants and arena are lower bounds.
    """
    flash = predict_flash_bytes(project, target.core)
    ram = predict_ram_bytes(project, target.core)
    known_flash = constant_bytes(project) if flash is None else flash
    known_ram = project.memory.arena_bytes if ram is None else ram
    return _fit(target, Need(known_flash, flash is None), Need(known_ram, ram is None))


def built_fit(sizes: BuildSizes, stack_bytes: int, target: Target) -> Fit:
    """Compare what was linked, and the stack that it used, with the memories of a target."""
    return _fit(target, Need(sizes.flash_bytes), Need(sizes.ram_bytes + stack_bytes))


def require_fit(project: Project, target: Target) -> None:
    """Refuse a network that is too large for its target as far as is known.

    Raises:
        DoesNotFitError: if it needs more flash or RAM than there is.
    """
    violations = predicted_fit(project, target).violations
    if violations:
        worst = violations[0]
        name = "RAM" if worst.limit_name == "ram" else worst.limit_name
        need, limit = int(worst.needed), int(worst.limit)
        raise DoesNotFitError(
            f"{project.source} needs {need:,} bytes of {name}, {target.name} has {limit:,}: "
            f"{need - limit:,} too many; choose a smaller student or a larger device"
        )


def _fit(target: Target, flash: Need, ram: Need) -> Fit:
    used = None if flash.amount is None else flash.amount + VECTOR_BYTES
    needs: dict[LimitName, Need] = {"flash": flash._replace(amount=used), "ram": ram}
    limits = Limits(flash_bytes=target.flash_bytes, ram_bytes=target.ram_bytes)
    return Fit.of_needs(needs, limits)
