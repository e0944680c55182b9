"""Fusion, RAM and flash of the published runtimes, by the name that `--runtime` takes.

A device file needs to say nothing about them. A runtime under another name spells its own out, or
writes `memory = "tflm-cmsis-nn"` to take a published one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator

from hwkd.core.errors import UnknownNameError
from hwkd.core.memory_model import FusionRules, MemoryModel, StorageModel

__all__ = ["FUSION", "MEMORY", "STORAGE", "RuntimeFusion", "RuntimeMemory", "RuntimeStorage"]

_TFLM = "tensorflow/tflite-micro@8f6596d"
TflmKernels: TypeAlias = Literal["reference", "cmsis-nn", "esp-nn"]

_ZOO = "fitted to the published rows of the STM32 model zoo"
_CUBE_ACTIVATIONS = frozenset(
    {"Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh"}
)


def tflm_memory(pointer_bytes: int, kernels: TflmKernels) -> MemoryModel:
    """Return TFLM's memory on a core with pointers of this size, 4 on every microcontroller.

    The numbers are the sizes of TFLM's own structures: plain fields plus pointers. With 8-byte
    pointers they are what the `tflite-micro` wheel reports on a 64-bit host, where
    `benchmarks.accuracy.memory_tflm` measures them; with 4 they hold by the same structures.
    """
    pointer = pointer_bytes
    tensor = 3 * pointer  # TfLiteEvalTensor: data, dims, type (padded to a pointer)
    scratch = {"GlobalAveragePool": "tflm_mean", "ReduceMean": "tflm_mean"}
    if kernels == "cmsis-nn":
        scratch |= {"Conv": "cmsis_conv", "AveragePool": "cmsis_average_pool"}
    elif kernels == "esp-nn":
        scratch["Conv"] = "esp_nn_conv"
    return MemoryModel.model_validate(
        {
            "planner": "greedy_by_size",
            "alignment_bytes": 16,
            "scratch": scratch,
            "matmul_keeps_right_operand": True,
            "fixed_overhead_bytes": 232 + 60 * pointer,
            "per_tensor_overhead_bytes": tensor,
            "per_op_overhead_bytes": 8 * pointer,  # NodeAndRegistration
            "per_kind_overhead_bytes": _tflm_operators(pointer, kernels),
            "per_output_channel_bytes": 8,  # multiplier and shift, 32 bits each
            "sources": {
                "overhead": f"{_TFLM}: RecordingMicroAllocator on 64-bit pointers, chains of 1 to "
                "9 equal operators; 4-byte pointers by the structures' fields (VWW in "
                "arXiv:2010.08678 table 2: 26.5 kB persistent on a Cortex-M4)",
                "scratch": "ARM-software/CMSIS-NN, arm_*_get_buffer_sizes_s8.c (DSP extension); "
                "espressif/esp-nn, esp_nn_get_*_scratch_size_esp32s3",
            },
        }
    )


def _tflm_operators(pointer: int, kernels: TflmKernels) -> dict[str, float]:
    """Return bytes that TFLM keeps for each operator: constants' descriptions, options, state."""
    tensor, scratch_handle = 3 * pointer, pointer
    mean = tensor + 3 * scratch_handle + 50
    convolution = 2 * tensor + 4 * pointer + 76
    if kernels != "reference":
        convolution += scratch_handle + 4
    return {
        "Conv": convolution,
        "Gemm": 2 * tensor + 3 * pointer + 88,
        "Add": 72,
        "Sub": 72,
        "Mul": 52,
        "AveragePool": 72,
        "MaxPool": 72,
        "Relu": 32,
        "Clip": 16,
        "HardSwish": 32,
        "HardSigmoid": 16,
        "Sigmoid": 16,
        "Softmax": 84,
        "Reshape": tensor + 36,
        "Flatten": tensor + 36,
        "GlobalAveragePool": mean,
        "ReduceMean": mean,
        "Transpose": tensor,
        "MatMul": 10 * pointer + 84,
        "Pad": tensor + 64,
        "Concat": 88,
    }


def _x_cube_memory(
    *,
    fixed: float,
    op: float,
    channel: float,
    margin_bytes: float = 0,
    scale: float = 1,
    keeps_inputs: bool = False,
) -> MemoryModel:
    overwritten = ("Add", "Mul", "Softmax", *sorted(_CUBE_ACTIVATIONS))
    return MemoryModel.model_validate(
        {
            "planner": "live_peak",
            "alignment_bytes": 4,
            "in_place": dict.fromkeys(("Conv", "MaxPool", "AveragePool"), "slide")
            | dict.fromkeys(overwritten, "overwrite"),
            "keeps_inputs": keeps_inputs,
            "pools_on_the_fly": True,
            "scratch": {"Conv": "x_cube_conv"},
            "arena_scale": scale,
            "arena_margin_bytes": margin_bytes,
            "fixed_overhead_bytes": fixed,
            "per_op_overhead_bytes": op,
            "per_output_channel_bytes": channel,
            "sources": {
                "scratch": "arrays of generated network.c files, see hwkd.cost.memory_scratch",
                "in_place": f"{_ZOO}, activation_ram_kib",
                "fixed_overhead_bytes": f"{_ZOO}, runtime_ram_kib",
            },
        }
    )


def _x_cube_fusion(*, drops_zero_channels: bool) -> FusionRules:
    return FusionRules(
        activations=_CUBE_ACTIVATIONS,
        pad=True,
        views=frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"}),
        drops_zero_channels=drops_zero_channels,
        sources={
            "drops_zero_channels": "MLPerf Tiny results v1.0 to v1.3: the reference vww01 (971 "
            "all-zero channels) runs in less time from X-CUBE-AI 8.1 on"
        },
    )


_TFLM_FUSION = FusionRules(
    explicit_pads=True,
    sources={"explicit_pads": "TensorFlow Lite schema: Padding is SAME or VALID"},
)
_CPU_FUSION = FusionRules(
    activations=frozenset({"Relu", "Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Sigmoid"}),
    pad=True,
    views=frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"}),
    sources={"activations": "onnxruntime, graph optimisations: fused convolution activations"},
)
_CPU_MEMORY = MemoryModel(
    planner="live_peak",
    alignment_bytes=64,
    sources={"planner": "activations alive at once; a Linux process adds weights and its own code"},
)

FUSION: MappingProxyType[str, FusionRules] = MappingProxyType(
    {
        "esp-nn": _TFLM_FUSION,
        "ncnn": _CPU_FUSION,
        "onnxruntime": _CPU_FUSION,
        "tflm-cmsis-nn": _TFLM_FUSION,
        "tflm-reference": _TFLM_FUSION,
        "x-cube-ai-7": _x_cube_fusion(drops_zero_channels=False),
        "x-cube-ai-8": _x_cube_fusion(drops_zero_channels=True),
        "x-cube-ai-10": _x_cube_fusion(drops_zero_channels=True),
    }
)
MEMORY: MappingProxyType[str, MemoryModel] = MappingProxyType(
    {
        "esp-nn": tflm_memory(4, "esp-nn"),
        "ncnn": _CPU_MEMORY,
        "onnxruntime": _CPU_MEMORY,
        "tflm-cmsis-nn": tflm_memory(4, "cmsis-nn"),
        "tflm-reference": tflm_memory(4, "reference"),
        "x-cube-ai-7": _x_cube_memory(fixed=3731, op=240, channel=2.37),
        "x-cube-ai-8": _x_cube_memory(fixed=1486, op=355, channel=1.38),
        "x-cube-ai-10": _x_cube_memory(
            margin_bytes=12288,
            scale=1.07,
            keeps_inputs=True,
            fixed=4101,
            op=286,
            channel=0.93,
        ),
    }
)


def _tflm_storage(*, convolution_bytes: int) -> StorageModel:
    """Return TFLM's flash: the published total, split by the size of each kernel's source."""
    return StorageModel(
        code_bytes=24576,
        per_kind_code_bytes={
            "Conv": convolution_bytes, "Gemm": 4096, "MatMul": 6144, "Add": 3072, "Mul": 2560,
            "AveragePool": 2048, "MaxPool": 2048, "GlobalAveragePool": 4096, "ReduceMean": 4096,
            "Softmax": 3072, "Relu": 1536, "Clip": 1536, "HardSwish": 2560, "HardSigmoid": 2048,
            "Sigmoid": 2048, "Reshape": 768, "Transpose": 2048, "Pad": 2048, "Concat": 2560,
        },
        per_op_bytes=300,
        per_tensor_bytes=100,
        # The flatbuffer stores a 32-bit scale and a 64-bit zero point for weights and for biases.
        per_output_channel_bytes=24,
        sources={
            "code_bytes": "estimate: tflite-micro's README gives 16 KB for the core runtime on a "
            "Cortex-M3, published applications 20 to 50 KB with kernels; the split by kernel is "
            "ours and no measurement",
            "per_op_bytes": "sizes of the .tflite files of benchmarks.accuracy.memory_tflm",
        },
    )  # fmt: skip


def _x_cube_storage(code: float, op: float, channel: float) -> StorageModel:
    return StorageModel(
        code_bytes=code,
        per_op_bytes=op,
        per_output_channel_bytes=channel,
        sources={"code_bytes": f"{_ZOO}, code_flash_kib (st_yolo_lc rows left out)"},
    )


STORAGE: MappingProxyType[str, StorageModel] = MappingProxyType(
    {
        "esp-nn": _tflm_storage(convolution_bytes=12288),
        "ncnn": StorageModel(),
        "onnxruntime": StorageModel(),
        "tflm-cmsis-nn": _tflm_storage(convolution_bytes=12288),
        "tflm-reference": _tflm_storage(convolution_bytes=6144),
        "x-cube-ai-7": _x_cube_storage(40989, 486, 6.85),
        "x-cube-ai-8": _x_cube_storage(51145, 317, 5.71),
        "x-cube-ai-10": _x_cube_storage(49960, 358, 4.0),
    }
)

_Model = TypeVar("_Model", bound=BaseModel)


def _named(kind: str, presets: MappingProxyType[str, _Model]) -> BeforeValidator:
    """Let a device file write the name of a published runtime in place of its numbers."""

    def resolve(value: object) -> object:
        if not isinstance(value, str):
            return value
        if value not in presets:
            raise ValueError(str(UnknownNameError(kind, value, presets)))
        return presets[value]

    return BeforeValidator(resolve)


RuntimeFusion = Annotated[FusionRules, _named("fusion", FUSION)]
RuntimeMemory = Annotated[MemoryModel, _named("memory", MEMORY)]
RuntimeStorage = Annotated[StorageModel, _named("storage", STORAGE)]
