"""A decoder of fewer layers, heads and channels, with the weights of the most important ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hwkd.core.errors import ConfigError
from hwkd.language.decoder_axes import Family
from hwkd.language.decoder_folder import Decoder, auto_class
from hwkd.language.importance import Importance
from hwkd.language.kept_parts import Sizes, sizes_of


def small_config(config: Any, family: Family, sizes: Sizes) -> Any:
    """Return the configuration of a model of which a part has these sizes, else like another's."""
    whole = copy.deepcopy(config)
    small = family.sizes_in(whole)
    small.hidden_size = sizes.hidden
    small.num_hidden_layers = sizes.depth
    small.num_attention_heads = sizes.heads
    setattr(small, family.grown_width, sizes.grown)
    if family.has_groups:
        small.num_key_value_heads = sizes.groups
        small.head_dim = sizes.head_width
    if getattr(small, "layer_types", None):
        small.layer_types = small.layer_types[: sizes.depth]
    return whole


def new_model(config: Any, *, seed: int) -> nn.Module:
    """Return an untrained model; the seed draws its weights."""
    import transformers

    auto = getattr(transformers, auto_class(config.model_type))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = auto.from_config(config, dtype=torch.float32)
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptParts:
    """Which parts of a whole decoder a cut one has, by their numbers, ascending.

    Attributes:
        layers: shape [depth].
        groups: of heads that share keys and values, of each kept layer.
        grown: channels of the feed-forward part, of each kept layer.
        hidden: channels between layers.
        whole_groups: of a layer of the whole decoder.
    """

    layers: Tensor
    groups: tuple[Tensor, ...]
    grown: tuple[Tensor, ...]
    hidden: Tensor
    whole_groups: int


def kept_parts(
    importance: Importance, family: Family, sizes: Sizes, whole: Sizes, *, last: int = 0
) -> KeptParts:
    """Choose the most important parts.

    Args:
        sizes: at most those of the whole decoder.
        last: layers at the end that stay, whatever they do.

    Raises:
        ConfigError: if no layer before these would be left.
    """
    if sizes.depth <= last:
        raise ConfigError(
            f"--keep depth:{sizes.depth}: the model reads the layer before its last {last}, which "
            f"stay; keep {last + 1} at least"
        )
    stays = torch.arange(whole.depth) >= whole.depth - last
    layers = best_of(importance.layers.masked_fill(stays, torch.inf), sizes.depth)
    hidden = sizes.heads * sizes.head_width if family.heads_fill_hidden else sizes.hidden
    return KeptParts(
        layers=layers,
        groups=tuple(best_of(importance.groups[layer], sizes.groups) for layer in layers),
        grown=tuple(best_of(importance.grown[layer], sizes.grown) for layer in layers),
        hidden=best_of(importance.hidden, hidden),
        whole_groups=whole.groups,
    )


def shrunk(decoder: Decoder, kept: KeptParts, sizes: Sizes) -> nn.Module:
    """Return a smaller decoder with the weights of the kept parts, in the old order."""
    family, whole = decoder.family, sizes_of(decoder.config, decoder.family)
    model = new_model(small_config(decoder.config, family, sizes), seed=0)
    old = dict(decoder.model.named_parameters())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            known = family.axes(name)
            assert known is not None, name
            layer, axes = known
            source, number = name, layer or 0
            if layer is not None:
                was = int(kept.layers[layer])
                source = name.replace(f"{family.layers}.{layer}.", f"{family.layers}.{was}.", 1)
            values: Tensor = old[source]
            for axis, kind in enumerate(axes):
                if kind:
                    values = values.index_select(axis, _indices(kind, number, kept, whole))
            weight.copy_(values)
    return model.eval()


def _indices(kind: str, layer: int, kept: KeptParts, whole: Sizes) -> Tensor:
    """Return what is kept along an axis of a kind, ascending.

    Args:
        layer: of the cut decoder.
    """
    if kind == "hidden":
        return kept.hidden
    if kind == "grown":
        return kept.grown[layer]
    width = whole.head_width
    if kind.startswith("heads"):
        width *= whole.heads // whole.groups  # all heads of a group are channels in a row
    channels = (kept.groups[layer][:, None] * width + torch.arange(width)).flatten()
    if kind == "heads*3":
        each = whole.heads * whole.head_width
        return torch.cat([channels + part * each for part in range(3)])
    return channels


def best_of(importance: Tensor, count: int) -> Tensor:
    """Return the indices of the largest values, ascending; of equal ones the first."""
    order = torch.argsort(importance, descending=True, stable=True)
    return torch.sort(order[:count]).values
