"""The module of each role of a scheme that learns."""

from __future__ import annotations

from math import prod

import torch
from torch import nn

from hwkd.core.augmented import augmented
from hwkd.core.cohort import (
    Branch,
    Exit,
    FreeWeights,
    Fused,
    Gate,
    InputJudge,
    InstanceWeights,
    Joint,
    Judge,
    Made,
    Network,
    PeerAttention,
    Projected,
    Rounded,
    Segment,
    Trained,
    Wide,
)
from hwkd.core.errors import ConfigError
from hwkd.core.head import OutputKind
from hwkd.core.student import Layers
from hwkd.core.widened import made_dense, widened
from hwkd.nn.build import build_module
from hwkd.nn.cohort_heads import (
    ExitHead,
    Free,
    GateHead,
    InputJudgeHead,
    InputMaker,
    PeerProjections,
    judge_of,
)
from hwkd.nn.cut import Cut, last_cut
from hwkd.nn.segments import fitting_maps, stage_end
from hwkd.nn.wide import WideAround

# Seeds of a cohort's networks are this far apart, so that no two draw alike.
_SEED_STEP = 1_000_003


class PartBuilder:
    """Builds modules for one student.

    Attributes:
        cuts: network -> where branches leave it; of those that have any.
        tails: branch -> its layers.
    """

    def __init__(self, layers: Layers, *, seed: int, kind: OutputKind | None) -> None:
        """Build for a student; the arguments are those of `Cohort`."""
        self.cuts: dict[str, Cut] = {}
        self.tails: dict[str, Layers] = {}
        self._layers = layers
        self._seed = seed
        self._kind = kind

    def built(self, role: Trained) -> nn.Module:
        """Return the module of a role, its start drawn.

        Raises:
            ConfigError: if it is on a stage that the student does not have.
        """
        if isinstance(role, Rounded):  # whoever knows the phase before puts its network here
            return build_module(self._layers, seed=self._seed)
        if isinstance(role, Network):
            layers = widened(self._layers, role.width)
            layers = made_dense(layers) if role.is_dense else layers
            return build_module(layers, seed=self._seed + _SEED_STEP * role.draw, kind=self._kind)
        if isinstance(role, Branch):
            cut = self._cut(role.of)
            tail = widened(cut.tail, role.width)
            self.tails[role.name] = tail
            return build_module(tail, seed=self._seed + _SEED_STEP * role.draw)
        if isinstance(role, Wide):
            forms = [
                augmented(self._layers, width=width, expansion=expansion, depth=depth)
                for width, expansion, depth in role.forms
            ]
            return WideAround(forms, seed=self._seed + _SEED_STEP)
        return self._part(role)

    def _part(self, role: Trained) -> nn.Module:
        size, classes = self._features(), self._classes()
        if isinstance(role, Exit):
            return ExitHead(self._stage_shape(role.stage)[0], size, classes)
        if isinstance(role, Segment):
            return fitting_maps(role, self._layers)
        if isinstance(role, Gate):
            return GateHead(self._cut(role.of).shape[0], role.members)
        if isinstance(role, PeerAttention):
            return PeerProjections(len(role.members), size, role.dim)
        if isinstance(role, Fused):
            return nn.Linear(size * len(role.members), classes)
        if isinstance(role, FreeWeights):
            return Free({"values": torch.zeros(role.members)})
        if isinstance(role, InstanceWeights):
            factors = {f"factor{k}": torch.randn(size) / size for k in range(role.members)}
            return Free({"latent": torch.ones(size)} | factors)
        if isinstance(role, Judge):
            return judge_of(classes if role.signal == "logits" else self._features(role.width))
        if isinstance(role, Projected):
            return nn.Linear(size, self._features(role.width))
        if isinstance(role, InputJudge):
            return InputJudgeHead(self._channels, self._axes)
        if isinstance(role, Made):
            return InputMaker(
                self._channels, self._axes, strength=role.strength, seed=self._seed + _SEED_STEP
            )
        if isinstance(role, Joint):
            return nn.Linear(size, classes * len(role.members))
        return nn.Identity()

    def _cut(self, network: str) -> Cut:
        return self.cuts.setdefault(network, last_cut(self._layers))

    def _features(self, width: float = 1.0) -> int:
        layers = widened(self._layers, width)
        shapes = {layer.name: layer.shape for layer in layers.layers}
        tap = layers.taps.get("embedding")
        return prod(shapes[tap]) if tap else shapes[layers.stage_ends[-1]][0]

    @property
    def _channels(self) -> int:
        return self._layers.input_shape[0]

    @property
    def _axes(self) -> int:
        return len(self._layers.input_shape) - 1

    def _classes(self) -> int:
        return self._layers.layers[-1].shape[0]

    def _stage_shape(self, stage: int) -> tuple[int, ...]:
        count = len(self._layers.stage_ends)
        if stage > count:
            raise ConfigError(
                f"--scheme: an exit on stage {stage}; the student has {count} stages; give "
                "fewer exits"
            )
        return stage_end(self._layers, stage).shape
