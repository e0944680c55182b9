"""The page of distillation schemes: who follows whom, at what price, made from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

from hwkd.core.catalog import SCHEMES
from hwkd.distill.scheme import Aggregate, Edge, Scheme
from hwkd.io.discovery import discover
from tools.markdown import table

_HEAD = """# Every distillation scheme

After this page you know every arrangement of teachers and students, what it costs, and what it has
to beat. Made from the schemes themselves. A *method* says how one answer is compared with another
([every method](methods.md)); a *scheme* says who takes part and who follows whom.

*Price* is the whole training, in trainings of the student alone.
"""


def schemes_page() -> str:
    """Return the page of all schemes, by family."""
    discover("hwkd.distill.schemes")
    schemes: list[Scheme] = [SCHEMES.get(name)() for name in SCHEMES]
    schemes.sort(key=lambda scheme: (scheme.family, scheme.name))
    rows = [(s.name, s.family, f"{s.cost_factor:.3g}", _first(s)) for s in schemes]
    lines = [_HEAD, *table(("scheme", "family", "price", "what it does"), rows), ""]
    return "\n".join([*lines, *(line for scheme in schemes for line in _scheme(scheme))])


def _scheme(scheme: Scheme) -> Iterator[str]:
    yield f"## {scheme.name}\n"
    yield f"{inspect.getdoc(type(scheme)) or ''}\n"
    facts = (
        ("price", f"{scheme.cost_factor:.3g} trainings"),
        ("evidence", scheme.evidence),
        ("needs", scheme.needs),
        ("control", scheme.control),
        ("paper", scheme.paper),
    )
    yield from table(("", ""), facts)
    for phase in scheme.phases():
        yield f"\nTerms of the training `{phase.name}`:\n"
        rows = [_edge(edge) for edge in phase.edges]
        yield from table(("term", "loss", "learns", "follows", "weight"), rows)
    yield ""


def _edge(edge: Edge) -> tuple[str, ...]:
    return (
        edge.name,
        f"`{_function(edge.loss)}`",
        _side(edge.prediction),
        _side(edge.target),
        f"{edge.weight:g}",
    )


def _side(side: str | Aggregate | tuple[str, ...]) -> str:
    if isinstance(side, Aggregate):
        return f"{_function(side.by)} of {', '.join(side.members)}"
    return ", ".join((side,) if isinstance(side, str) else side) or "nothing"


def _function(called: Callable[..., object]) -> str:
    return str(getattr(getattr(called, "func", called), "__name__", type(called).__name__))


def _first(scheme: Scheme) -> str:
    return (inspect.getdoc(type(scheme)) or "").split("\n")[0]
