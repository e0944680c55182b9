"""The phases of a scheme as stages of a course: who is in each, and what they minimise."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hwkd.core.cohort import Branch, Exit, Network, Rounded, Trained, Wide
from hwkd.core.cohort_sources import (
    Average,
    Earlier,
    Frozen,
    Given,
    HeldOut,
    Memory,
    Replied,
    Sent,
    Stale,
)
from hwkd.core.student import Layers
from hwkd.core.teaching import TeacherSource, TrainingSet
from hwkd.distill.scheme import Phase
from hwkd.distill.scheme_criterion import SchemeCriterion
from hwkd.distill.scheme_sources import (
    AverageSource,
    FrozenSource,
    HeldOutSource,
    MemorySource,
    SchemeSource,
    SentSource,
    StaleSource,
    TableSource,
)
from hwkd.distill.shards import Part
from hwkd.engine.arms.lifelong import samples_of
from hwkd.engine.arms.rounding import ROUNDING_RATE, rounded
from hwkd.engine.setup.context import SearchContext
from hwkd.nn.build import StudentModule
from hwkd.nn.cohort import Cohort
from hwkd.nn.cut import run_between, tail_state
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.train.batches import BatchSource, SubsetBatches, TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.course import Finished, Stage
from hwkd.train.seeding import derive_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeData:
    """What a scheme trains on, and chooses by.

    Attributes:
        training: copies, labels and head.
        batches: of the same.
        held_inputs: of validation, shape [samples, *input_shape].
        held_labels: likewise.
        given: logits of each of the user's teachers, of each copy [samples, classes].
    """

    training: TrainingSet
    batches: BatchSource
    held_inputs: Tensor
    held_labels: Tensor
    given: Sequence[Sequence[Tensor]] = ()

    @classmethod
    def of(cls, context: SearchContext, config: TrainConfig) -> SchemeData:
        """Return that of a run; its teachers are asked where the scheme has them."""
        learned, held, device = context.labelled, context.data.validation, context.accelerator
        return cls(
            training=TrainingSet(
                copies=learned.copies,
                labels=learned.labels,
                head=context.data.head,
                batch_size=min(config.batch_size, len(learned)),
                seed=derive_seed(config.seed, "method"),
            ),
            batches=learned.batches,
            held_inputs=torch.from_numpy(held.inputs.copy()).to(device),
            held_labels=torch.from_numpy(held.labels.copy()).to(device),
            given=context.answers_of_teachers(),
        )

    def of_rows(self, rows: Tensor) -> SchemeData:
        """Return some of its samples; they are chosen by the same validation ones."""
        copies = [copy.index_select(0, rows) for copy in self.training.copies]
        labels = self.training.labels.index_select(0, rows)
        size = min(self.training.batch_size, len(rows))
        return replace(
            self,
            training=replace(self.training, copies=copies, labels=labels, batch_size=size),
            batches=TensorBatches(copies, labels),
            given=[[table.index_select(0, rows) for table in tables] for tables in self.given],
        )


def stages_of(
    phases: Sequence[Phase], layers: Layers, data: SchemeData, config: TrainConfig
) -> list[Stage[Cohort]]:
    """Return the phases of a scheme as stages.

    Args:
        layers: of the student.
        data: that is trained on.
        config: of a training of the student alone.
    """
    parts = {phase.name: phase.part for phase in phases}
    return [
        _Trainer(phase, layers, data, _part(config, phases, phase), parts).stage()
        for phase in phases
    ]


@dataclass(slots=True)
class _Trainer:
    """Makes the cohort of a phase and what it minimises, from the phases before."""

    phase: Phase
    layers: Layers
    data: SchemeData
    config: TrainConfig
    parts: Mapping[str, Part | None]
    past: Sequence[Finished[Cohort]] = ()

    @property
    def own(self) -> SchemeData:
        """The samples that it trains on."""
        part, data = self.phase.part, self.data
        return data if part is None else data.of_rows(part.rows(data.training.labels))

    def stage(self) -> Stage[Cohort]:
        """Return it as a stage of a course."""
        return Stage(
            name=self.phase.name,
            student=self.cohort,
            criterion=self.criterion,
            batches=self._batches(),
            config=self.config,
        )

    def _batches(self) -> BatchSource:
        """Return those of the phase; which samples a task has is known once its turn comes."""
        task, data = self.phase.task, self.own.training
        if task is None:
            return self.own.batches
        return SubsetBatches(
            TensorBatches(data.copies, data.labels), lambda: samples_of(task, data, self.past)
        )

    def cohort(self, past: Sequence[Finished[Cohort]]) -> Cohort:
        """Return the roles that learn, as they begin."""
        self.past = tuple(past)
        phase = self.phase
        roles = [role for role in phase.roles if isinstance(role, Trained)]
        seed = self.config.seed
        made = Cohort(
            roles, self.layers, seed=seed, scales_trunk=phase.scales_trunk,
            kind=self.data.training.head.kind,
        )  # fmt: skip
        for role in roles:
            if isinstance(role, Network) and role.goes_on:
                before = next(p.student for p in reversed(past) if p.student.has(role.name))
                made.load(role.name, before.network(role.name).state_dict())
            elif isinstance(role, (Network, Exit)) and role.begins:
                _begin(made, role, past)
            elif isinstance(role, Rounded):
                before = next(p.student for p in past if p.name == role.phase)
                made.parts[role.name] = self._rounded(before, role.of)
        return made.to(self.data.batches.device)

    def _rounded(self, before: Cohort, name: str) -> nn.Module:
        part = before.network(name)
        if isinstance(part, FakeQuantStudent):
            return copy.deepcopy(part)
        return rounded(before.exported(name), self.data.training.copies[0])

    def criterion(self, cohort: Cohort, teacher: TeacherSource | None) -> SchemeCriterion:
        """Return what they minimise; targets come from the sources of the phase alone."""
        del teacher
        sources = _sources(self.phase, cohort, self.past, self.own)
        for role in self.phase.roles:
            if isinstance(role, Sent):
                sources[role.name] = SentSource(role, self._sent(role))
        return SchemeCriterion(self.phase, sources, self.own.training)

    def _sent(self, role: Sent) -> list[dict[str, Tensor]]:
        """Return what clients show of their own samples, in the order of the phase's."""
        data = self.data.training
        rows = {name: part.rows(data.labels) for name, part in self.parts.items() if part}
        wanted = self.phase.part.rows(data.labels) if self.phase.part else None
        tables = []
        for inputs in data.copies:
            table: dict[str, Tensor] = {}
            for name in role.phases:
                client = next(p.student for p in self.past if p.name == name).eval()
                with torch.no_grad():
                    shown = client.signals(inputs.index_select(0, rows[name]))
                sent = {
                    "maps": shown[f"{role.of}.stage{role.stage}"],
                    "logits": shown[f"{role.exit}.logits"],
                }
                for key, value in sent.items():
                    whole = table.setdefault(key, value.new_zeros(len(inputs), *value.shape[1:]))
                    whole[rows[name]] = value
            own = table if wanted is None else {k: v[wanted] for k, v in table.items()}
            tables.append(own)
        return tables


def _part(config: TrainConfig, phases: Sequence[Phase], phase: Phase) -> TrainConfig:
    """Return how long a phase trains: its share of the epochs, or of the time by its effort."""
    budget_s = config.time_budget_s
    if budget_s is not None:
        efforts = {each.name: each.share * _effort(each) for each in phases}
        budget_s *= efforts[phase.name] / sum(efforts.values())
    config = replace(
        config,
        epochs=max(int(phase.share > 0), round(config.epochs * phase.share)),
        time_budget_s=budget_s,
    )
    if any(isinstance(role, Network) and role.in_parts for role in phase.roles):
        # Statistics of averaged weights are those of whole networks.
        return replace(config, averaging_decay=None)
    if not any(isinstance(role, Rounded) for role in phase.roles):
        return config
    return replace(
        config,
        optimizer="adamw",
        schedule="cosine",
        learning_rate=ROUNDING_RATE,
        weight_decay=0.0,
        averaging_decay=None,
    )


def _effort(phase: Phase) -> float:
    """Return about how much more a step costs than one of the student alone."""
    effort = 0.0
    for role in phase.roles:
        if isinstance(role, Network):
            effort += role.width**2
        elif isinstance(role, Branch):
            effort += 0.5 * role.width**2
        elif isinstance(role, Rounded):
            effort += 3.0
        elif isinstance(role, Wide):
            width, expansion, depth = role.forms[-1]
            effort += width**2 * expansion / 2 + depth / 2
        elif isinstance(role, (Average, Stale)):
            effort += 0.3
    return effort


def _sources(
    phase: Phase, cohort: Cohort, past: Sequence[Finished[Cohort]], scheme_data: SchemeData
) -> dict[str, SchemeSource]:
    data = scheme_data.training
    found: dict[str, SchemeSource] = {}
    averages = [role for role in phase.roles if isinstance(role, Average)]
    stale = [role for role in phase.roles if isinstance(role, Stale)]
    if averages:
        found["averages"] = AverageSource(averages, cohort, _shown)
    if stale:
        found["copies"] = StaleSource(stale, cohort, _shown)
    for role in phase.roles:
        if isinstance(role, Earlier):
            before = next(p.student for p in past if p.name == role.phase)
            network = before.network(role.of)
            found[role.name] = TableSource.of(role.name, network, data.copies, noise=role.noise)
        elif isinstance(role, Replied):
            tables = [_replied(role, past, copy) for copy in data.copies]
            found[role.name] = TableSource(role.name, tables)
        elif isinstance(role, Frozen):
            before = next(p.student for p in past if p.name == role.phase)
            found[role.name] = FrozenSource(role.name, role.of, before, _shown)
        elif isinstance(role, Given):
            found[role.name] = TableSource(role.name, scheme_data.given[role.number])
        elif isinstance(role, Memory):
            found[role.name] = MemorySource(role, data.labels, data.head.size)
        elif isinstance(role, HeldOut):
            found[role.name] = HeldOutSource(
                role,
                cohort,
                _shown,
                held_out=(scheme_data.held_inputs, scheme_data.held_labels),
                steps_per_epoch=max(1, len(data.labels) // data.batch_size),
            )
    return found


@torch.no_grad()
def _replied(role: Replied, past: Sequence[Finished[Cohort]], inputs: Tensor) -> Tensor:
    """Return what a server says of the maps that a client made of its inputs."""
    client = next(p.student for p in past if p.name == role.client).eval()
    server = next(p.student for p in past if p.name == role.phase).network(role.of).eval()
    assert isinstance(server, StudentModule)
    maps = client.signals(inputs)[f"{role.segment}.stage{role.stage}"]
    return run_between(server, maps, role.stage, 0)


def mean_of_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of weights and statistics of networks of one shape, by name."""
    return {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }


def _begin(cohort: Cohort, role: Network | Exit, past: Sequence[Finished[Cohort]]) -> None:
    """Give a network, or an exit, the mean of the weights and statistics of earlier ones."""
    found = [p.student.network(role.name).state_dict() for p in past if p.name in role.begins]
    mean = mean_of_states(found)
    if isinstance(role, Network) and role.tail_begins:
        server = next(p.student for p in past if p.name == role.tail_begins).network(role.name)
        assert isinstance(server, StudentModule)
        mean |= tail_state(server, role.tail_after)
    cohort.load(role.name, mean)


def _shown(module: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    assert isinstance(module, Cohort)
    return module.signals(inputs, plain=True)
