"""ShuffleNet students: 1x1 convolutions in groups, and a shuffle that lets the groups talk."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder, is_tiny, max_stages
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of, choose_width
from hwkd.core.stem import append_stem, choose_activation, choose_stem, choose_stem_window
from hwkd.core.student import Activation, Chooser, Layers, StudentSpec

# (fewest, most) channels of the stem and of the stages after it, all in eights: up to four groups
# hold an even number of channels each.
_WIDTHS = ((8, 24), (16, 64), (24, 96), (32, 128), (32, 128))
_TINY_WIDTHS = ((8, 16), (8, 32), (16, 64), (16, 64), (16, 64))
_WIDTH_STEP = 8


@dataclass(frozen=True)
class ShuffleSpace(Space):
    """A stem and up to four stages of ShuffleNet units (arXiv:1707.01083).

    A unit is a 1x1 convolution in groups, a channel shuffle, a depthwise convolution and another
    1x1 convolution in groups, with a skip where the shape stays. Groups save weights: half or a
    quarter of what a dense 1x1 convolution has. Nobody published times of them on microcontrollers,
    so that latencies have wide intervals, and the space is searched only when it is named.
    """

    name: str = "shuffle"
    summary: str = "grouped 1x1 convolutions with channel shuffle: few weights (only when named)"
    is_default: bool = False

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample groups, widths, depths, kernels, the stem's stride and the activation."""
        most = max_stages(input_shape)
        widths = _TINY_WIDTHS if is_tiny(input_shape) else _WIDTHS
        stages = chooser.integer("stages", room.fewest_stages(most), most)
        params: Params = {
            **choose_activation(chooser, room),
            "groups": chooser.categorical("groups", (2, 4)),
            **choose_stem(chooser, room, input_shape, widths[0], step=_WIDTH_STEP),
            "stages": stages,
            "skips": chooser.categorical("skips", room.affordable((False, True), lean=1)),
        }
        params |= choose_stem_window(chooser, room)
        for stage in range(1, stages + 1):
            key = f"stage{stage}"
            params |= choose_width(
                chooser, room, f"{key}_channels", widths[stage], step=_WIDTH_STEP
            )
            params[f"{key}_blocks"] = chooser.integer(f"{key}_blocks", 1, room.most(1, 3))
            params[f"{key}_kernel"] = chooser.categorical(f"{key}_kernel", (3, 5))
        return params

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        p = spec.params
        builder = LayersBuilder(spec.input_shape)
        x = append_stem(builder, spec)
        for stage in range(1, int(p["stages"]) + 1):
            key = f"stage{stage}"
            for block in range(1, int(p[f"{key}_blocks"]) + 1):
                x = _unit(
                    builder, x, f"{key}_block{block}", int(p[f"{key}_channels"]), spec,
                    kernel=int(p[f"{key}_kernel"]), stride=2 if stage > 1 and block == 1 else 1,
                )  # fmt: skip
            builder.tap(key, x)
        builder.classifier(x, spec.num_outputs)
        return builder.build()


def _unit(
    builder: LayersBuilder,
    source: str,
    name: str,
    channels: int,
    spec: StudentSpec,
    *,
    kernel: int,
    stride: int,
) -> str:
    activation = activation_of(spec)
    groups = int(spec.params["groups"])
    x = builder.conv(source, f"{name}_in", channels, groups=groups, activation=activation)
    x = _shuffled(builder, x, f"{name}_shuffle", groups)
    x = builder.depthwise(x, f"{name}_spatial", kernel=kernel, stride=stride)
    may_skip = bool(spec.params["skips"]) and builder.shape(source) == builder.shape(x)
    last: Activation = "none" if may_skip else activation
    x = builder.conv(x, f"{name}_out", channels, groups=groups, activation=last)
    return builder.add(source, x, f"{name}_skip", activation=activation) if may_skip else x


def _shuffled(builder: LayersBuilder, source: str, name: str, groups: int) -> str:
    """Append a change of order: the first channels of all groups, then the second ones, ..."""
    channels, height, width = shape = builder.shape(source)
    by_group = (groups, channels // groups, height * width)
    x = builder.reshape(source, f"{name}_groups", by_group)
    x = builder.transpose(x, f"{name}_order", (1, 0, 2))
    return builder.reshape(x, name, shape)


SEARCH_SPACES.register("shuffle")(ShuffleSpace())
