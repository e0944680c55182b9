"""Whether the exported C fits a chip, by what is known before anything is compiled."""

from __future__ import annotations

from hwkd.core.errors import DoesNotFitError
from hwkd.core.limits import Fit, Limits, Need
from hwkd.core.trial import LimitName
from hwkd.core.verification import Target
from hwkd.deploy.to_c.flash import constant_bytes, predict_flash_bytes, predict_ram_bytes
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.verify_run import VECTOR_BYTES

__all__ = ["predicted_fit", "require_fit"]


def predicted_fit(project: Project, target: Target) -> Fit:
    """Compare code, constants, arena and stack with the memories of a target.

    Where the code's own sizes are not known, constants and arena are lower bounds.
    """
    flash = predict_flash_bytes(project, target.core)
    ram = predict_ram_bytes(project, target.core)
    known_flash = constant_bytes(project) if flash is None else flash
    known_ram = project.memory.arena_bytes if ram is None else ram
    needs: dict[LimitName, Need] = {
        "flash": Need(known_flash + VECTOR_BYTES, is_lower_bound=flash is None),
        "ram": Need(known_ram, is_lower_bound=ram is None),
    }
    limits = Limits(flash_bytes=target.flash_bytes, ram_bytes=target.ram_bytes)
    return Fit.of_needs(needs, limits)


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
