"""Sample, cost, compare with the limits: what happens to a candidate before any training.

No torch module is built here; a candidate takes well under a millisecond.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hwkd.core import catalog
from hwkd.core.choices import Risk
from hwkd.core.device import Device
from hwkd.core.errors import ConfigError, typed_line
from hwkd.core.graph import OpGraph
from hwkd.core.limits import Fit, Limits
from hwkd.core.measure import CostEstimate
from hwkd.core.seen_input import viewed_layers
from hwkd.core.setting import SettingSpace
from hwkd.core.student import Chooser, Layers, SearchSpace, StudentSpec
from hwkd.core.trial import ViolationRecord
from hwkd.cost.backend import CostQuestion, screening_backend
from hwkd.cost.features import FeatureNeed, with_features
from hwkd.cost.graph import build_graph
from hwkd.io import discovery


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A student that was costed; feasible when `violations` is empty, though a need be unknown."""

    spec: StudentSpec
    layers: Layers
    graph: OpGraph
    cost: CostEstimate
    fit: Fit

    @property
    def violations(self) -> tuple[ViolationRecord, ...]:
        """Every limit that it exceeds, worst first."""
        return self.fit.violations

    @property
    def key(self) -> str:
        """Sixteen hex digits that name what is trained: the network, and the features it reads."""
        features = self.spec.features
        if features is None:
            return self.layers.key
        return hashlib.sha256(f"{self.layers.key} {features}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What candidates are costed for and compared with.

    Attributes:
        searches_input: students also choose how they see their picture.
        features: what is computed before every network; where students choose, before those of
            `in_setting`.
        settings: what the features of each setting take; none where students choose none. The
            spaces are then a `SettingSpace` for each space and setting.
    """

    question: CostQuestion
    limits: Limits
    risk: Risk
    spaces: Mapping[str, SearchSpace]
    searches_input: bool = False
    features: FeatureNeed | None = None
    settings: Mapping[str, FeatureNeed | None] = field(default_factory=dict)

    def in_setting(self, features: str) -> Screen:
        """Return what students of one setting are costed for, with the spaces that they choose."""
        own = [
            space.space
            for space in self.spaces.values()
            if isinstance(space, SettingSpace) and space.features == features
        ]
        spaces = {space.name: space for space in own}
        return replace(self, spaces=spaces, features=self.settings[features], settings={})

    @property
    def device(self) -> Device:
        """The device that candidates are for."""
        return self.question.device

    def candidate(self, spec: StudentSpec) -> Candidate:
        """Cost one student.

        Raises:
            ConfigError: if its network has several outputs, which no task reads.
        """
        return self.costed(spec, self.layers(spec))

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec, whether or not the spaces were fitted to the limits."""
        space = self.spaces.get(spec.home) or self.spaces[spec.space]
        return viewed_layers(space.space if isinstance(space, SettingSpace) else space, spec)

    def costed(self, spec: StudentSpec, layers: Layers) -> Candidate:
        """Cost a network whose search space need not be here; raises as `candidate`."""
        if len(layers.heads) > 1:
            raise ConfigError(
                f"search space {spec.space}: a network with the outputs "
                f"{', '.join(layers.heads)}; a task reads one, name only that"
            )
        graph = build_graph(layers)
        cost = screening_backend(self.device).screen(graph, self.question)
        features = self.settings.get(spec.features or "", self.features)
        if features is not None:
            cost = with_features(cost, features)
        return Candidate(
            spec=spec,
            layers=layers,
            graph=graph,
            cost=cost,
            fit=Fit.of(cost, self.limits, self.risk),
        )


def sample_candidate(
    screen: Screen,
    space: str,
    chooser: Chooser,
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
) -> Candidate:
    """Let a chooser pick a student of one space and cost it.

    Raises:
        ConfigError: if the space fails; a user's own can raise anything.
    """
    try:
        spec = screen.spaces[space].suggest(
            chooser, input_shape=input_shape, num_outputs=num_outputs
        )
        return screen.candidate(spec)
    except Exception as error:
        raise ConfigError(
            f"search space {space}: fails on an input of shape {input_shape}: "
            f"{typed_line(error)}; correct its file or leave it out"
        ) from error


def load_spaces(names: tuple[str, ...]) -> dict[str, SearchSpace]:
    """Return the search spaces by name; an entry that ends in .py is the user's own file.

    Raises:
        UnknownNameError: if a name is not registered.
        ConfigError: if a file does not register exactly one space.
    """
    discovery.discover("hwkd.search_spaces")
    spaces = {}
    for name in names:
        if name.endswith(".py"):
            space = discovery.load_user_space(Path(name))
        else:
            space = catalog.SEARCH_SPACES.get(name)
        spaces[space.name] = space
    return spaces
