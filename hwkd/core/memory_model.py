"""What a runtime does with memory: what it fuses, how it plans RAM, what it puts in flash.

These three belong to the software, not to the core. `devices/runtimes/NAME.toml` holds those of a
runtime; a device file may name another runtime for each, or spell out its own.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from hwkd.core.strict_model import StoredInt, StrictModel

Planner: TypeAlias = Literal["greedy_by_size", "live_peak"]
InPlaceRule: TypeAlias = Literal["overwrite", "overwrite_equal", "overwrite_same", "slide"]
ScratchRule: TypeAlias = Literal[
    "cmsis_average_pool",
    "cmsis_conv",
    "esp_nn_conv",
    "hwkd_conv",
    "tflm_mean",
    "tflm_transposed",
    "x_cube_conv",
    "x_cube_dense",
]


class FusionRules(StrictModel):
    """Which operators a runtime never executes on their own, and which it adds.

    Attributes:
        saturates: the range of int8 values clamps for every kind, as each output has its own.
        batch_norm: BatchNormalization is folded into the convolution before it.
        pad: a Pad before a convolution or pooling becomes its padding.
        explicit_pads: a window's padding that is neither "same" nor "valid" costs a Pad operator.
        views: kinds that only rename a tensor (Reshape where no bytes move).
        strided: kinds that read and write a tensor however it lies: a Transpose next to one moves
            no bytes.
        drops_zero_channels: output channels whose weights and bias are all zero are not computed,
            nor what depends on them.
        sources: field -> citation.
    """

    activations: frozenset[str] = frozenset({"Relu", "Clip"})
    saturates: bool = False
    batch_norm: bool = True
    pad: bool = False
    explicit_pads: bool = False
    views: frozenset[str] = frozenset()
    strided: frozenset[str] = frozenset()
    drops_zero_channels: bool = False
    sources: dict[str, str] = Field(default_factory=dict)


class RamInterval(StrictModel):
    """Where 90% of published peaks fell, relative to predictions for networks left out.

    Attributes:
        low_ratio: 5% are below `low_ratio` times the prediction.
        high_ratio: 5% are above `high_ratio` times the prediction.
        kinds: operators of those networks; with any other the ends are twice as far.
    """

    low_ratio: float = Field(gt=0, le=1)
    high_ratio: float = Field(ge=1)
    kinds: frozenset[str] = frozenset()
    calibrated_on: str


class MemoryModel(StrictModel):
    """How a runtime lays out RAM.

    Attributes:
        planner: "greedy_by_size" places the largest buffer first (TFLM); "live_peak" counts the
            bytes alive at the worst moment (a planner that packs without gaps).
        alignment_bytes: every buffer's size is rounded up to a multiple of it.
        in_place: kind -> "overwrite" (the output takes the place of an input that is no longer
            needed), "overwrite_equal" (the same, but never where an input is broadcast),
            "overwrite_same" (the same, of an input as large as the output alone) or "slide" (a
            window operator writes behind its reading position; a Pad shares its input's end).
        depthwise_over_input: a depthwise convolution reads lines of its input before it writes over
            them, so its output lies just over its input.
        cuts_chains: outputs that slide over inputs are laid elsewhere wherever that makes the
            whole smaller; else only where the two apart take less than the chain so far.
        copies_to_pad: a window with padding reads a copy of its input with the zeros in place,
            convolutions over at most four channels excepted.
        slides_over_copies: a window slides over such a copy also where the input itself waits for
            a later operator.
        in_place_limit_bytes: outputs do not lie over larger inputs, nor larger outputs over inputs:
            they belong to another memory.
        scratch_apart_ratio: > 0 where working memory is not laid over dead activations: it takes
            this many times the largest one all the time.
        pools_on_the_fly: an unpadded pooling consumes its convolution's rows as they come, so the
            tensor between them never exists.
        scratch: kind -> rule for working memory alive while the operator runs.
        matmul_keeps_right_operand: a product of two activations keeps a transposed copy of the
            right one for good.
        fixed_overhead_bytes: taken whatever the network.
        per_op_overhead_bytes: for each operator, and each copy with padding.
        per_kind_overhead_bytes: kind -> extra bytes for each operator of that kind, descriptions
            of its constant tensors included.
        per_output_channel_bytes: for each output channel of an int8 convolution.
        planned_by: export target whose own plan gives RAM and flash of a network in a file; these
            rules are then for what has no file yet, the candidates of a search.
        interval: of the peak; None where it was not tested.
        sources: field -> citation.
    """

    planner: Planner = "greedy_by_size"
    alignment_bytes: StoredInt = Field(default=16, ge=1)
    in_place: dict[str, InPlaceRule] = Field(default_factory=dict)
    depthwise_over_input: bool = False
    cuts_chains: bool = False
    copies_to_pad: bool = False
    slides_over_copies: bool = True
    in_place_limit_bytes: StoredInt | None = Field(default=None, gt=0)
    scratch_apart_ratio: float = Field(default=0, ge=0)
    pools_on_the_fly: bool = False
    scratch: dict[str, ScratchRule] = Field(default_factory=dict)
    matmul_keeps_right_operand: bool = False
    fixed_overhead_bytes: float = Field(default=0, ge=0)
    per_tensor_overhead_bytes: float = Field(default=0, ge=0)
    per_op_overhead_bytes: float = Field(default=0, ge=0)
    per_kind_overhead_bytes: dict[str, float] = Field(default_factory=dict)
    per_output_channel_bytes: float = Field(default=0, ge=0)
    planned_by: str = ""
    interval: RamInterval | None = None
    sources: dict[str, str] = Field(default_factory=dict)


class StorageModel(StrictModel):
    """What a runtime puts in flash besides weights and biases.

    Attributes:
        code_bytes: code and constants linked whatever the network.
        per_kind_code_bytes: kind -> code linked once when the network uses it; of convolutions also
            by class of work, as "Conv pointwise", where kernels differ.
        per_form_code_bytes: kernel linked once for each form of operator (kind, window, data; as
            `hwkd.cost.latency_terms` names it) that the network uses.
        per_op_bytes: generated code or description for each operator.
        per_op_of_kind_bytes: kind -> the same of each operator of that kind, with its tables.
        per_output_channel_bytes: quantisation tables of an operator with weights.
        sources: field -> citation.
    """

    code_bytes: float = Field(default=0, ge=0)
    per_kind_code_bytes: dict[str, float] = Field(default_factory=dict)
    per_form_code_bytes: float = Field(default=0, ge=0)
    per_op_bytes: float = Field(default=0, ge=0)
    per_op_of_kind_bytes: dict[str, float] = Field(default_factory=dict)
    per_tensor_bytes: float = Field(default=0, ge=0)
    per_output_channel_bytes: float = Field(default=0, ge=0)
    sources: dict[str, str] = Field(default_factory=dict)
