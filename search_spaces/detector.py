"""Students that say for each cell of 8x8 pixels which thing is there, and how far its edges are."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.boxes import CELL_PIXELS
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.pyramid import either_conv, joined, larger
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of, choose_width
from hwkd.core.stem import choose_activation
from hwkd.core.student import Chooser, Layers, StudentSpec

# (fewest, most) channels of the levels, each half as high and wide as the one before.
_WIDTHS = ((8, 24), (8, 40), (12, 64), (16, 88), (24, 104))
_DOWN_TO_CELLS = 3
# What the cells see is where things are told apart: a network may look at them often, and at
# nothing below them.
_BLOCKS, _BLOCKS_OF_CELLS = (1, 3), (1, 7)


@dataclass(frozen=True)
class DetectorSpace(Space):
    """Three levels down to cells, up to two further, and what those saw added to the cells.

    A cell alone sees less than a thing has pixels; cells that look around often, or the levels
    below them, see the rest (a pyramid of features, arXiv:1612.03144, with the one level that
    answers).
    """

    name: str = "detector"
    summary: str = "cells of 8x8 pixels that see things and their edges (only when named)"
    is_default: bool = False

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample levels, widths, depths, the kind of convolution and the activation."""
        most = _DOWN_TO_CELLS + _times_halved(input_shape)
        levels = chooser.integer("levels", _DOWN_TO_CELLS, most)
        params: Params = {
            **choose_activation(chooser, room),
            "levels": levels,
            "convolutions": chooser.categorical("convolutions", ("dense", "separable")),
        }
        for level in range(1, levels + 1):
            key = f"level{level}"
            params |= choose_width(chooser, room, f"{key}_channels", _WIDTHS[level - 1])
            if level > 1:
                bounds = _BLOCKS_OF_CELLS if level == _DOWN_TO_CELLS else _BLOCKS
                params[f"{key}_blocks"] = chooser.integer(f"{key}_blocks", 1, room.most(*bounds))
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
            for block in range(1, int(p.get(f"level{level}_blocks", 1)) + 1):
                # The picture has too few channels to be looked at one by one.
                x = either_conv(
                    builder, x, f"down{level}_{block}", width, stride=2 if block == 1 else 1,
                    activation=activation, is_dense=is_dense or level == 1,
                )  # fmt: skip
            builder.tap(f"stage{level}", x)
            seen.append(x)
        for level in range(levels - 1, _DOWN_TO_CELLS - 1, -1):
            x = joined(
                builder, x, seen[level - 1], level, widths[level - 1],
                factor=larger(spec.input_shape, 2), activation=activation, is_dense=is_dense,
            )  # fmt: skip
            builder.tap(f"stage{2 * levels - level}", x)
        builder.conv(x, "logits", spec.num_outputs, norm=False)
        return builder.build()


def _times_halved(input_shape: tuple[int, ...]) -> int:
    """Return how often the cells of a picture can be halved again, at most twice."""
    cells = [-(-size // CELL_PIXELS) for size in input_shape[1:]]
    return sum(all(size % 2**times == 0 for size in cells) for times in (1, 2))


SEARCH_SPACES.register("detector")(DetectorSpace())
