"""Plain students: dense convolutions one after the other, strided early, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder, is_tiny, max_stages
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of, choose_width
from hwkd.core.stem import append_stem, choose_activation, choose_stem, choose_stem_window
from hwkd.core.student import Chooser, Layers, StudentSpec

# (fewest, most) channels of the stem and of the stages after it, all in fours: a word of a
# Cortex-M holds four int8 values.
_WIDTHS = ((8, 16), (8, 32), (12, 48), (16, 64), (16, 64))
_TINY_WIDTHS = ((4, 16), (4, 24), (8, 32), (8, 32), (8, 32))
_WIDTH_STEP = 4


@dataclass(frozen=True)
class PlainSpace(Space):
    """A stem and up to four stages of dense convolutions; each stage begins by halving the map.

    No skips and no depthwise convolutions: on a Cortex-M dense 3x3 convolutions do three to four
    times as many multiply-accumulates per microsecond as depthwise ones, a sum of two maps costs
    as much as a small layer, and on a CPU such networks train several times as fast. The last
    convolution may have a width of its own: the average over its map is paid per channel.
    """

    name: str = "plain"
    summary: str = "dense convolutions without skips, strided early: fast to run and to train"

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample widths, depths, kernels, the stem's stride and the activation."""
        most = max_stages(input_shape)
        widths = _TINY_WIDTHS if is_tiny(input_shape) else _WIDTHS
        # Along time a wide window is cheap; in an image it costs its square.
        kernels = (3, 5, 9) if len(input_shape) == 2 else (3,)
        stages = chooser.integer("stages", room.fewest_stages(most), most)
        params: Params = {
            **choose_activation(chooser, room),
            **choose_stem(chooser, room, input_shape, widths[0], step=_WIDTH_STEP),
            "stages": stages,
            "last_width": chooser.categorical("last_width", ("same", "three quarters", "half")),
        }
        params |= choose_stem_window(chooser, room)
        for stage in range(1, stages + 1):
            key = f"stage{stage}"
            params |= choose_width(
                chooser, room, f"{key}_channels", widths[stage], step=_WIDTH_STEP
            )
            params[f"{key}_convs"] = chooser.integer(f"{key}_convs", 1, room.most(1, 3))
            if len(kernels) > 1:
                params[f"{key}_kernel"] = chooser.categorical(f"{key}_kernel", kernels)
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
            convs, channels = int(p[f"{key}_convs"]), int(p[f"{key}_channels"])
            for index in range(1, convs + 1):
                is_last = stage == stages and index == convs
                x = builder.conv(
                    x, f"{key}_conv{index}",
                    _last_channels(channels, str(p["last_width"])) if is_last else channels,
                    kernel=int(p.get(f"{key}_kernel", 3)),
                    stride=2 if index == 1 else 1,
                    activation=activation,
                )  # fmt: skip
            builder.tap(key, x)
        builder.classifier(x, spec.num_outputs)
        return builder.build()


def _last_channels(channels: int, width: str) -> int:
    share = {"same": 1.0, "three quarters": 0.75, "half": 0.5}[width]
    return max(_WIDTH_STEP, _WIDTH_STEP * round(channels * share / _WIDTH_STEP))


SEARCH_SPACES.register("plain")(PlainSpace())
