"""Students that repeat a stretch of time through a narrow code, by convolutions over time."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of
from hwkd.core.stem import choose_activation
from hwkd.core.student import Chooser, Layers, StudentSpec

_WIDTHS, _WIDTH_STEP = (8, 48), 4
_CODES = (2, 16)
_KERNELS = (3, 5)
_SHORTENED = (2, 3, 4, 5, 7, 8)


@dataclass(frozen=True)
class ConvAutoencoderSpace(Space):
    """Convolutions that join neighbouring steps of time, a narrow code for each, and back again.

    A step of the code holds several of the input, and the last convolution makes all of them, one
    group of channels for each, so that nothing has to be spread out. Its weights do not grow with
    the length of the input, as those of fully connected layers do. Of any other number of outputs
    they are one fully connected layer on the code.
    """

    name: str = "conv_autoencoder"
    summary: str = "convolutions over time through a narrow code, which repeat their input"
    is_default: bool = False

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample width, how many steps become one, the code, the window and the activation."""
        fitting = tuple(by for by in _SHORTENED if input_shape[-1] % by == 0) or (1,)
        return {
            **choose_activation(chooser, room),
            "width": chooser.integer("width", *room.widths(*_WIDTHS), step=_WIDTH_STEP),
            "shortened": chooser.categorical("shortened", fitting),
            "code": chooser.integer("code", *_CODES, log=True),
            "kernel": chooser.categorical("kernel", _KERNELS),
        }

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        activation = activation_of(spec)
        width, by = int(spec.params["width"]), int(spec.params["shortened"])
        kernel = int(spec.params["kernel"])
        builder = LayersBuilder(spec.input_shape)
        *rows, time = builder.shape(builder.image)
        values = rows[0] * rows[1]
        x = builder.image
        if rows[1] > 1:
            x = builder.reshape(x, "as_signal", (values, 1, time))
        x = builder.conv(x, "encode1", width, kernel=(1, kernel), activation=activation)
        builder.tap("stage1", x)
        x = builder.conv(
            x, "encode2", width,
            kernel=(1, by), stride=(1, by), padded=False, activation=activation,
        )  # fmt: skip
        builder.tap("stage2", x)
        x = builder.conv(x, "code", int(spec.params["code"]), norm=False)
        shape = builder.shape(x)
        x = builder.reshape(x, "embedding", (shape[0] * shape[2],))
        builder.tap("embedding", x)
        if spec.num_outputs != values * time:
            builder.linear(x, "logits", spec.num_outputs)
            return builder.build()
        x = builder.reshape(x, "unfolded", shape)
        x = builder.conv(x, "decode1", width, kernel=(1, kernel), activation=activation)
        x = builder.conv(x, "decode2", values * by, norm=False)
        x = builder.reshape(x, "steps", (values, by, time // by))
        x = builder.transpose(x, "in_time", (0, 2, 1))
        builder.reshape(x, "logits", (values * time,))
        return builder.build()


SEARCH_SPACES.register("conv_autoencoder")(ConvAutoencoderSpace())
