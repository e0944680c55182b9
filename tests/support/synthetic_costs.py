"""Synthetic students with their costs, limits and profiles; nothing was measured."""

from __future__ import annotations

from random import Random

from hwkd.core.choices import LimitName
from hwkd.core.measure import CostEstimate, LatencyEstimate, OpCost, OpShare, Profile
from hwkd.core.student import StudentSpec
from hwkd.core.trial import ViolationRecord

CLOCK_HZ = 216e6
CODE_BYTES = 41_000
RUNTIME_RAM_BYTES = 6_400
TARGET_S = 0.004
ALPHA, BETA, GAMMA = 1.0, 0.1, 0.5
LIMITS: dict[LimitName, float] = {"latency": 0.02, "ram": 14_336, "flash": 131_072}
SPACES = ("depthwise", "linear_attention", "narrow_deep")
_CYCLES_PER_MAC = {"depthwise": 1.9, "linear_attention": 1.4, "narrow_deep": 1.2}


def student_with_cost(space: str, width: int, depth: int) -> tuple[StudentSpec, CostEstimate]:
    spec = StudentSpec(
        space=space,
        params={"width": width, "depth": depth, "activation": "relu", "squeeze_excite": False},
        input_shape=(1, 28, 28),
        num_outputs=10,
    )
    ops = _ops(space, width, depth)
    latency_s = sum(op.latency_s or 0.0 for op in ops)
    weight_bytes = sum(op.flash_bytes for op in ops)
    return spec, CostEstimate(
        device="cortex-m7",
        runtime="tflm-cmsis-nn",
        clock_hz=CLOCK_HZ,
        dtype="int8",
        macs=sum(op.macs for op in ops),
        params=weight_bytes * 9 // 10,
        latency=LatencyEstimate(
            value_s=latency_s,
            low_s=0.8 * latency_s,
            high_s=1.25 * latency_s,
            basis=f"synthetic, {len(ops)} operators",
        ),
        peak_ram_bytes=max(op.ram_bytes for op in ops) + RUNTIME_RAM_BYTES,
        weight_bytes=weight_bytes,
        flash_bytes=weight_bytes + CODE_BYTES,
        energy_j=0.33 * latency_s,
        per_op=ops,
    )


def layer_rows(space: str, width: int, depth: int) -> list[tuple[str, int, int, int, int, int]]:
    """Return (name, channels in, channels out, side out, kernel, groups) of each convolution."""
    rows = [("stem", 1, width, 14, 3, 1)]
    side, channels = 14, width
    for index in range(1, depth + 1):
        if index == depth // 2:
            side = 7
        grown = 2 * channels if index == depth // 2 and space != "narrow_deep" else channels
        if space == "depthwise":
            rows.append((f"block{index}_dw", channels, channels, side, 3, channels))
            rows.append((f"block{index}_pw", channels, grown, side, 1, 1))
        else:
            rows.append((f"block{index}_conv", channels, grown, side, 3, 1))
        channels = grown
    return rows


def _ops(space: str, width: int, depth: int) -> tuple[OpCost, ...]:
    ops: list[OpCost] = []
    before = 28 * 28
    for name, channels_in, channels, side, kernel, groups in layer_rows(space, width, depth):
        macs = side * side * channels * (channels_in // groups) * kernel * kernel
        after = side * side * channels
        weights = channels * (channels_in // groups) * kernel * kernel + 4 * channels
        factor = 6.0 if groups > 1 else _CYCLES_PER_MAC[space]
        ops.append(_op(name, "Conv", macs, factor, before + after, weights))
        ops.append(
            OpCost(
                name=f"{name}_act",
                kind="Relu",
                macs=0,
                latency_s=0.0,
                ram_bytes=after,
                flash_bytes=0,
                fused_into=name,
            )
        )
        before = after
    channels = before // 49
    ops.append(_op("pool", "GlobalAveragePool", before, 2.0, before + channels, 0))
    ops.append(_op("logits", "Gemm", channels * 10, 2.0, channels + 10, channels * 10 + 40))
    return tuple(ops)


def _op(
    name: str, kind: str, macs: int, cycles_per_mac: float, ram_bytes: int, flash_bytes: int
) -> OpCost:
    latency_s = (4000 + cycles_per_mac * macs) / CLOCK_HZ
    return OpCost(
        name=name,
        kind=kind,
        macs=macs if kind != "GlobalAveragePool" else 0,
        latency_s=latency_s,
        ram_bytes=ram_bytes,
        flash_bytes=flash_bytes,
    )


def violations_of(cost: CostEstimate) -> tuple[ViolationRecord, ...]:
    needs: dict[LimitName, float] = {
        "latency": cost.latency_at_s("upper") or 0.0,
        "ram": cost.peak_ram_bytes,
        "flash": cost.flash_bytes,
    }
    found = [
        ViolationRecord(limit_name=name, needed=needs[name], limit=limit)
        for name, limit in LIMITS.items()
        if needs[name] > limit
    ]
    return tuple(sorted(found, key=lambda violation: -violation.excess_ratio))


def profile_of(cost: CostEstimate, random: Random) -> Profile:
    median_s = 2e-5 + cost.macs * 4e-11
    convolutions = [op for op in cost.per_op if op.kind == "Conv"]
    total = sum(op.macs for op in convolutions)
    shares = [
        OpShare(
            name=f"{op.name}_quant",
            kind="QLinearConv",
            mean_s=median_s * op.macs / total,
            share_ratio=op.macs / total,
        )
        for op in convolutions
    ]
    return Profile(
        median_s=median_s,
        p90_s=1.1 * median_s,
        spread_s=0.05 * median_s,
        runs=100,
        warmup_runs=10,
        threads=1,
        file_bytes=cost.weight_bytes + 9_000,
        file_sha256=f"{random.getrandbits(256):064x}",
        provider="CPUExecutionProvider",
        runtime_version="1.20.0",
        host="synthetic processor",
        per_op=tuple(sorted(shares, key=lambda share: -share.share_ratio)),
    )
