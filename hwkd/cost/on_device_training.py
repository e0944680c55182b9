"""What training a network on the device itself would take: RAM, storage, time and energy; pure.

Samples pass one by one, and gradients of a batch are added up, as boards train: what is kept for
the way back is that of one sample. Work is counted; nobody timed these kernels on a board, so time
is that of the forward kernels for as many multiply-accumulates, with a wide upper end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from hwkd.core.errors import ConfigError
from hwkd.core.graph import Op, OpGraph
from hwkd.core.kinds import kind_of
from hwkd.core.measure import CostEstimate
from hwkd.cost.energy import EnergyBand

Optimizer: TypeAlias = Literal["sgd", "momentum", "adam"]
_STATES: Mapping[str, int] = {"sgd": 0, "momentum": 1, "adam": 2}
# Multiply-accumulates of an update, for each weight.
_UPDATE_MACS: Mapping[str, int] = {"sgd": 1, "momentum": 2, "adam": 6}
_FLOAT_BYTES = 4
# Kernels of the way back may be half as good as those of inference: they read across rows.
_BACKWARD_LOSS = 2.0
_LABEL_BYTES = 2
_LOGIT_BYTES = 2
_LARGEST = 10**9
# Way back needs a bit of each output: whether it was clamped.
_CLAMPS = frozenset({"Relu", "Clip"})
# It needs nothing, or what the shapes say.
_FREE = frozenset(
    {"Add", "Sub", "Concat", "AveragePool", "GlobalAveragePool", "ReduceMean", "Reshape", "Flatten",
     "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Pad", "Resize", "Identity"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """How a network is trained on the device.

    Attributes:
        optimizer: what is kept for each weight: nothing, a mean, or two.
        bits: of weights and activations while it trains: 8 as Lin et al. 2022, or 32.
        layers: that are trained, the last ones; 0 is all.
        batch: samples whose gradients are added up before a step.
        samples: of an epoch, which lie on the device.
        top: classes of each answer in a teacher's file that lies there, too; 0 is no file.
    """

    optimizer: Optimizer = "sgd"
    bits: int = 8
    layers: int = 0
    batch: int = 1
    samples: int = 100
    top: int = 0

    @classmethod
    def parse(cls, text: str) -> TrainingPlan:
        """Read `sgd:layers=2,batch=8,samples=500`.

        Raises:
            ConfigError: names what is wrong and what is allowed.
        """
        name, _, rest = text.partition(":")
        known = get_args(Optimizer)
        numbers = [entry.name for entry in fields(cls) if entry.name != "optimizer"]
        if name not in known:
            raise ConfigError(f"--training {text}: {name!r} is none of {', '.join(known)}")
        given: dict[str, int] = {}
        for part in rest.split(",") if rest else ():
            key, equals, value = part.partition("=")
            if key not in numbers or not equals or not value.isascii() or not value.isdigit():
                raise ConfigError(
                    f"--training {text}: {part!r}: expected {', '.join(numbers)} with a whole "
                    "number, as layers=2"
                )
            given[key] = int(value)
        plan = cls(optimizer=next(each for each in known if each == name), **given)
        if plan.bits not in (8, 32) or min(plan.batch, plan.samples) < 1:
            raise ConfigError(f"--training {text}: bits are 8 or 32, batch and samples from 1 on")
        if max(given.values(), default=0) > _LARGEST:
            raise ConfigError(f"--training {text}: numbers are at most {_LARGEST:,}")
        return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """What it takes; bytes are counted, times and energies estimated.

    Attributes:
        trained: layers with weights that change.
        trained_params: their weights and biases.
        weight_bytes: of the trained layers, in RAM while they change.
        gradient_bytes: of all trained layers, or with a batch of one of the largest.
        state_bytes: of the optimizer.
        kept_bytes: activations that the way back needs.
        working_bytes: the larger of what inference needs and of two neighbouring gradients.
        ram_bytes: all of these.
        storage_bytes: samples with labels, the teacher's file, and trained weights.
        teacher_bytes: of the teacher's file, a part of `storage_bytes`.
        macs: multiply-accumulates of a sample, there and back, updates shared out.
        sample_s: time of a sample, most likely, and at both ends; None where unknown.
        epoch: energy of all samples; None where unknown.
        reason: why time or energy is unknown; empty where they are known.
    """

    plan: TrainingPlan
    trained: int
    trained_params: int
    weight_bytes: int
    gradient_bytes: int
    state_bytes: int
    kept_bytes: int
    working_bytes: int
    storage_bytes: int
    teacher_bytes: int
    macs: int
    sample_s: tuple[float, float, float] | None
    epoch: EnergyBand | None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data in SI units."""
        return {**asdict(self), "ram_bytes": self.ram_bytes}

    @property
    def ram_bytes(self) -> int:
        """Peak while it trains, without the runtime's own."""
        return (
            self.weight_bytes + self.gradient_bytes + self.state_bytes + self.kept_bytes
            + self.working_bytes
        )  # fmt: skip


def training_cost(
    graph: OpGraph,
    cost: CostEstimate,
    plan: TrainingPlan,
    power_w: tuple[float, float, float] | None,
) -> TrainingCost:
    """Return what training takes.

    Args:
        graph: of the network.
        cost: of an inference, in the type that the device runs.
        power_w: while it computes, most likely and at both ends; None where nobody published it.

    Raises:
        ConfigError: if the network has fewer layers with weights.

    Source:
        Lin et al. 2022, arXiv:2206.15472, for 8 bits, the last layers alone and updates layer by
        layer; multiply-accumulates of a layer's way back are as many again for its weights and for
        its input.
    """
    weighted = [op for op in graph.ops if op.weights]
    if plan.layers > len(weighted):
        raise ConfigError(
            f"--training: layers={plan.layers}, and the network has {len(weighted)} with weights"
        )
    trained = weighted[len(weighted) - plan.layers :] if plan.layers else weighted
    names = {op.name for op in trained}
    live = _live(graph, names)
    element = _FLOAT_BYTES if plan.bits == 32 else 1
    sizes = [op.weights + op.biases for op in trained]
    params = sum(sizes)
    work = _Work.of(graph, names, live)
    update = _UPDATE_MACS[plan.optimizer] * params // plan.batch
    gradients = max((_both_gradients(op, graph, live) for op in graph.ops), default=0)
    answer = graph.tensors[graph.outputs[0]].elements
    teacher = plan.samples * _answer_bytes(plan.top, answer)
    given = sum(graph.tensors[name].elements for name in graph.inputs)
    sample_s, reason = _sample_s(cost, work, update, plan)
    epoch = None if sample_s is None else _epoch_energy(plan, sample_s, power_w)
    if sample_s is not None and epoch is None:
        reason = "no published power for this clock"
    return TrainingCost(
        plan=plan,
        trained=len(trained),
        trained_params=params,
        weight_bytes=params * element,
        gradient_bytes=_FLOAT_BYTES * (params if plan.batch > 1 else max(sizes, default=0)),
        state_bytes=_FLOAT_BYTES * _STATES[plan.optimizer] * params,
        kept_bytes=_kept_bytes(graph, names, live, element),
        working_bytes=max(cost.peak_ram_bytes, gradients * element),
        storage_bytes=plan.samples * (given + _LABEL_BYTES) + teacher + params * element,
        teacher_bytes=teacher,
        macs=work.forward + work.backward + update,
        sample_s=sample_s,
        epoch=epoch,
        reason=reason,
    )


def _epoch_energy(
    plan: TrainingPlan,
    sample_s: tuple[float, float, float],
    power_w: tuple[float, float, float] | None,
) -> EnergyBand | None:
    """Return what a pass over all samples takes; None where nobody published the power."""
    if power_w is None:
        return None
    middle, low, high = (
        plan.samples * each_s * each_w for each_s, each_w in zip(sample_s, power_w, strict=True)
    )
    return EnergyBand(value_j=middle, low_j=low, high_j=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Multiply-accumulates of a sample there and back."""

    forward: int
    backward: int

    @classmethod
    def of(cls, graph: OpGraph, trained: set[str], live: set[str]) -> _Work:
        backward = 0
        for op in graph.ops:
            to_input = any(name in live for name in op.inputs)
            backward += op.macs * ((op.name in trained) + to_input)
        return cls(forward=graph.macs, backward=backward)


def _live(graph: OpGraph, trained: set[str]) -> set[str]:
    """Return the tensors that depend on what is trained, through which gradients come back."""
    live: set[str] = set()
    for op in graph.ops:
        if op.name in trained or any(name in live for name in op.inputs):
            live.update(op.outputs)
    return live


def _kept_bytes(graph: OpGraph, trained: set[str], live: set[str], element: int) -> int:
    """Return what is kept of one sample: each tensor once, clamps as bits."""
    kept: set[str] = set()
    bits = 0
    for op in graph.ops:
        comes_back = any(name in live for name in op.inputs)
        if op.name in trained:
            kept.update(op.inputs[:1])
        if not comes_back or op.weights or op.kind in _FREE:
            continue
        if op.kind in _CLAMPS:
            bits += graph.tensors[op.outputs[0]].elements
        elif kind_of(op.kind).is_pooling and kind_of(op.kind).moves:  # which of a window it was
            bits += 8 * graph.tensors[op.outputs[0]].elements
        else:
            kept.update(op.inputs)
    # The part in front is never trained and runs in 8 bits, as inference does.
    whole = sum(graph.tensors[name].elements * (element if name in live else 1) for name in kept)
    return whole + -(-bits // 8)


def _both_gradients(op: Op, graph: OpGraph, live: set[str]) -> int:
    """Return the elements of the gradients of an operator's result and of what it read."""
    return sum(graph.tensors[name].elements for name in (*op.inputs, *op.outputs) if name in live)


def _answer_bytes(top: int, outputs: int) -> int:
    """Return the bytes of an answer in a teacher's file, see `hwkd.train.top_answers`."""
    if not top:
        return 0
    if top + 1 >= outputs:
        return _LOGIT_BYTES * outputs
    return _LOGIT_BYTES * (top + 1) + top * (1 if outputs <= 256 else 2)


def _sample_s(
    cost: CostEstimate, work: _Work, update: int, plan: TrainingPlan
) -> tuple[tuple[float, float, float] | None, str]:
    """Return the time of a sample at the pace of inference, or why it is not known."""
    latency = cost.latency
    if latency is None or cost.is_lower_bound or not work.forward:
        return None, "the latency of an inference is not known"
    if plan.bits == 32 and cost.dtype != "float32":
        return None, f"nobody timed float32 kernels with {cost.runtime}; bits=8 is estimated"
    back = (work.backward + update) / work.forward
    value, low, high = latency.value_s, latency.low_s, latency.high_s
    return (
        value * (1 + back), low * (1 + back), high * (1 + _BACKWARD_LOSS * back)
    ), ""  # fmt: skip
