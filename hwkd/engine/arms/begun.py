"""Full trainings of a run folder that were cut off: how far they came, for another to go on from.

A training with a time budget cannot be repeated, so one that is killed, or stopped because it was
late, does not go on by itself. Its weights are worth what it took to make them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from hwkd.engine.arms.checkpoints import checkpoint_of
from hwkd.engine.arms.evaluation import TRAIN_STAGE
from hwkd.engine.arms.orders import ArmOrder, order_folder, unfinished_orders
from hwkd.io.paths import written_atomically
from hwkd.train.checkpoint import CutOff, cut_off

_WEIGHTS_FILE = "begun.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A full training that was cut off.

    Attributes:
        passes: over the examples that it had made when it last wrote how far it was.
    """

    order: ArmOrder
    came: CutOff

    @property
    def passes(self) -> int:
        """Whole passes over what it learned from."""
        return len(self.came.facts.epochs)

    def samples(self, examples: int) -> int:
        """Return how many it had seen of so many examples, those before it too."""
        return self.order.samples_before + self.passes * examples

    def store(self, run: Path) -> Path:
        """Write its weights as those of a student, beside its order; returns the file."""
        path = order_folder(run, self.order) / _WEIGHTS_FILE
        kept: dict[str, Tensor] = {n: each.contiguous() for n, each in self.came.weights.items()}
        with written_atomically(path) as temporary:
            save_file(kept, temporary)
        return path


def furthest_begun(run: Path, *, examples: int) -> Begun | None:
    """Return the training of a run folder that came furthest and was cut off; None without one.

    Args:
        examples: that a pass is over.
    """
    found = []
    for order in unfinished_orders(run):
        came = cut_off(checkpoint_of(order_folder(run, order), TRAIN_STAGE))
        if came is not None and came.facts.epochs:
            found.append(Begun(order=order, came=came))
    return max(found, key=lambda each: each.samples(examples), default=None)
