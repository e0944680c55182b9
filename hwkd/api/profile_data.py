"""What `hwkd profile` knows about a network on a device, before it is shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hwkd.core.basis import Basis
from hwkd.core.choices import Risk
from hwkd.core.limits import Fit, Limits
from hwkd.core.measure import CostEstimate, Profile
from hwkd.core.memory_stage import MemoryStage
from hwkd.core.streaming import Stream
from hwkd.cost.energy import EnergyBand
from hwkd.cost.features import FeatureNeed
from hwkd.cost.memory_order import OrderPlan
from hwkd.cost.on_device_training import TrainingCost
from hwkd.trace.onnx_inputs import FixedInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """A network on a device.

    Attributes:
        cost: estimate; its latency is None for a device that is measured.
        stages: memory while each operator runs.
        order: the order that needs the least memory; None where a compiler chooses it, and for
            networks too large to search.
        inputs: of the network, with the axis that was taken as the batch.
        notes: what else was made of the file.
        risk: end of the latency's interval that must stay inside its limit.
        energy: of one inference; None where it is not known.
        ram_interval_bytes: ends of the 90% interval of the peak; None where it was not tested.
        features: what the features of a student's raw samples take, which are in all sums; None of
            a file by itself, of a run of next frames, and where none are computed.
        instructions: of the network in one inference, predicted; None where nobody counted the
            runtime's kernels. Emulated ones are those of `hwkd verify`.
        stream: what a run takes, where it takes the next frames; all numbers are then of a run.
        training: of training it on the device; None where that was not asked.
        daily_energy: of a day at the period that was asked for; None without one, or unknown.
    """

    model: str
    cost: CostEstimate
    measured: Profile | None
    stages: tuple[MemoryStage, ...]
    order: OrderPlan | None
    basis: Basis
    inputs: tuple[FixedInput, ...]
    notes: tuple[str, ...]
    limits: Limits
    risk: Risk = "upper"
    energy: EnergyBand | None = None
    daily_energy: EnergyBand | None = None
    ram_interval_bytes: tuple[int, int] | None = None
    features: FeatureNeed | None = None
    instructions: int | None = None
    stream: Stream | None = None
    training: TrainingCost | None = None

    @property
    def is_lower_bound(self) -> bool:
        """True when operators without a cost are missing in the estimate."""
        return self.measured is None and self.cost.is_lower_bound

    @property
    def latency_interval_s(self) -> tuple[float | None, float | None, float | None]:
        """Most likely value, low and high: 90% interval if estimated, quartiles if measured.

        With operators without a cost only the low end is known, and not even that where no operator
        has one.
        """
        if self.measured is not None:
            median, spread = self.measured.median_s, self.measured.spread_s
            return median, max(median - spread / 2, 0.0), median + spread / 2
        latency = self.cost.latency
        if latency is None:
            raise ValueError(f"{self.cost.device} has neither an estimate nor a measurement")
        if self.is_lower_bound:
            return None, latency.low_s or None, None
        return latency.value_s, latency.low_s, latency.high_s

    @property
    def latency_basis(self) -> str:
        """Where the latency comes from."""
        if self.measured is not None:
            return f"measured: onnxruntime {self.measured.runtime_version}"
        return self.cost.latency.basis if self.cost.latency is not None else "unknown"

    @property
    def energy_j(self) -> float | None:
        """Joules of one inference; None without a published power or with operators left out."""
        return None if self.is_lower_bound else self.cost.energy_j

    @property
    def fit(self) -> Fit:
        """Whether it stays inside the limits."""
        return self._fit(self.limits)

    def _fit(self, limits: Limits) -> Fit:
        return Fit.of(self.cost, limits, self.risk, measured=self.measured)

    @property
    def reasons(self) -> dict[str, str]:
        """Why a number or a verdict is not known, by its name in `as_dict`."""
        found = {}
        if self.is_lower_bound:
            ops = sorted(self.cost.unsupported_ops.items())
            kinds = ", ".join(f"{kind} x {n}" for kind, n in ops)
            known = "a lower bound" if self.latency_interval_s[1] else "unknown"
            found["latency"] = f"{known}: {self.cost.runtime} has no cost for {kinds}"
            found["energy_j"] = "the latency is not known"
        elif self.cost.energy_j is None:
            found["energy_j"] = "no published power"
        if self.cost.unknown_kernels:
            kinds = ", ".join(self.cost.unknown_kernels)
            found["ram"] = f"a lower bound: the working memory of {kinds} is not known"
            found["flash"] = f"a lower bound: the code of {kinds} is not known"
        return found

    @property
    def ram_parts(self) -> dict[str, int]:
        """What the peak is made of, in bytes; activations hold scratch and gaps between tensors."""
        runtime = self.stages[0].overhead_bytes if self.stages else 0
        features = 0 if self.features is None else self.features.ram_bytes
        return {
            "activation_bytes": self.cost.peak_ram_bytes - runtime - features,
            "runtime_bytes": runtime,
            "feature_bytes": features,
        }

    @property
    def flash_parts(self) -> dict[str, int]:
        """What the flash is made of, in bytes."""
        features = 0 if self.features is None else self.features.flash_bytes
        return {
            "weight_bytes": self.cost.weight_bytes,
            "code_bytes": self.cost.flash_bytes - self.cost.weight_bytes - features,
            "feature_bytes": features,
        }

    @property
    def predicted_instructions(self) -> dict[str, int | None] | None:
        """Instructions of network and features; None where the network's are not known."""
        if self.instructions is None:
            return None
        of_features = None if self.features is None else self.features.instructions
        return {
            "network": self.instructions,
            "features": None if of_features is None else round(of_features),
        }

    @property
    def per_frame(self) -> dict[str, float | None]:
        """What one frame costs, on average over a run; empty of a network that takes windows."""
        if self.stream is None:
            return {}
        frames, energy = self.stream.hop_frames, self.energy_j
        value_s = self.latency_interval_s[0]
        return {
            "macs": self.cost.macs / frames,
            "latency_s": None if value_s is None else value_s / frames,
            "energy_j": None if energy is None else energy / frames,
        }

    @property
    def _evidence(self) -> dict[str, dict[str, float]]:
        """Shares of an estimated latency that rest on little, by what and by why."""
        found = None if self.measured is not None else self.cost.latency
        return {
            "never_timed": {} if found is None else dict(found.never_timed),
            "borrowed": {} if found is None else dict(found.borrowed),
            "weak_shares": {} if found is None else dict(found.weak_shares),
        }

    def op_latency_s(self) -> dict[str, float | None]:
        """Return operator -> seconds, estimated or measured with the profiler on."""
        if self.measured is not None:
            found = {share.name: share.mean_s for share in self.measured.per_op}
            return {op.name: found.get(op.name) for op in self.cost.per_op}
        return {op.name: op.latency_s for op in self.cost.per_op}

    def as_dict(self) -> dict[str, Any]:
        """Return the object that `--json` prints.

        The RAM of an operator is all that lies in RAM while it runs, as the table shows it: with
        what waits, its working memory and the runtime's own.
        """
        cost, latency = self.cost, self.op_latency_s()
        ram = {stage.op: stage.total_bytes for stage in self.stages}
        value_s, low_s, high_s = self.latency_interval_s
        return {
            "device": cost.device,
            "runtime": cost.runtime,
            "clock_hz": cost.clock_hz or None,
            "dtype": cost.dtype,
            "macs": cost.macs,
            "params": cost.params,
            "latency": {
                "value_s": value_s, "low_s": low_s, "high_s": high_s, "basis": self.latency_basis,
                **self._evidence,
            },
            "peak_ram_bytes": cost.peak_ram_bytes,
            "peak_ram_interval_bytes": self.ram_interval_bytes and list(self.ram_interval_bytes),
            "ram_parts": self.ram_parts,
            "flash_bytes": cost.flash_bytes,
            "flash_parts": self.flash_parts,
            "predicted_instructions": self.predicted_instructions,
            "energy_j": self.energy_j,
            "stream": self.stream and {**asdict(self.stream), "per_frame": self.per_frame},
            "energy": None if self.energy is None else asdict(self.energy),
            "daily_energy": None if self.daily_energy is None else asdict(self.daily_energy),
            "per_op": [
                {
                    "name": op.name, "op": op.kind, "macs": op.macs, "latency_s": latency[op.name],
                    "ram_bytes": ram.get(op.name, op.ram_bytes),
                    "flash_bytes": op.flash_bytes if self.basis.has_op_flash else None,
                }
                for op in cost.per_op
            ],
            "unsupported_ops": dict(cost.unsupported_ops),
            "fit": self.fit.as_dict(),
            "training": None if self.training is None else self.training.as_dict(),
            # Of every need: without a limit what is known fits, and what is not known is null.
            "fits": self._fit(self.limits.or_any()).answers,
            "reasons": self.reasons,
            "inputs": [
                {
                    "name": item.name, "shape": list(item.shape), "batch_axis": item.batch_axis,
                    "says": item.says,
                }
                for item in self.inputs
            ],
            "notes": list(self.notes),
        }  # fmt: skip
