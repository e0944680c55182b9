"""Schemes as users write them, `dml:peers=4` or a `[scheme]` table, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import (
    Exit,
    InputJudge,
    Judge,
    Network,
    Projected,
    Rounded,
    Segment,
    Trained,
    View,
)
from hwkd.core.cohort_sources import Sent, Source
from hwkd.core.errors import ConfigError
from hwkd.distill.scheme import Aggregate, Edge, Phase, Scheme
from hwkd.distill.written_options import configured_options, split_options
from hwkd.io.discovery import discover

# A weight is looked at so often over a training.
_LOOKS = 200


def parse_scheme(given: str | Mapping[str, Any]) -> Scheme:
    """Return a scheme, checked.

    Args:
        given: a `--scheme` text, or a `[scheme]` table with its name as `scheme`.

    Raises:
        UnknownNameError: if there is no such scheme; offers the nearest names.
        ConfigError: for an unknown option, a value that it cannot have or a scheme that would
            teach nothing.
    """
    if isinstance(given, str):
        name, options = split_options(given, option="--scheme", example="dml:peers=4,temperature=2")
        table: dict[str, Any] = dict(options)
    else:
        table = dict(given)
        name = table.pop("scheme", None)
        if not isinstance(name, str):
            raise ConfigError('[scheme]: has no name; write scheme = "dml" first')
    discover("hwkd.distill.schemes")
    made = SCHEMES.get(name)
    scheme: Scheme = made(**configured_options(f"scheme {name}", made, table))
    require_sound(scheme)
    return scheme


def require_sound(scheme: Scheme) -> None:
    """Refuse, before anything is trained, a scheme that would not do what it says.

    Raises:
        ConfigError: says what is wrong with it.
    """
    phases = scheme.phases()
    names = [phase.name for phase in phases]
    for index, phase in enumerate(phases):
        where = f"scheme {scheme.name}: phase {phase.name}"
        _require_roles(phase, where, {p.name: p for p in phases[:index]})
        for edge in _all_edges(phase):
            _require_weight(edge, where)
    if len(set(names)) < len(names):
        raise ConfigError(f"scheme {scheme.name}: two phases have one name; name them apart")
    missing = [r for r in scheme.exported if r not in {role.name for role in phases[-1].roles}]
    if missing:
        raise ConfigError(
            f"scheme {scheme.name}: exports {missing[0]}, which is no role at its end"
        )


def _all_edges(phase: Phase) -> tuple[Edge, ...]:
    return (*phase.edges, *(edge for turn in phase.turns for edge in turn.edges))


def _require_roles(phase: Phase, where: str, before: Mapping[str, Phase]) -> None:
    known = {role.name for role in phase.roles}
    read: set[str] = set()
    for edge in _all_edges(phase):
        for signal in (*edge.predictions, *edge.reads):
            read.add(signal.split(".")[0])
            if signal.split(".")[0] not in known:
                raise ConfigError(f"{where}: {edge.name} reads {signal}, and there is no such role")
    stored = {role.name for role in phase.roles if isinstance(role, Source)}
    for edge in _all_edges(phase):
        if edge.attached and {signal.split(".")[0] for signal in edge.reads} <= stored:
            raise ConfigError(
                f"{where}: {edge.name} attaches a target that is stored and learns nothing; detach"
                " it"
            )
    pulled = _pulled_roles(phase)
    for role in phase.roles:
        earlier = getattr(role, "phase", None)
        if earlier is not None and earlier not in before:
            raise ConfigError(f"{where}: {role.name} is of phase {earlier}, which is not before it")
        # A view is another look of a network, which has the parameters.
        if isinstance(role, Trained) and not isinstance(role, View) and role.name not in pulled:
            raise ConfigError(
                f"{where}: no edge reaches the parameters of {role.name}; attach the target that "
                "is made of it, or leave it out"
            )
        begins = role.begins if isinstance(role, (Network, Exit)) else ()
        begins += role.phases if isinstance(role, Sent) else ()
        if missing := [name for name in begins if name not in before]:
            raise ConfigError(f"{where}: {role.name} begins as in {missing[0]}, not before it")
        goes_on = isinstance(role, Network) and role.goes_on
        if goes_on and not any(role.name in {r.name for r in p.roles} for p in before.values()):
            raise ConfigError(f"{where}: {role.name} goes on from a phase that does not have it")


def _pulled_roles(phase: Phase) -> set[str]:
    """Return the roles that an edge sends a gradient to."""
    pulled = set()
    for edge in _all_edges(phase):
        signals = edge.predictions
        if edge.attached:
            signals = (*signals, *edge.reads)
        pulled |= {signal.split(".")[0] for signal in signals}
    # What an exit or a segment is of learns with it; segments stand before exits on them.
    for role in reversed(phase.roles):
        if isinstance(role, View) and role.at and role.name in pulled:
            pulled.add(role.at.split(".")[0])
        if isinstance(role, (Exit, InputJudge, Judge, Projected, Segment)) and role.name in pulled:
            pulled.add(role.of)
    return pulled


def _require_weight(edge: Edge, where: str) -> None:
    if edge.weight == 0.0 or not edge.teaches:
        return
    off = sum(edge.factor(n / (_LOOKS - 1)) == 0.0 for n in range(_LOOKS))
    if off > _LOOKS / 2:
        raise ConfigError(
            f"{where}: the weight of {edge.name} is 0 in {off / _LOOKS:.0%} of the steps; a term "
            "that is to teach must do so in more than half of them"
        )
    if isinstance(edge.target, Aggregate) and not edge.target.members:
        raise ConfigError(f"{where}: {edge.name} has nobody to learn from")


def control_of(scheme: Scheme) -> tuple[Phase, ...]:
    """Return the phases of a scheme without the edges that distil.

    Phases that nobody exported goes on from are left out: they trained teachers.
    """
    own_control = scheme.control_phases()
    if own_control is not None:
        return own_control
    phases = scheme.phases()
    last = phases[-1]
    if any(isinstance(r, Rounded) or getattr(r, "goes_on", False) for r in last.roles):
        own = [p for p in phases if {role.name for role in p.roles} & set(scheme.exported)]
        return tuple(phase.without_teaching() for phase in own)
    return (last.without_teaching(),)
