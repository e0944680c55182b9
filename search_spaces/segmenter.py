"""Students with an answer for each position, a class or levels: down to a coarse map, and up."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.pyramid import either_conv, joined, larger
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of, choose_width
from hwkd.core.stem import choose_activation
from hwkd.core.student import Chooser, Layers, StudentSpec

# (fewest, most) channels of each level, from the picture's own size down.
_WIDTHS = ((8, 24), (8, 48), (16, 64), (16, 96))
# What a thing is, is seen where a position is as large as a part of it.
_BLOCKS = ((1, 2), (1, 2), (1, 6), (1, 3))
_EVERY_LEVEL, _LAST_LEVEL = "every level", "last level"


@dataclass(frozen=True)
class SegmenterSpace(Space):
    """Levels that each halve the map; on the way up, coarse maps are repeated and added.

    What a level saw on the way down is added to what comes up from below, so that outlines stay
    where they are (skips as sums: LinkNet, arXiv:1707.03718). The last map may be half as high and
    wide as the picture: its logits are repeated, which costs nothing but their memory. Where the
    finest level is left out, too, they are drawn larger by straight lines. Where every level
    answers, logits of coarse levels are repeated and added to those of finer ones, so that
    what a thing is need not pass through the few channels that say where it ends (fully
    convolutional networks, arXiv:1411.4038).

    Attributes:
        stem_strides: by which the first convolution may divide height and width.
        answers: which levels may say what the positions show.
        finest: up to which levels a network may come, the first being the finest.
    """

    name: str = "segmenter"
    summary: str = "down to a coarse map and up again, a class for each position (only when named)"
    is_default: bool = False
    stem_strides: tuple[int, ...] = (1, 2)
    answers: tuple[str, ...] = (_EVERY_LEVEL, _LAST_LEVEL)
    finest: tuple[int, ...] = (1, 2)

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample levels, widths, depths, the kind of convolution and the activation."""
        halves = _times_halved(input_shape)
        stride = int(chooser.categorical("stem_stride", self.stem_strides if halves else (1,)))
        most = min(len(_WIDTHS), 1 + halves - (stride == 2))
        levels = chooser.integer("levels", min(2, most), most)
        params: Params = {
            **choose_activation(chooser, room),
            "stem_stride": stride,
            "levels": levels,
            "convolutions": chooser.categorical("convolutions", ("dense", "separable")),
        }
        if len(self.finest) > 1 and levels > max(self.finest):
            params["finest"] = chooser.categorical("finest", self.finest)
        if len(self.answers) > 1:
            params["answers"] = chooser.categorical("answers", self.answers)
        for level in range(1, levels + 1):
            key = f"level{level}"
            params |= choose_width(chooser, room, f"{key}_channels", _WIDTHS[level - 1])
            params[f"{key}_blocks"] = chooser.integer(
                f"{key}_blocks", 1, room.most(*_BLOCKS[level - 1])
            )
        return params

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        p, builder = spec.params, LayersBuilder(spec.input_shape)
        levels = int(p["levels"])
        widths = [int(p[f"level{level}_channels"]) for level in range(1, levels + 1)]
        activation = activation_of(spec)
        is_dense = p["convolutions"] == "dense"
        seen: list[str] = []
        x = builder.image
        for level, width in enumerate(widths, 1):
            for block in range(1, int(p[f"level{level}_blocks"]) + 1):
                stride = 1
                if block == 1:
                    stride = 2 if level > 1 else int(p["stem_stride"])
                # The picture has too few channels to be looked at one by one.
                x = either_conv(
                    builder, x, f"down{level}_{block}", width, stride=stride,
                    activation=activation, is_dense=is_dense or x == builder.image,
                )  # fmt: skip
            builder.tap(f"stage{level}", x)
            seen.append(x)
        finest = int(p.get("finest", 1))
        twice, above = larger(spec.input_shape, 2), ""
        for level in range(levels - 1, finest - 1, -1):
            if p.get("answers") == _EVERY_LEVEL:
                said = builder.conv(x, f"says{level + 1}", spec.num_outputs, norm=False)
                said = builder.add(said, above, f"said{level + 1}") if above else said
                above = builder.upsample(said, f"heard{level}", factor=twice)
            x = joined(
                builder, x, seen[level - 1], level, widths[level - 1],
                factor=twice, activation=activation, is_dense=is_dense,
            )  # fmt: skip
        logits = builder.conv(x, "logits", spec.num_outputs, norm=False)
        if above:
            logits = builder.add(logits, above, "said")
        if (factor := int(p["stem_stride"]) * 2 ** (finest - 1)) > 1:
            # Squares cost less to learn; of four pixels a side they would be seen in outlines.
            builder.upsample(
                logits, "classes", factor=larger(spec.input_shape, factor),
                mode="nearest" if finest == 1 else "half_pixel",
            )  # fmt: skip
        return builder.build()


def _times_halved(input_shape: tuple[int, ...]) -> int:
    """Return how often height and width can both be halved without a remainder."""
    times, sizes = 0, input_shape[1:]
    while all(size % 2 ** (times + 1) == 0 for size in sizes):
        times += 1
    return times


SEARCH_SPACES.register("segmenter")(SegmenterSpace())
# Levels that are repeated in squares would be seen in what is drawn.
_DRAWER = SegmenterSpace(
    name="drawer",
    summary="down to a coarse map and up again, levels for each position (only when named)",
    stem_strides=(1,),
    answers=(_LAST_LEVEL,),
    finest=(1,),
)
SEARCH_SPACES.register("drawer")(_DRAWER)
