"""A search space as a user writes one."""

USER_SPACE = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import ClassVar

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import StudentSpec


@dataclass(frozen=True)
class MySpace:
    name: str = "{name}"
    summary: str = "one convolution"
    widths: ClassVar[tuple[int, ...]] = (4, 8)

    def suggest(self, chooser, *, input_shape, num_outputs):
        params = {{"width": chooser.categorical("width", self.widths)}}
        return StudentSpec(
            space=self.name, params=params, input_shape=input_shape, num_outputs=num_outputs
        )

    def layers(self, spec):
        builder = LayersBuilder(spec.input_shape)
        x = builder.conv(builder.image, "conv", spec.params["width"], kernel=3, activation="relu")
        builder.classifier(x, spec.num_outputs)
        return builder.build()


SEARCH_SPACES.register("{name}")(MySpace())
"""
