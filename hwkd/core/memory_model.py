"""What a runtime does with memory: what it fuses, how it plans RAM, what it puts in flash.

These three belong to the software, not to the core, so a device file names a published one
(`memory = "tflm-cmsis-nn"`) or spells out its own. The published ones are in
`hwkd.core.memory_presets`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FusionRules", "InPlaceRule", "MemoryModel", "Planner", "ScratchRule", "StorageModel"]

Planner: TypeAlias = Literal["greedy_by_size", "live_peak"]
InPlaceRule: TypeAlias = Literal["overwrite", "slide"]
ScratchRule: TypeAlias = Literal[
    "cmsis_conv", "cmsis_depthwise_conv", "cmsis_fully_connected", "cmsis_average_pool"
]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FusionRules(_Frozen):
    """Which operators a runtime never executes on their own.

    Attributes:
        activations: operator kinds computed by the operator before them.
        batch_norm: BatchNormalization is folded into the convolution before it.
        pad: a Pad before a convolution or pooling becomes its padding.
        views: kinds that only rename a tensor (Reshape where no bytes move).
        drops_zero_channels: output channels whose weights and bias are all zero are removed,
            with what depends on them.
        sources: field -> citation.
    """

    activations: frozenset[str] = frozenset({"Relu", "Clip"})
    batch_norm: bool = True
    pad: bool = False
    views: frozenset[str] = frozenset()
    drops_zero_channels: bool = False
    sources: dict[str, str] = Field(default_factory=dict)


class MemoryModel(_Frozen):
    """How a runtime lays out RAM.

    Attributes:
        planner: "greedy_by_size" places the largest tensor first (TFLM); "live_peak" counts the
            bytes alive at the worst moment (a planner that packs without gaps).
        alignment_bytes: every buffer's address is a multiple of it.
        in_place: kind -> "overwrite" (the output takes the place of an input that is no longer
            needed) or "slide" (a window operator writes behind its reading position).
        scratch: kind -> rule for working memory alive while the operator runs.
        fixed_overhead_bytes: taken whatever the network.
        per_tensor_overhead_bytes: for each tensor of the model, constants included.
        per_op_overhead_bytes: for each operator.
        per_kind_overhead_bytes: kind -> extra bytes for each operator of that kind.
        per_output_channel_bytes: kind -> bytes for each output channel (requantisation tables).
        sources: field -> citation.
    """

    planner: Planner = "greedy_by_size"
    alignment_bytes: int = Field(default=16, ge=1)
    in_place: dict[str, InPlaceRule] = Field(default_factory=dict)
    scratch: dict[str, ScratchRule] = Field(default_factory=dict)
    fixed_overhead_bytes: float = Field(default=0, ge=0)
    per_tensor_overhead_bytes: float = Field(default=0, ge=0)
    per_op_overhead_bytes: float = Field(default=0, ge=0)
    per_kind_overhead_bytes: dict[str, float] = Field(default_factory=dict)
    per_output_channel_bytes: dict[str, float] = Field(default_factory=dict)
    sources: dict[str, str] = Field(default_factory=dict)


class StorageModel(_Frozen):
    """What a runtime puts in flash besides the weights.

    Attributes:
        code_bytes: code and constants linked whatever the network.
        per_kind_code_bytes: kind -> code linked once when the network uses it.
        per_op_bytes: generated code or graph description for each operator.
        per_tensor_bytes: description of each tensor (the flatbuffer in TFLM).
        per_output_channel_bytes: quantisation tables of a convolution's output channel, bias
            excluded.
        sources: field -> citation.
    """

    code_bytes: float = Field(default=0, ge=0)
    per_kind_code_bytes: dict[str, float] = Field(default_factory=dict)
    per_op_bytes: float = Field(default=0, ge=0)
    per_tensor_bytes: float = Field(default=0, ge=0)
    per_output_channel_bytes: float = Field(default=0, ge=0)
    sources: dict[str, str] = Field(default_factory=dict)
