"""What happens to a whole example at once: motion as others make it, speech as others say it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from hwkd.train import motion, voices
from hwkd.train.augment import Augmentation, Draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """One way, and how much is drawn for it.

    Attributes:
        even_draws: for each example, from 0 to 1.
        normal_draws: for each example, of deviation 1.
        vary: batch, amounts and draws -> a varied copy of the batch.
    """

    even_draws: int
    normal_draws: int
    vary: Callable[[Tensor, Augmentation, Draws], Tensor]


def variation_of(what: Augmentation, channels: int) -> Variation | None:
    """Return how whole examples are varied; None where they are not.

    Args:
        channels: of an example.
    """
    if what.is_of_motion:
        return Variation(
            even_draws=motion.EVEN_DRAWS,
            normal_draws=motion.normal_draws(channels),
            vary=motion.varied_motion,
        )
    if what.is_of_voices:
        return Variation(
            even_draws=voices.EVEN_DRAWS,
            normal_draws=voices.NORMAL_DRAWS,
            vary=voices.varied_voices,
        )
    return None
