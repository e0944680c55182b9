"""Settings of features that candidates choose among: each is a search space of its own.

Shapes of inputs, and so the bounds of choices, differ from setting to setting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwkd.core.seen_input import viewed_layers
from hwkd.core.student import Chooser, Layers, SearchSpace, StudentSpec, home_name


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingSpace:
    """A search space whose students read features of one setting.

    Attributes:
        features: the setting, as `--features` takes it.
        input_shape: of its features, without batch.
    """

    space: SearchSpace
    features: str
    input_shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the space with the setting."""
        return home_name(self.space.name, self.features)

    @property
    def summary(self) -> str:
        """One line for `hwkd spaces list`."""
        return self.space.summary

    def suggest(
        self, chooser: Chooser, *, input_shape: tuple[int, ...], num_outputs: int
    ) -> StudentSpec:
        """Sample one student of the setting's inputs, whatever shape is given."""
        del input_shape
        spec = self.space.suggest(chooser, input_shape=self.input_shape, num_outputs=num_outputs)
        return replace(spec, features=self.features)

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        return viewed_layers(self.space, spec)
