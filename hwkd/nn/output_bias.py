"""The bias that is added to all outputs of a network, wherever in it that is."""

from __future__ import annotations

from collections import Counter

from torch import Tensor

from hwkd.nn.build import StudentModule, Weighted

# What gives a number that is added everywhere in on as it is.
_PASS_ON = ("add", "upsample")


def output_bias(module: StudentModule) -> Tensor | None:
    """Return it, shape [outputs]; None where there is none, or it reaches outputs by other ways."""
    if len(module.layers.heads) != 1:
        return None
    readers = Counter(name for layer in module.layers.layers for name in set(layer.inputs))
    by_name = {layer.name: layer for layer in module.layers.layers}
    layer = by_name[module.layers.heads[0]]
    while layer.kind in _PASS_ON and layer.activation == "none" and layer.inputs[0] in by_name:
        layer = by_name[layer.inputs[0]]
        if readers[layer.name] > 1 or len(set(layer.inputs)) < len(layer.inputs):
            return None
    step = module.steps[layer.name]
    is_bare = isinstance(step, Weighted) and step.norm is None and layer.activation == "none"
    return step.core.bias if isinstance(step, Weighted) and is_bare else None
