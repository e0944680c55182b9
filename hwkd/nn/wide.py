"""A larger network whose weights begin with those of another one, which learns inside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from hwkd.core.student import Layers
from hwkd.nn.build import StudentModule, build_module


class WideAround(nn.Module):
    """The weights around a base network's, and the networks of several sizes that they make.

    The base keeps its own parameters, which are the first channels of every weight that it has:
    what the larger networks learn reaches them, and to export the base is to leave the rest.
    """

    def __init__(self, forms: Sequence[Layers], *, seed: int) -> None:
        """Draw what is around the base.

        Args:
            forms: larger ones of the base, ascending; the last has all weights.
            seed: of the weights, and of the forms that are drawn.
        """
        super().__init__()
        self._seed = seed
        networks = [build_module(form, seed=seed) for form in forms]
        self._shapes = [{n: p.shape for n, p in net.named_parameters()} for net in networks]
        # Beside the tree of modules: they lend their structure, and their weights are not theirs.
        self._skeletons = [_without_statistics(network) for network in networks]
        self._names = [name for name, _ in networks[-1].named_parameters()]
        self.around = nn.ParameterList(p.detach().clone() for p in networks[-1].parameters())
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def forward(self, base: StudentModule, inputs: Tensor) -> Tensor:
        """Return the logits of a network of a size that is drawn.

        Args:
            base: whose parameters are the first channels.
            inputs: shape [batch, *input_shape].
        """
        draws = self.get_buffer("draws")
        generator = torch.Generator().manual_seed(self._seed + int(draws))
        draws += 1
        which = int(torch.randint(len(self._skeletons), (), generator=generator))
        inner = dict(base.named_parameters())
        weights = {}
        shapes = self._shapes[which]
        for name, around in zip(self._names, self.around, strict=True):
            if name in shapes:  # not of a layer that only deeper forms have
                whole = _filled(around, inner[name]) if name in inner else around
                weights[name] = whole[tuple(slice(size) for size in shapes[name])]
        logits: Tensor = functional_call(self._skeletons[which], weights, (inputs,))
        return logits


def _filled(around: Tensor, inner: Tensor) -> Tensor:
    """Return a weight whose first channels are another's."""
    whole = around.clone()
    whole[tuple(slice(size) for size in inner.shape)] = inner
    return whole


def _without_statistics(network: StudentModule) -> StudentModule:
    """Return a network that normalises by its batch alone and has no parameter to be found."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return network.requires_grad_(False).train()
