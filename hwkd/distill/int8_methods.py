"""What a student goes on learning by when it is trained with simulated 8-bit rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwkd.core.head import OutputKind
from hwkd.core.signals import Signal
from hwkd.distill.defaults import usual_method
from hwkd.distill.spec import WeightedMethod

# An int8 file has no value before an activation: rounding and rectifying are one step. Its weights
# are trained relative to where they started, so they are not those that a teacher's compare with.
_SHOWN = frozenset({Signal.LOGITS, Signal.EMBEDDING, Signal.FEATURES, Signal.INPUTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Recipe:
    """Methods beside cross-entropy, and whose outputs they follow.

    Attributes:
        methods: at the weights and temperatures that the float training ended with.
        follows_itself: the teacher is the student before rounding.
    """

    methods: tuple[WeightedMethod, ...]
    follows_itself: bool


def int8_recipe(methods: Sequence[WeightedMethod], kind: OutputKind) -> Int8Recipe:
    """Return what goes on of a float training.

    Methods that have ended by then, and those that need what the int8 form does not show, take no
    part. Where no teacher is left the student follows its own outputs before rounding: labels alone
    teach it more than to undo the rounding, and rescue less.

    Args:
        methods: of the float training; none is cross-entropy.
    """
    ends = (entry.at_the_end() for entry in methods if entry.method.needs <= _SHOWN)
    kept = tuple(entry for entry in ends if entry is not None)
    if any(entry.method.uses_teacher for entry in kept):
        return Int8Recipe(methods=kept, follows_itself=False)
    own = WeightedMethod(method=usual_method(kind), weight=1.0)
    return Int8Recipe(methods=(*kept, own), follows_itself=True)
