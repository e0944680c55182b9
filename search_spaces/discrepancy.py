"""Students that imitate a frozen network on normal inputs: where they do not, the input is unusual.

The frozen network is drawn at random and a part of the student, and so is exported, costed and
verified with it. What a student is judged by is the difference of both, which is added to the input
that it gives back: the score of a network that repeats its input is then that difference.

Source:
    Burda et al. 2019, arXiv:1810.12894, for a random network as what is to be imitated; Bergmann et
    al. 2020, arXiv:1911.02357, for anomalies by the difference of teacher and student.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.room import Room
from hwkd.core.space import Params, Space
from hwkd.core.student import Chooser, Layers, StudentSpec

_WIDTHS, _WIDTH_STEP = (8, 64), 4
_CODES = (2, 32)


@dataclass(frozen=True)
class DiscrepancySpace(Space):
    """Two networks side by side, one frozen; the learning one goes through a narrow code.

    Were the learning one free to imitate the frozen one everywhere, it would do so for anomalies.
    """

    name: str = "discrepancy"
    summary: str = (
        "a network that imitates a frozen one on normal inputs; the difference is the score"
    )
    is_default: bool = False

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample the width of the frozen network, and width and code of the learning one."""
        most = max(2, min(_CODES[1], prod(input_shape) - 1))
        return {
            "frozen_width": chooser.integer(
                "frozen_width", *room.widths(*_WIDTHS), step=_WIDTH_STEP
            ),
            "width": chooser.integer("width", *room.widths(*_WIDTHS), step=_WIDTH_STEP),
            "code": chooser.integer("code", _CODES[0], most, log=True),
        }

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        size, width = prod(spec.input_shape), int(spec.params["width"])
        builder = LayersBuilder(spec.input_shape)
        flat = builder.reshape(builder.image, "flat", (size,))
        # Normalised, so that its features have the deviation of the inputs, which is 1.
        frozen = builder.linear(
            flat, "frozen1", int(spec.params["frozen_width"]),
            norm=True, activation="relu", frozen=True,
        )  # fmt: skip
        frozen = builder.linear(frozen, "frozen2", size, norm=True, frozen=True)
        x = builder.linear(flat, "encode", width, norm=True, activation="relu")
        builder.tap("stage1", x)
        x = builder.linear(x, "code", int(spec.params["code"]))
        builder.tap("embedding", x)
        x = builder.linear(x, "decode", width, norm=True, activation="relu")
        # Features of either sign are alike: the sum with their negatives is the difference.
        x = builder.linear(x, "imitate", size)
        is_repeated = spec.num_outputs == size
        x = builder.add(x, frozen, "difference")
        x = builder.add(x, flat, "logits" if is_repeated else "repeated")
        if not is_repeated:
            builder.linear(x, "logits", spec.num_outputs)
        return builder.build()


SEARCH_SPACES.register("discrepancy")(DiscrepancySpace())
