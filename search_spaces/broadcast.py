"""Broadcast students: blocks along frequency, then along time of all frequencies together."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder, max_stages
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of, choose_width
from hwkd.core.stem import append_stem, choose_stem
from hwkd.core.student import Activation, Chooser, Layers, StudentSpec

# (fewest, most) channels of the stem and of the stages after it
_WIDTHS = ((8, 24), (8, 32), (12, 48), (16, 64), (16, 96))
_ACTIVATIONS = ("relu", "relu6")


@dataclass(frozen=True)
class BroadcastSpace(Space):
    """Broadcast residual blocks (BC-ResNet, arXiv:2106.04140); stages halve the frequencies.

    A block filters each channel along frequency, and adds to every frequency what it finds along
    time in all of them together: work over time is done once and not for each frequency. Rows of
    the input are frequencies; of a signal (bins, time), channels become rows. Instead of the mean
    over frequencies a convolution over all of them learns their weights, since averages of int8
    round differently from runtime to runtime; ordinary batch normalisation takes the place of the
    sub-spectral one.
    """

    name: str = "broadcast"
    summary: str = "frequency, then time with broadcast residuals: spectra (only when named)"
    is_default: bool = False

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample widths, depths, windows over time and the activation."""
        picture = input_shape if len(input_shape) == 3 else (1, *input_shape)
        most = max_stages(picture)
        stages = chooser.integer("stages", room.fewest_stages(most), most)
        params: Params = {
            "activation": chooser.categorical("activation", _ACTIVATIONS),
            **choose_stem(chooser, room, picture, _WIDTHS[0]),
            "stages": stages,
        }
        for stage in range(1, stages + 1):
            key = f"stage{stage}"
            params |= choose_width(chooser, room, f"{key}_channels", _WIDTHS[stage])
            params[f"{key}_blocks"] = chooser.integer(f"{key}_blocks", 1, room.most(1, 3))
            params[f"{key}_kernel"] = chooser.categorical(f"{key}_kernel", (3, 5, 9))
        return params

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        p = spec.params
        activation = activation_of(spec)
        builder = LayersBuilder(spec.input_shape)
        if len(spec.input_shape) == 2:
            builder.image = builder.transpose(builder.image, "frequencies", (1, 0, 2))
        x = append_stem(builder, spec)
        for stage in range(1, int(p["stages"]) + 1):
            key = f"stage{stage}"
            for block in range(1, int(p[f"{key}_blocks"]) + 1):
                x = _block(
                    builder, x, f"{key}_block{block}", int(p[f"{key}_channels"]),
                    kernel=int(p[f"{key}_kernel"]),
                    stride=2 if block == 1 and stage > 1 else 1,
                    activation=activation,
                )  # fmt: skip
            builder.tap(key, x)
        builder.classifier(x, spec.num_outputs)
        return builder.build()


def _block(
    builder: LayersBuilder, source: str, name: str, channels: int,
    *, kernel: int, stride: int, activation: Activation,
) -> str:  # fmt: skip
    """Append one block; its input is added, too, where it has the shape of the output."""
    x = source
    if builder.shape(source)[0] != channels:
        x = builder.conv(source, f"{name}_widen", channels, activation=activation)
    high = builder.depthwise(x, f"{name}_frequency", kernel=(3, 1), stride=(stride, 1))
    rows = builder.shape(high)[1]
    row = high
    if rows > 1:
        row = builder.conv(
            high, f"{name}_row", channels, kernel=(rows, 1), groups=channels, padded=False
        )
    time = builder.depthwise(row, f"{name}_time", kernel=(1, kernel), activation=activation)
    time = builder.conv(time, f"{name}_mix", channels)
    if builder.shape(high) == builder.shape(source):
        high = builder.add(source, high, f"{name}_skip")
    return builder.add(high, time, f"{name}_broadcast", activation=activation)


SEARCH_SPACES.register("broadcast")(BroadcastSpace())
