"""`hwkd.spaces` and `hwkd.space`: the families of students that a search samples from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from hwkd.api.option import Option, declares_options

if TYPE_CHECKING:
    from hwkd.engine.setup.space_survey import SpaceSurvey

_SAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSummary:
    """One line of `hwkd spaces list`."""

    name: str
    summary: str


@declares_options
def spaces() -> tuple[SpaceSummary, ...]:
    """List the search spaces."""
    from hwkd.core import catalog
    from hwkd.io import discovery

    discovery.discover("hwkd.search_spaces")
    found = (catalog.SEARCH_SPACES.get(name) for name in catalog.SEARCH_SPACES)
    return tuple(SpaceSummary(name=each.name, summary=each.summary) for each in found)


@declares_options
def space(
    name: Annotated[str, Option("Space name, or your own .py file.", metavar="NAME")],
    *,
    input_shape: Annotated[str, Option("CHANNELSxHEIGHTxWIDTH, or CHANNELSxTIME.")] = "1x28x28",
    classes: Annotated[int, Option("Number of classes.", minimum=2)] = 10,
) -> "SpaceSurvey":
    """Show a space's choices, what its students cost in MACs and weights, and one example.

    Ranges come from 200 random students for the input given.
    """
    from hwkd.engine.setup.space_survey import survey_space

    return survey_space(name, _shape(input_shape), classes, samples=_SAMPLES)


def _shape(text: str) -> tuple[int, ...]:
    from hwkd.core.errors import ConfigError

    parts = text.lower().split("x")
    if len(parts) not in (2, 3) or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(
            f"--input-shape: {text!r} is not CHANNELSxHEIGHTxWIDTH or CHANNELSxTIME, as 1x28x28"
        )
    return tuple(int(part) for part in parts)
