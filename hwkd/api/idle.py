"""Refuses options that do nothing beside others, of which a user expects something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hwkd.api.option import declared
from hwkd.core.errors import ConfigError


def refuse_idle(
    function: Callable[..., object],
    given: Mapping[str, object],
    idle: Mapping[str, Sequence[str]],
) -> None:
    """Refuse the first option that was given and does nothing.

    Args:
        given: values by the name of their parameter.
        idle: why -> names of options that do nothing for that reason; none where it does not hold.

    Raises:
        ConfigError: names the option and the reason.
    """
    reasons = {name: why for why, names in idle.items() for name in names}
    for option in declared(function):
        value = given.get(option.name, option.default)
        if option.name in reasons and value != option.default:
            raise ConfigError(
                f"{option.label}: does nothing, because {reasons[option.name]}; leave it out"
            )
