"""An exponential moving average of weights, and the batch statistics that fit the averaged ones.

Averages of the last part of a training lie nearer to the middle of a flat minimum than its last
point does (Polyak and Juditsky 1992; Izmailov et al. 2018, arXiv:1803.05407), and a training that
is stopped early keeps weights without the noise of a high learning rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

STEPS_BETWEEN_AVERAGES = 4


class WeightAverage:
    """The average of a module's parameters.

    The decay of the n-th update is min(decay, (1 + n) / (10 + n)): the average always covers about
    the last ninth of what has been trained, at most 1 / (1 - decay) updates, so a brief training is
    not averaged with its random start.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start an average of no weights.

        Args:
            module: whose parameters are followed.
            decay: 0 to 1, exclusive.
        """
        if not 0.0 < decay < 1.0:
            raise ValueError(f"averaging decay {decay} is not between 0 and 1")
        self._decay = decay
        trained = (parameter for parameter in module.parameters() if parameter.requires_grad)
        self._weights: list[Tensor] = list(trained)
        self._averages: list[Tensor] = []
        self._updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the present weights in."""
        present = [weight.detach() for weight in self._weights]
        if not self._averages:
            self._averages = [weight.clone() for weight in present]
            return
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        torch._foreach_lerp_(self._averages, present, 1.0 - decay)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint must hold."""
        state = {str(index): average for index, average in enumerate(self._averages)}
        return state | {"updates": torch.tensor(self._updates)}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state`."""
        self._updates = int(state["updates"])
        kept = [state[str(index)] for index in range(len(state) - 1)]
        # In the layout of the weights, as they would have been had they never been stored.
        self._averages = [
            torch.empty_like(weight).detach().copy_(average)
            for weight, average in zip(self._weights, kept, strict=False)
        ]

    @torch.no_grad()
    def apply(self) -> bool:
        """Put the average in place of the weights; False if there is none yet."""
        if self._averages:
            torch._foreach_copy_(self._weights, self._averages)
        return bool(self._averages)


def has_batch_statistics(module: nn.Module) -> bool:
    """Tell whether a module has statistics that belong to its weights."""
    return bool(_norms(module))


@torch.no_grad()
def set_statistics(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the statistics of batch normalisation to their plain mean over batches.

    Args:
        module: left in training mode.
        batches: inputs, at least one batch.
    """
    norms = _norms(module)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's name for the plain mean
    module.train()
    for inputs in batches:
        module(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
