"""Depthwise-separable students: MobileNet's blocks at microcontroller width."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder, is_tiny, max_stages
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of, choose_width
from hwkd.core.stem import append_stem, choose_activation, choose_stem, choose_stem_window
from hwkd.core.student import Activation, Chooser, Layers, StudentSpec

# (fewest, most) channels of the stem and of the stages after it
_WIDTHS = ((8, 24), (8, 24), (16, 40), (16, 64), (24, 64))
_TINY_WIDTHS = ((4, 16), (4, 16), (8, 24), (8, 32), (8, 32))
_HEAD_WIDTHS = (32, 64)
_SQUEEZES = ("none", "last", "all")


@dataclass(frozen=True)
class DepthwiseSpace(Space):
    """A stem, up to four stages of separable or inverted-residual blocks, pooling, a classifier.

    The first stage keeps the stem's resolution, the second halves it, later ones may. With an
    expansion of 1 a block is depthwise and pointwise (arXiv:1704.04861); above, it widens first
    and ends linearly (arXiv:1801.04381). In a lean room the skips are left out: sums are a kernel
    more.
    """

    name: str = "depthwise"
    summary: str = "depthwise-separable and inverted-residual convolutions, squeeze-excite"

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample widths, depths, kernels, expansions, strides, squeeze-excite and activation."""
        most = max_stages(input_shape)
        widths = _TINY_WIDTHS if is_tiny(input_shape) else _WIDTHS
        heads = (0, *sorted({room.widths(width, width)[1] for width in _HEAD_WIDTHS}))
        stages = chooser.integer("stages", room.fewest_stages(most), most)
        params: Params = {
            **choose_activation(chooser, room),
            **choose_stem(chooser, room, input_shape, widths[0]),
            "stages": stages,
            "squeeze_excite": chooser.categorical(
                "squeeze_excite", room.affordable(_SQUEEZES, lean=1)
            ),
            "head_channels": chooser.categorical("head_channels", heads),
        }
        if room.lean:
            params["skips"] = chooser.categorical("skips", (False,))
        params |= choose_stem_window(chooser, room)
        for stage in range(1, stages + 1):
            key = f"stage{stage}"
            params |= choose_width(chooser, room, f"{key}_channels", widths[stage])
            # Wide blocks at the stem's resolution take most of the time and add little.
            deepest = room.most(1, 2 if stage == 1 else 3)
            params[f"{key}_blocks"] = chooser.integer(f"{key}_blocks", 1, deepest)
            params[f"{key}_kernel"] = chooser.categorical(f"{key}_kernel", (3, 5))
            params[f"{key}_expansion"] = chooser.integer(f"{key}_expansion", 1, deepest)
            if stage > 2:
                params[f"{key}_stride"] = chooser.categorical(f"{key}_stride", (1, 2))
        return params

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        p = spec.params
        activation = activation_of(spec)
        builder = LayersBuilder(spec.input_shape)
        x = append_stem(builder, spec)
        stages = int(p["stages"])
        for stage in range(1, stages + 1):
            key = f"stage{stage}"
            squeeze = p["squeeze_excite"] == "all" or (
                p["squeeze_excite"] == "last" and stage == stages
            )
            for block in range(1, int(p[f"{key}_blocks"]) + 1):
                x = _block(
                    builder, x, f"{key}_block{block}", int(p[f"{key}_channels"]),
                    kernel=int(p[f"{key}_kernel"]),
                    stride=int(p.get(f"{key}_stride", 2)) if stage > 1 and block == 1 else 1,
                    expansion=int(p[f"{key}_expansion"]),
                    squeeze=squeeze,
                    may_skip=bool(p.get("skips", True)),
                    activation=activation,
                )  # fmt: skip
            builder.tap(key, x)
        if p["head_channels"]:
            x = builder.conv(x, "head", int(p["head_channels"]), activation=activation)
        builder.classifier(x, spec.num_outputs)
        return builder.build()


def _block(
    builder: LayersBuilder,
    source: str,
    name: str,
    channels: int,
    *,
    kernel: int,
    stride: int,
    expansion: int,
    squeeze: bool,
    may_skip: bool,
    activation: Activation,
) -> str:
    """Append one block; it may have a skip connection when it keeps its input's shape."""
    x = source
    if expansion > 1:
        hidden = expansion * builder.shape(source)[0]
        x = builder.conv(x, f"{name}_expand", hidden, activation=activation)
    x = builder.depthwise(x, f"{name}_spatial", kernel=kernel, stride=stride, activation=activation)
    if squeeze:
        x = builder.squeeze_excite(x, f"{name}_se")
    skips = may_skip and stride == 1 and builder.shape(source)[0] == channels
    # Separable blocks end with an activation, inverted residuals do not.
    last: Activation = activation if expansion == 1 else "none"
    x = builder.conv(x, f"{name}_project", channels, activation="none" if skips else last)
    return builder.add(source, x, f"{name}_skip", activation=last) if skips else x


SEARCH_SPACES.register("depthwise")(DepthwiseSpace())
