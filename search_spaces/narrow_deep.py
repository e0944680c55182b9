"""Narrow and deep students: few channels, many full convolutions, skip connections."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder, is_tiny, max_stages
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of, choose_width
from hwkd.core.stem import append_stem, choose_activation, choose_stem, choose_stem_window
from hwkd.core.student import Activation, Chooser, Layers, StudentSpec

# (fewest, most) channels of the stem and of the stages after it, all in fours: a word of a
# Cortex-M holds four int8 values, and training on a CPU computes any others as slowly as the next.
_WIDTHS = ((8, 24), (8, 20), (8, 28), (12, 40))
_TINY_WIDTHS = ((4, 12), (4, 12), (4, 16), (8, 24))
_WIDTH_STEP = 4


@dataclass(frozen=True)
class NarrowDeepSpace(Space):
    """Residual blocks of full convolutions (arXiv:1512.03385) with 4 to 40 channels.

    Few channels mean few biases and scales, so nearly every byte is a weight; many layers mean a
    large receptive field and many non-linearities per byte. In a lean room the skips are left out:
    sums are a kernel more.
    """

    name: str = "narrow_deep"
    summary: str = "few channels, many layers: residual blocks of full convolutions"

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample widths, depths, kernels, strides and the activation."""
        most = min(3, max_stages(input_shape))
        widths = _TINY_WIDTHS if is_tiny(input_shape) else _WIDTHS
        # Along time a wide window is cheap; in an image it costs its square.
        kernels = (3, 5, 9) if len(input_shape) == 2 else (3,)
        stages = chooser.integer("stages", room.fewest_stages(most), most)
        params: Params = {
            **choose_activation(chooser, room),
            **choose_stem(chooser, room, input_shape, widths[0], step=_WIDTH_STEP),
            "stages": stages,
            "convs_per_block": chooser.integer("convs_per_block", 1, 2),
        }
        if room.lean:
            params["residual"] = chooser.categorical("residual", (False,))
        params |= choose_stem_window(chooser, room)
        for stage in range(1, stages + 1):
            key = f"stage{stage}"
            params |= choose_width(
                chooser, room, f"{key}_channels", widths[stage], step=_WIDTH_STEP
            )
            params[f"{key}_blocks"] = chooser.integer(f"{key}_blocks", 1, room.most(1, 4))
            if len(kernels) > 1:
                params[f"{key}_kernel"] = chooser.categorical(f"{key}_kernel", kernels)
        return params

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        p = spec.params
        activation = activation_of(spec)
        builder = LayersBuilder(spec.input_shape)
        x = append_stem(builder, spec)
        for stage in range(1, int(p["stages"]) + 1):
            key = f"stage{stage}"
            for block in range(1, int(p[f"{key}_blocks"]) + 1):
                x = _block(
                    builder, x, f"{key}_block{block}", int(p[f"{key}_channels"]),
                    convs=int(p["convs_per_block"]),
                    residual=bool(p.get("residual", True)),
                    kernel=int(p.get(f"{key}_kernel", 3)),
                    stride=2 if stage > 1 and block == 1 else 1,
                    activation=activation,
                )  # fmt: skip
            builder.tap(key, x)
        builder.classifier(x, spec.num_outputs)
        return builder.build()


def _block(
    builder: LayersBuilder,
    source: str,
    name: str,
    channels: int,
    *,
    convs: int,
    residual: bool,
    kernel: int,
    stride: int,
    activation: Activation,
) -> str:
    """Append a block; a 1x1 convolution carries its skip where the shape changes."""
    x = source
    for index in range(1, convs + 1):
        x = builder.conv(
            x, f"{name}_conv{index}", channels,
            kernel=kernel,
            stride=stride if index == 1 else 1,
            activation=activation if index < convs or not residual else "none",
        )  # fmt: skip
    if not residual:
        return x
    skip = source
    if builder.shape(source) != builder.shape(x):
        skip = builder.conv(source, f"{name}_shortcut", channels, stride=stride)
    return builder.add(skip, x, f"{name}_skip", activation=activation)


SEARCH_SPACES.register("narrow_deep")(NarrowDeepSpace())
