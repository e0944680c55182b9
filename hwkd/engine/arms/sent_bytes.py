"""How much clients send of a student."""

from __future__ import annotations

from math import prod

from hwkd.core.student import Layers
from hwkd.distill.schemes.federated import FederatedScheme, Sizes
from hwkd.nn.build import build_module
from hwkd.nn.cut import part_between


def sent_in_a_round(scheme: FederatedScheme, layers: Layers, *, samples: int) -> int:
    """Return the bytes that all clients together send and are sent in a round.

    Args:
        layers: of the student.
        samples: of the data, public ones included.
    """
    state = build_module(layers, seed=0).state_dict()
    _, trunk = part_between(layers, 0, scheme.client_stages)
    names = {layer.name for layer in trunk}
    sizes = Sizes(
        weights=sum(value.numel() for value in state.values()),
        samples=samples,
        classes=layers.layers[-1].shape[0],
        trunk=sum(value.numel() for key, value in state.items() if key.split(".")[1] in names),
        maps=prod(trunk[-1].shape),
    )
    return scheme.bytes_per_round(sizes)
