"""What a search asks for and what it has seen so far: all that a proposal depends on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from hwkd.propose.candidates import Screened
from hwkd.propose.traces import Params, Suggest, Trace

T = TypeVar("T")
Origin: TypeAlias = Literal["reference", "first", "survey", "random", "mutation", "crossover"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem(Generic[T]):
    """A search, before anything was tried.

    Attributes:
        screen: costs a candidate; pure.
        objectives: how many are minimised. With one its improvement counts, with several the
            hypervolume of their front.
        limits: one entry per objective: values above are worth nothing. None: unknown; for exact
            objectives the largest of a survey serves then.
        group: name of the choice that tells families of candidates apart, None where there is one.
        references: choices of candidates that are tried first, cheapest first.
        outputs: how many further measured numbers an observation carries that are predicted, too.
        tried: how many candidates will be tried at most, None where nobody knows; to choose a few,
            fewer are screened.
    """

    suggest: Suggest[T]
    screen: Callable[[Trace[T]], Screened]
    objectives: int = 1
    limits: tuple[float | None, ...] = (None,)
    group: str | None = None
    references: tuple[Params, ...] = ()
    outputs: int = 0
    tried: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A candidate that was tried or is being tried.

    Attributes:
        number: unique; later ones are larger.
        key: `Screened.key` where it is stored; None where screening has to tell.
        values: objectives, minimised; None while it is tried, or when it gave no result.
        constraints: measured; the candidate is feasible when none is above 0.
        held: whether what was measured lay in the 80% interval that was predicted; None where
            nothing was.
    """

    number: int
    params: Params
    key: Hashable | None = None
    values: tuple[float, ...] | None = None
    is_pending: bool = False
    constraints: tuple[float, ...] = ()
    outputs: tuple[float, ...] = ()
    held: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """A candidate to try and why.

    Attributes:
        origin: where it comes from; "first" is spread over the costs before anything is known.
        parent: number of the observation that it was made from by mutation or crossover.
        predicted: mean and deviation of a measurement (noise included) of the first objective and
            then of every further output; empty before there is a model.
        gain: expected hypervolume (share of the box) or improvement.
    """

    trace: Trace[object]
    screened: Screened
    origin: Origin
    parent: int | None = None
    predicted: tuple[tuple[float, float], ...] = ()
    gain: float | None = None
