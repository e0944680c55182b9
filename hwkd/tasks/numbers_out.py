"""What heads have in common whose outputs are numbers themselves, and no scores of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwkd.core.arrays import Floats
from hwkd.core.decision_record import Confusion
from hwkd.tasks.named_outputs import NamedOutputs


class NumbersOut(NamedOutputs):
    """Means and differences of outputs as they are; see `hwkd.core.head.Head`."""

    __slots__ = ()

    def divergence(self, outputs: Floats, teacher: Floats, *, temperature: float) -> float:
        """Return the mean squared difference from the teacher, in the units of the outputs."""
        del temperature
        if outputs.shape != teacher.shape:
            raise ValueError(f"shapes differ: {outputs.shape} and {teacher.shape}")
        return float(np.square(outputs.astype(np.float64) - teacher).mean())

    def mean_of(self, answers: Sequence[Floats]) -> Floats:
        """Return the mean."""
        mean: Floats = np.mean(answers, axis=0)
        return mean

    def centred(self, outputs: Floats) -> Floats:
        """Return them as they are."""
        return outputs

    def counts(self, outputs: Floats, targets: Floats) -> Confusion:
        """Return nothing: there are no classes, or what is taken for what depends on where."""
        del outputs, targets
        return ()
