"""`hwkd.schemes` and `hwkd.scheme`: who can teach whom, and at what price."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from hwkd.api.option import Option, declares_options

if TYPE_CHECKING:
    from hwkd.distill.scheme import Scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeFacts:
    """What is known about a scheme of distillation.

    Attributes:
        name: as `--scheme` takes it.
        summary: what it does, in words.
        control: the same without distillation, which is trained beside it.
        cost_factor: training over that of the student alone, about.
        phases: trainings one after another.
        roles: networks and parts that take part, by phase.
        exported: roles of which the best on validation ships; nothing else does.
        options: name, default, allowed values and meaning of each option.
    """

    name: str
    family: str
    summary: str
    paper: str
    evidence: str
    needs: str
    control: str
    cost_factor: float
    phases: tuple[str, ...]
    roles: Mapping[str, tuple[str, ...]]
    exported: tuple[str, ...]
    options: tuple[Mapping[str, Any], ...]


@declares_options
def schemes(
    family: Annotated[str | None, Option("Only one family. For example online.")] = None,
) -> tuple[SchemeFacts, ...]:
    """List the schemes by which a student can be trained: family, price, control, paper.

    Raises:
        UnknownNameError: if there is no such family.
    """
    from hwkd.core import catalog
    from hwkd.core.errors import UnknownNameError
    from hwkd.io import discovery

    discovery.discover("hwkd.distill.schemes")
    every = [_facts(catalog.SCHEMES.get(name)()) for name in catalog.SCHEMES]
    found = tuple(each for each in every if family is None or each.family == family)
    if not found:
        raise UnknownNameError("family", str(family), {each.family for each in every})
    return found


@declares_options
def scheme(
    name: Annotated[str, Option("Scheme name, as in `hwkd schemes list`.", metavar="NAME")],
) -> SchemeFacts:
    """Show one scheme: who takes part, options and their ranges, price, control, evidence.

    Raises:
        UnknownNameError: if there is no such scheme.
    """
    from hwkd.core import catalog
    from hwkd.io import discovery

    discovery.discover("hwkd.distill.schemes")
    return _facts(catalog.SCHEMES.get(name)())


def _facts(found: "Scheme") -> SchemeFacts:
    import inspect

    from hwkd.distill.method import option_facts

    phases = found.phases()
    return SchemeFacts(
        name=found.name,
        family=found.family,
        summary=inspect.getdoc(type(found)) or "",
        paper=found.paper,
        evidence=found.evidence,
        needs=found.needs,
        control=found.control,
        cost_factor=found.cost_factor,
        phases=tuple(phase.name for phase in phases),
        roles={phase.name: tuple(role.name for role in phase.roles) for phase in phases},
        exported=found.exported,
        options=option_facts(found),
    )
