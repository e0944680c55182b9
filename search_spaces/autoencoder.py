"""Students that repeat their input through a narrow code: what they cannot repeat is unusual."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of
from hwkd.core.stem import choose_activation
from hwkd.core.student import Chooser, Layers, StudentSpec

_WIDTHS, _WIDTH_STEP = (8, 128), 4
_CODES = (2, 32)
_DEPTHS = (1, 2)


@dataclass(frozen=True)
class AutoencoderSpace(Space):
    """Fully connected layers down to a code and up again, each half as wide as the one before.

    The code is what an input is reduced to; were it as wide as the input, anomalies would be
    repeated as well as anything else.
    """

    name: str = "autoencoder"
    summary: str = "fully connected layers through a narrow code, which repeat their input"
    is_default: bool = False

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample the first layer's width, the number of layers, the code and the activation."""
        values = prod(input_shape)
        most = max(2, min(_CODES[1], values - 1))
        return {
            **choose_activation(chooser, room),
            "depth": chooser.integer("depth", *_DEPTHS),
            "width": chooser.integer("width", *room.widths(*_WIDTHS), step=_WIDTH_STEP),
            "code": chooser.integer("code", _CODES[0], most, log=True),
        }

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        activation = activation_of(spec)
        width, depth = int(spec.params["width"]), int(spec.params["depth"])
        widths = [max(4, width >> level) for level in range(depth)]
        builder = LayersBuilder(spec.input_shape)
        x = builder.reshape(builder.image, "flat", (prod(spec.input_shape),))
        for number, features in enumerate(widths, 1):
            x = builder.linear(x, f"encode{number}", features, norm=True, activation=activation)
            builder.tap(f"stage{number}", x)
        x = builder.linear(x, "code", int(spec.params["code"]))
        builder.tap("embedding", x)
        for number, features in enumerate(reversed(widths), 1):
            x = builder.linear(x, f"decode{number}", features, norm=True, activation=activation)
        builder.linear(x, "logits", spec.num_outputs)
        return builder.build()


SEARCH_SPACES.register("autoencoder")(AutoencoderSpace())
