"""Reads a network and asks the cost backend of a device what it needs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from hwkd.api.profile_data import ModelProfile
from hwkd.core.choices import Dtype, Risk
from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.limits import NO_LIMITS, Limits
from hwkd.core.measure import CostEstimate
from hwkd.core.memory_stage import MemoryStage
from hwkd.cost.backend import CostQuestion, ModelFile, backend_of
from hwkd.cost.energy import DutyCycle, EnergyBand, daily_energy, energy_band
from hwkd.cost.features import FEATURES, FeatureNeed, with_features
from hwkd.cost.memory_interval import ram_interval_bytes
from hwkd.cost.on_device_training import TrainingPlan, training_cost
from hwkd.trace.onnx_file import Network, load_network


def profile_model(
    model: Path,
    question: CostQuestion,
    limits: Limits = NO_LIMITS,
    risk: Risk = "upper",
    duty: DutyCycle | None = None,
    features: FeatureNeed | None = None,
    training: TrainingPlan | None = None,
) -> ModelProfile:
    """Read a network and cost it on a device, as its backend does.

    Args:
        question: device, runtime, clock and type.
        limits: where one is None, the device's own holds; its latency is the one it aims at.
        risk: end of the latency's interval that must stay inside its limit.
        duty: how often it runs, for the energy of a day.
        training: of it on the device, which is costed, too; None is not asked.
        features: of raw samples, which run before it.

    Raises:
        ConfigError: if device, runtime, clock and dtype do not go together.
        ModelFileError: if the file cannot be read.
        ExportError: if the network has no form that the backend reads.
        ProfilingError: if the backend runs it and that fails.
    """
    device = question.device
    backend = backend_of(device)
    backend.refuse(question)
    _refuse_forms(question)
    costed_in = _costed_in(question)
    network = load_network(model, keep_types=costed_in == "int8")
    _refuse_mixed(question, network)
    file = ModelFile(path=model, graph=network.graph, dtype=network.dtype, costed_in=costed_in)
    found = backend.cost_file(file, question)
    cost = found.cost if features is None else with_features(found.cost, features)
    energy = _energy(cost, question)
    return ModelProfile(
        model=model.name,
        cost=cost,
        measured=found.measured,
        stages=found.stages if features is None else _before(found.stages, features),
        order=found.order,
        basis=backend.basis,
        inputs=network.inputs,
        notes=_notes(network, costed_in, question),
        limits=replace(limits.on(device), latency_s=limits.latency_s or device.target_latency_s),
        risk=risk,
        energy=energy,
        daily_energy=None if duty is None else _daily(duty, energy, cost),
        ram_interval_bytes=_ram_interval(found.cost, question, features),
        features=features,
        instructions=found.instructions,
        stream=found.stream,
        training=None
        if training is None
        else training_cost(network.graph, found.cost, training, _power_w(question)),
    )


def _daily(duty: DutyCycle, energy: EnergyBand | None, cost: CostEstimate) -> EnergyBand:
    if energy is None or cost.latency is None:
        raise ConfigError(
            f"--period: the energy of an inference with {cost.runtime} on {cost.device} is not "
            "known (no published power for this clock, or operators without a cost); leave it out"
        )
    return daily_energy(energy, cost.latency, duty)


def _power_w(question: CostQuestion) -> tuple[float, float, float] | None:
    """Return the power while it computes and its ends; None where none was published."""
    device, stack = question.device, question.device.runtime(question.runtime)
    power_w = stack.active_power_w
    if power_w is None or question.clock_hz not in (None, device.clock_hz):
        return None
    low_w, high_w = stack.active_power_range_w or (power_w, power_w)
    return power_w, low_w, high_w


def _before(stages: tuple[MemoryStage, ...], features: FeatureNeed) -> tuple[MemoryStage, ...]:
    """Return the stages of a network with that of its features before them."""
    runtime = stages[0].overhead_bytes if stages else 0
    first = MemoryStage(
        op=FEATURES.lower(), kind=FEATURES, used_bytes=features.ram_bytes, held_bytes=0,
        scratch_bytes=0, overhead_bytes=runtime,
    )  # fmt: skip
    return (first, *stages)


def _ram_interval(
    cost: CostEstimate, question: CostQuestion, features: FeatureNeed | None
) -> tuple[int, int] | None:
    """Return the band of the peak; none where the working memory of an operator is not known."""
    if cost.unknown_kernels:
        return None
    kinds = {op.kind for op in cost.per_op if op.fused_into is None}
    memory = question.device.runtime(question.runtime).memory
    ends, beside = ram_interval_bytes(cost.peak_ram_bytes, memory, kinds), features
    if ends is None or beside is None:
        return ends
    return ends[0] + beside.ram_bytes, ends[1] + beside.ram_bytes


def _energy(cost: CostEstimate, question: CostQuestion) -> EnergyBand | None:
    """Return the band of an inference; None where its energy is not known."""
    if cost.energy_j is None or cost.latency is None or cost.is_lower_bound:
        return None
    return energy_band(cost.energy_j, cost.latency, question.device.runtime(question.runtime))


def _costed_in(question: CostQuestion) -> Dtype:
    """Return the type of everything whose type the file does not fix."""
    known = tuple(question.device.runtime(question.runtime).latency)
    if question.dtype is None and "int8" not in known and known:
        return known[0]
    return question.dtype or "int8"


def _refuse_forms(question: CostQuestion) -> None:
    stack = question.device.runtime(question.runtime)
    asked = "--streaming" if question.streaming else f"--patch {question.patches}"
    if (question.patches is not None or question.streaming) and not stack.memory.planned_by:
        name = question.runtime or question.device.default_runtime
        raise ConfigError(
            f"{asked}: {name} runs layers as a whole; leave it out, or ask for --runtime hwkd-c"
        )


def _refuse_mixed(question: CostQuestion, network: Network) -> None:
    if question.dtype == "int8" and network.dtype == "mixed":
        raise ConfigError(
            "--dtype: int8 was asked for, and the file is quantised to 8 bits only in part "
            f"({_types_of(network.graph)}); leave it out, or quantise all of the file"
        )


def _notes(network: Network, costed_in: str, question: CostQuestion) -> tuple[str, ...]:
    """Return what was made of the file, beyond its inputs."""
    notes = [item.says for item in network.inputs if item.is_one_step]
    if network.dtype == "mixed":
        notes.append(
            f"each operator is costed in the type that the file gives it: "
            f"{_types_of(network.graph)}"
        )
    elif network.dtype == "int8" and costed_in == "float32":
        notes.append("the file is quantised; it is costed as the float32 network that it came from")
    memory = question.device.runtime(question.runtime).memory
    if memory.planned_by and network.dtype == "float32" and costed_in == "int8":
        notes.append(
            "RAM and flash of a float file are by rules, the same for every core; "
            "profile its int8 file for those that its C takes on this one"
        )
    own_hz, asked_hz = question.device.clock_hz, question.clock_hz
    if own_hz is not None and asked_hz is not None and asked_hz > own_hz:
        notes.append(
            f"--clock {asked_hz / 1e6:g} MHz is above the {own_hz / 1e6:g} MHz of "
            f"{question.device.name}: whether the part runs at it, and with which waits for its "
            "memories, is not known"
        )
    flat = [op for op in network.graph.ops if op.facts is not None and op.facts.is_one_dimensional]
    if flat:
        notes.append(
            f"{len(flat)} operators over time ({', '.join(sorted({op.kind for op in flat}))}) are "
            "costed as ones on images of height 1, which is how libraries run them; none was timed"
        )
    return tuple(notes)


def _types_of(graph: OpGraph) -> str:
    found = Counter(op.facts.computes_in for op in graph.ops if op.facts is not None)
    return ", ".join(f"{dtype} x {n}" for dtype, n in sorted(found.items(), key=str) if dtype)
