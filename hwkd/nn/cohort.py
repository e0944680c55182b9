"""The networks, and parts of networks, that a phase of a scheme trains together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hwkd.core.cohort import (
    STUDENT,
    Branch,
    Exit,
    Fused,
    Gate,
    InputJudge,
    Joint,
    Judge,
    Made,
    Network,
    PeerAttention,
    Projected,
    Rounded,
    Segment,
    Trained,
    View,
    Wide,
)
from hwkd.core.head import OutputKind
from hwkd.core.student import Layers
from hwkd.core.widened import widened
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.cohort_heads import Free, pooled, statistics_kept, turned
from hwkd.nn.cohort_parts import PartBuilder
from hwkd.nn.cut import joined_state
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.nn.segments import run_segment
from hwkd.nn.side_by_side import SideBySide, can_stand_side_by_side
from hwkd.nn.unfolded import unfolded


class Cohort(nn.Module):
    """Roles that learn; every step shows their signals by name.

    Attributes:
        parts: the module of each role, by its name.
    """

    def __init__(
        self,
        roles: Sequence[Trained],
        layers: Layers,
        *,
        seed: int,
        scales_trunk: bool = False,
        kind: OutputKind | None = None,
    ) -> None:
        """Build every role.

        Args:
            roles: a network stands before what is made on it.
            layers: of the student.
            seed: of the student's weights; the others' follow from it.
            scales_trunk: what branches send into their trunk is divided by their number.
            kind: of the outputs, where they do not begin at 0.

        Raises:
            ConfigError: if a stage is asked for that the student does not have.
        """
        super().__init__()
        self._layers = layers
        self._roles = {role.name: role for role in roles}
        self._scales_trunk = scales_trunk
        self._builder = PartBuilder(layers, seed=seed, kind=kind)
        self.parts = nn.ModuleDict()
        self._beside = dict(_side_by_side(roles, layers))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            for role in roles:
                if not any(role.name in names for names in self._beside.values()):
                    self.parts[role.name] = self._builder.built(role)
            for key, names in self._beside.items():
                networks = [self._builder.built(self._roles[name]) for name in names]
                own = [network for network in networks if isinstance(network, StudentModule)]
                self.parts[key] = SideBySide(own[0].layers, own)

    @property
    def roles(self) -> tuple[Trained, ...]:
        """Everybody that learns."""
        return tuple(self._roles.values())

    def forward(self, inputs: Tensor) -> Tensor:
        """Run everything that has batch statistics; returns logits, the student's if there."""
        shown = self.signals(inputs, plain=True)
        said = [value for signal, value in shown.items() if signal.endswith(".logits")]
        return shown.get(f"{STUDENT}.logits", said[0])

    def signals(
        self,
        inputs: Tensor,
        other: Tensor | None = None,
        *,
        given: Mapping[str, Tensor] | None = None,
        plain: bool = False,
    ) -> dict[str, Tensor]:
        """Return what every role shows for a batch, as ROLE.SIGNAL.

        Args:
            inputs: shape [batch, *input_shape].
            other: another view of the same samples; None where no role looks at one.
            given: signals of roles that do not learn; maps that it lacks are 0, which is enough to
                ask for shapes.
            plain: without roles that are not networks of the inputs themselves.
        """
        seen: dict[str, Tensor] = {}
        for key, names in self._beside.items():
            self._show_beside(key, names, inputs, seen)
        for name, role in self._roles.items():
            if isinstance(role, Network):
                is_run = plain or not (role.in_parts and self.training)
                if name in self.parts and is_run:
                    self._show_network(name, inputs, seen)
            elif isinstance(role, Segment):
                if not (plain and role.shown):
                    signal = f"stage{role.until}" if role.until else "logits"
                    seen[f"{name}.{signal}"] = self._segment(role, inputs, given or {})
            elif isinstance(role, Rounded):
                seen[f"{name}.logits"] = self.parts[name](inputs).float()
            elif isinstance(role, View):
                if not plain:
                    self._show_view(role, inputs, other, seen)
            elif isinstance(role, Made):
                if not plain:
                    seen[f"{name}.inputs"] = self.parts[name](inputs)
            elif isinstance(role, InputJudge):
                if not plain:
                    seen[f"{name}.made"] = self.parts[name](seen[f"{role.of}.inputs"])
                    seen[f"{name}.real"] = self.parts[name](inputs)
            elif isinstance(role, (Judge, Joint)):
                if not plain:
                    self._show_compared(role, given or {}, seen)
            elif isinstance(role, Wide):
                if not plain:
                    seen[f"{name}.logits"] = self.parts[name](self.parts[role.of], inputs)
            else:
                self._show_part(name, role, seen)
        return seen

    def exported(self, name: str) -> StudentModule:
        """Return a role as a student by itself, in evaluation mode, on the processor."""
        role, part = self._roles[name], self.network(name)
        if isinstance(part, FakeQuantStudent):
            return unfolded(self._layers, part.folded_weights())
        state = part.state_dict()
        if isinstance(role, Branch):
            state = joined_state(self.parts[role.of].state_dict(), state)
        student = build_module(self._layers, seed=0)
        student.load_state_dict({key: value.cpu() for key, value in state.items()})
        return student.eval()

    def has(self, name: str) -> bool:
        """Tell whether there is a role of this name."""
        return name in self._roles

    def network(self, name: str) -> nn.Module:
        """Return the module of a role; of networks that stand side by side a copy of its own."""
        for key, names in self._beside.items():
            if name in names:
                beside = self.parts[key]
                assert isinstance(beside, SideBySide)
                return beside.alone(names.index(name))
        return self.parts[name]

    def load(self, name: str, state: Mapping[str, Tensor]) -> None:
        """Put the state of a role in its place."""
        for key, names in self._beside.items():
            if name in names:
                beside = self.parts[key]
                assert isinstance(beside, SideBySide)
                beside.load(names.index(name), state)
                return
        self.parts[name].load_state_dict(state)

    def _show_network(
        self, name: str, inputs: Tensor, seen: dict[str, Tensor], shown_as: str | None = None
    ) -> None:
        module = self.parts[name]
        assert isinstance(module, StudentModule)
        shown_as = shown_as or name
        cut = self._builder.cuts.get(name)
        taps = set(module.layers.stage_ends) | {module.layers.taps.get("embedding", "")} - {""}
        if cut is not None and cut.after != "input":
            taps.add(cut.after)
        logits, values = module.forward_taps(inputs, sorted(taps))
        assert isinstance(logits, Tensor)
        seen |= _shown_of(shown_as, module.layers, logits, values)
        if shown_as == name and (rows := module.class_rows()) is not None:
            seen[f"{name}.classes"] = rows
        if cut is not None:
            trunk = inputs if cut.after == "input" else values[cut.after]
            ends = 1 + sum(isinstance(r, Branch) and r.of == name for r in self._roles.values())
            if self._scales_trunk and trunk.requires_grad:
                hook: Any = trunk.register_hook  # torch has no types for it
                hook(lambda gradient: gradient / ends)
            seen[f"{shown_as}.trunk"] = trunk

    def _segment(self, role: Segment, inputs: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        module = self.parts[role.of]
        assert isinstance(module, StudentModule)
        return run_segment(role, module, self.parts[role.name], inputs, given)

    def _show_view(
        self, role: View, inputs: Tensor, other: Tensor | None, seen: dict[str, Tensor]
    ) -> None:
        if role.at:
            with statistics_kept(self.parts[role.of]):
                self._show_network(role.of, seen[role.at], seen, role.name)
        elif role.quarter_turns:
            self._show_network(role.of, turned(inputs, role.quarter_turns), seen, role.name)
        else:
            self._show_network(role.of, inputs if other is None else other, seen, role.name)

    def _show_compared(
        self, role: Judge | Joint, given: Mapping[str, Tensor], seen: dict[str, Tensor]
    ) -> None:
        name, module = role.name, self.parts[role.name]
        if isinstance(role, Joint):
            shown = {m: module(seen[f"{m}.features"]) for m in role.members}
            seen.update({f"{name}.{member}": value for member, value in shown.items()})
            return
        own, next_ = seen[f"{role.of}.{role.signal}"], f"{role.beside}.{role.signal}"
        theirs = seen.get(next_, given.get(next_, torch.zeros_like(own)))
        if role.signal == "logits":  # what has no bound lets a discriminator pull without one
            own, theirs = torch.softmax(own, -1), torch.softmax(theirs, -1)
        seen[f"{name}.own"], seen[f"{name}.next"] = module(own), module(theirs.detach())

    def _show_beside(
        self, key: str, names: Sequence[str], inputs: Tensor, seen: dict[str, Tensor]
    ) -> None:
        beside = self.parts[key]
        assert isinstance(beside, SideBySide)
        for name, (logits, values) in zip(names, beside.forward_taps(inputs), strict=True):
            seen |= _shown_of(name, beside.layers, logits, values)

    def _show_part(self, name: str, role: Trained, seen: dict[str, Tensor]) -> None:
        module = self.parts[name]
        if isinstance(role, Branch):
            taps = [tap for tap in (self._builder.tails[name].taps.get("embedding"),) if tap]
            assert isinstance(module, StudentModule)
            logits, values = module.forward_taps(seen[f"{role.of}.trunk"], taps)
            assert isinstance(logits, Tensor)
            seen[f"{name}.logits"] = logits.float()
            seen[f"{name}.features"] = _features_of(self._builder.tails[name], values)
        elif isinstance(role, Exit):
            features, logits = module(seen[f"{role.of}.stage{role.stage}"])
            seen[f"{name}.features"], seen[f"{name}.logits"] = features, logits
        elif isinstance(role, Gate):
            seen[f"{name}.weights"] = module(seen[f"{role.of}.trunk"])
        elif isinstance(role, PeerAttention):
            both = module([seen[f"{member}.features"] for member in role.members])
            seen[f"{name}.queries"], seen[f"{name}.keys"] = both
        elif isinstance(role, Fused):
            together = torch.cat([seen[f"{member}.features"] for member in role.members], 1)
            seen[f"{name}.logits"] = module(together)
        elif isinstance(role, Projected):
            seen[f"{name}.features"] = module(seen[f"{role.of}.features"])
        else:
            assert isinstance(module, Free)
            seen.update({f"{name}.{key}": value for key, value in module.values.items()})


def _side_by_side(
    roles: Sequence[Trained], layers: Layers
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give names of networks of one shape that become one, under the name of their part.

    None where a role needs the network itself, and not what it shows.
    """
    if any(isinstance(role, (Branch, Gate, View, Wide, Rounded, Segment)) for role in roles):
        return
    networks = [
        role for role in roles if isinstance(role, Network) and not (role.apart or role.is_dense)
    ]
    for width in dict.fromkeys(role.width for role in networks):
        names = tuple(role.name for role in networks if role.width == width)
        if len(names) > 1 and can_stand_side_by_side(widened(layers, width)):
            yield "beside_" + "_".join(names), names


def _shown_of(
    name: str, layers: Layers, logits: Tensor, values: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return what a network shows, as ROLE.SIGNAL."""
    stages = enumerate(layers.stage_ends, start=1)
    return {
        f"{name}.logits": logits.float(),
        **{f"{name}.stage{number}": values[stage] for number, stage in stages},
        f"{name}.features": _features_of(layers, values),
    }


def _features_of(layers: Layers, values: Mapping[str, Tensor]) -> Tensor:
    tap = layers.taps.get("embedding")
    if tap is not None and tap in values:
        return values[tap].flatten(1)
    return pooled(values[layers.stage_ends[-1]])
