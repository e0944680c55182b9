"""Which layers, heads and channels a decoder uses, seen in its activations on calibration text.

As in Minitron (arXiv:2407.14679, section 2.2): a layer by how far its output turns from its input,
a head by the length of its output, a channel by the mean of its absolute value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from hwkd.language.decoder_axes import Family
from hwkd.language.kept_parts import Sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """Importance of the parts; only the order within one tensor means something.

    Attributes:
        layers: 1 less the mean cosine between a layer's input and output, shape [depth].
        groups: of heads that share keys and values, shape [depth, groups].
        grown: channels of the feed-forward part, shape [depth, channels].
        hidden: channels between layers, shape [channels].
    """

    layers: Tensor
    groups: Tensor
    grown: Tensor
    hidden: Tensor


@torch.no_grad()
def importance_of(
    model: nn.Module, family: Family, sizes: Sizes, batches: Iterable[Mapping[str, Tensor]]
) -> Importance:
    """Run calibration text through a model and sum up what the parts of a family do.

    Args:
        batches: what the model is called with.
    """
    layers = torch.zeros(sizes.depth)
    groups = torch.zeros(sizes.depth, sizes.groups)
    grown = torch.zeros(sizes.depth, sizes.grown)
    hidden = torch.zeros(sizes.hidden)

    def see_layer(number: int) -> Callable[..., None]:
        def hook(_module: nn.Module, given: tuple[Any, ...], found: Any) -> None:
            output = found[0] if isinstance(found, tuple) else found
            layers[number] += 1.0 - cosine_similarity(given[0], output, dim=-1).mean()

        return hook

    def see_heads(number: int) -> Callable[..., None]:
        def hook(_module: nn.Module, given: tuple[Any, ...]) -> None:
            heads = given[0].unflatten(-1, (sizes.groups, -1))
            groups[number] += heads.norm(dim=-1).mean((0, 1))

        return hook

    def see_grown(number: int) -> Callable[..., None]:
        def hook(_module: nn.Module, given: tuple[Any, ...]) -> None:
            grown[number] += given[0].abs().mean((0, 1))

        return hook

    def see_hidden(_module: nn.Module, _given: tuple[Any, ...], found: Any) -> None:
        hidden.add_(found.abs().mean((0, 1)))

    hooks = []
    for number in range(sizes.depth):
        layer = model.get_submodule(f"{family.layers}.{number}")
        hooks += [
            layer.register_forward_hook(see_layer(number)),
            layer.get_submodule(family.mixed).register_forward_pre_hook(see_heads(number)),
            layer.get_submodule(family.grown).register_forward_pre_hook(see_grown(number)),
        ]
    for name, module in model.named_modules():
        if re.fullmatch(family.norms, name):
            hooks.append(module.register_forward_hook(see_hidden))
    try:
        for batch in batches:
            model(**batch, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return Importance(layers=layers, groups=groups, grown=grown, hidden=hidden)
