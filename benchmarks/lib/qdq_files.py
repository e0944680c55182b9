"""Int8 ONNX files as tools write them: options of ONNX Runtime, forms of other exporters, edits.

`FORMS` maps a name to a `Form`: what writes the file, and the words of the refusal that is right
for it, "" where it must be computed exactly. Networks are small and their weights random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from onnxruntime.quantization import (
    CalibrationMethod,
    QuantFormat,
    QuantType,
)

from benchmarks.lib import qdq_edits as edits
from benchmarks.lib.c_networks import NetworkBuilder
from benchmarks.lib.qdq_writers import (
    attention,
    by_hand,
    by_onnxruntime,
    dynamically,
    image,
    means,
    own_student,
    signal,
    tokens,
    with_tail,
    without_nodes,
)


@dataclass(frozen=True, kw_only=True)
class Form:
    """One file.

    Attributes:
        write: takes a folder, returns the file in it.
        refusal: words of the message where no exact form exists.
    """

    write: Callable[[Path], Path]
    refusal: str = ""


def _ort(network: Callable[[], NetworkBuilder], *, refusal: str = "", **options: Any) -> Form:
    return Form(write=partial(by_onnxruntime, network, **options), refusal=refusal)


def _tail(*kinds: str, refusal: str = "") -> Form:
    return Form(write=partial(with_tail, kinds), refusal=refusal)


def _edit(change: edits.Change, refusal: str = "") -> Form:
    return Form(write=partial(edits.changed, change), refusal=refusal)


def _hand(*, refusal: str = "", **options: Any) -> Form:
    return Form(write=partial(by_hand, **options), refusal=refusal)


_U8, _S16, _U16 = QuantType.QUInt8, QuantType.QInt16, QuantType.QUInt16
FORMS: dict[str, Form] = {
    "ort/per-tensor": _ort(image),
    "ort/per-channel": _ort(image, per_channel=True),
    "ort/uint8 activations": _ort(image, activation_type=_U8),
    "ort/uint8 activations, per channel": _ort(image, activation_type=_U8, per_channel=True),
    "ort/uint8 activations and weights": _ort(
        image, activation_type=_U8, weight_type=_U8
    ),
    "ort/uint8 symmetric weights": _ort(
        image, activation_type=_U8, weight_type=_U8, extra={"WeightSymmetric": True}
    ),
    "ort/uint8 activations and weights, per channel": _ort(
        image, activation_type=_U8, weight_type=_U8, per_channel=True
    ),
    "ort/uint8 weights over time": _ort(signal, activation_type=_U8, weight_type=_U8),
    "ort/uint8 weights, attention": _ort(attention, activation_type=_U8, weight_type=_U8),
    "ort/uint8 weights, means": _ort(means, activation_type=_U8, weight_type=_U8),
    "ort/asymmetric int8 weights": _ort(image, extra={"WeightSymmetric": False}),
    "ort/asymmetric int8 weights, per channel": _ort(
        image, extra={"WeightSymmetric": False}, per_channel=True
    ),
    "ort/symmetric activations": _ort(image, extra={"ActivationSymmetric": True}),
    "ort/reduced range": _ort(image, reduce_range=True, per_channel=True),
    "ort/entropy": _ort(image, calibrate_method=CalibrationMethod.Entropy),
    "ort/percentile": _ort(image, calibrate_method=CalibrationMethod.Percentile),
    "ort/pairs around weights": _ort(image, extra={"AddQDQPairToWeight": True}, per_channel=True),
    "ort/dedicated pairs": _ort(image, extra={"DedicatedQDQPair": True}),
    "ort/contrib operators": _ort(image, extra={"UseQDQContribOps": True}, per_channel=True),
    "ort/float biases": _ort(image, extra={"QuantizeBias": False}),
    "ort/removable activations kept": _ort(image, extra={"QDQKeepRemovableActivations": True}),
    "ort/int16 activations": _ort(
        image, activation_type=_S16, refusal="int16 activations, expected 8 bits"
    ),
    "ort/uint16 activations": _ort(
        image, activation_type=_U16, refusal="uint16 activations, expected 8 bits"
    ),
    "ort/int16 weights": _ort(image, weight_type=_S16, refusal="int16 weights, expected 8 bits"),
    "ort/sums left float": _ort(image, leave_float="Add"),
    "ort/linear layer left float": _ort(image, leave_float="Gemm", refusal="(Gemm)"),
    "ort/softmax left float": _tail("Softmax"),
    "ort/flat softmax left float": _tail("Flatten", "Softmax"),
    "ort/sigmoid left float": _tail("Sigmoid"),
    "ort/log softmax and shape left float": _tail("LogSoftmax", "Reshape"),
    "ort/shape left float": _tail("Reshape"),
    "ort/largest class left float": _tail("Softmax", "ArgMax"),
    "ort/tail with arithmetic": _tail("Exp", "Softmax", refusal="gives the output as float"),
    "edit/logits and float softmax": _edit(edits.also_logits),
    "ort/convolution left float": Form(
        write=partial(without_nodes, ["conv8"]), refusal="'conv8' (Conv)"
    ),
    "ort/first convolution left float": Form(
        write=partial(without_nodes, ["conv0"]), refusal="'conv0' (Conv)"
    ),
    "ort/operators with quantisation inside": _ort(
        image, quant_format=QuantFormat.QOperator, refusal="quant_format=QuantFormat.QDQ"
    ),
    "ort/dynamic": Form(write=dynamically, refusal="dynamically quantised"),
    "ort/attention": _ort(attention, per_channel=True),
    "ort/attention, uint8": _ort(attention, activation_type=_U8),
    "ort/over time": _ort(signal, per_channel=True),
    "ort/over time, uint8": _ort(signal, activation_type=_U8),
    "ort/means": _ort(means, per_channel=True),
    "ort/means, uint8": _ort(means, activation_type=_U8),
    "ort/means of tokens": _ort(tokens),
    "brevitas/clips": _hand(clips=True),
    "brevitas/clips, unsigned": _hand(clips=True, unsigned=True),
    "brevitas/four-bit weights": _hand(clips=True, bits=4),
    "brevitas/float biases": _hand(clips=True, float_bias=True),
    "brevitas/own bias scale": _hand(clips=True, own_bias_scale=True, refusal="its bias has scale"),
    "brevitas/weights quantised in the graph": _hand(clips=True, float_weights=True),
    "aimet/float weights": _hand(float_weights=True, float_bias=True, per_channel=False),
    "aimet/float weights, per channel": _hand(float_weights=True, float_bias=True),
    "aimet/unsigned": _hand(float_weights=True, float_bias=True, unsigned=True),
    "aimet/uint8 weights around 128": _hand(float_bias=True, unsigned=True, weight_offset=128),
    "torch/transposed linear weights": _hand(transposed=True),
    "torch/unsigned, quantised biases": _hand(unsigned=True),
    "edit/bias in another unit": _edit(partial(edits.bias_scale, factor=1.5), "its bias has scale"),
    "edit/bias with a zero point": _edit(edits.bias_zero, "its bias has zero point 5, expected 0"),
    "edit/read with another scale": _edit(edits.other_read_scale),
    "edit/no zero points": Form(
        write=partial(
            edits.changed, edits.no_zero_points, extra={"ActivationSymmetric": True}
        )
    ),
    "edit/negative axes": _edit(edits.negative_axes),
    "edit/scales along inputs": _edit(edits.wrong_axis, "weight scales along axis 1"),
    "edit/contrib domain": _edit(edits.contrib),
    "edit/identity at the end": _edit(edits.identity_at_the_end),
    "edit/same padding": _edit(edits.same_padding),
    "edit/computed amounts of a pad": _edit(edits.computed_pads),
    "edit/a choice that is made": _edit(edits.decided_choice),
    "edit/open batch": _edit(edits.open_batch),
    "edit/float biases": _edit(edits.float_bias),
    "edit/scale of 0": _edit(edits.zero_scale, "expected finite numbers above 0"),
    "edit/float16 scales": _edit(edits.half_scales, "float16"),
    **{
        f"hwkd/{space} {'x'.join(map(str, shape))}": Form(write=partial(own_student, space, shape))
        for space, shape in (
            ("depthwise", (3, 16, 16)), ("narrow_deep", (1, 12, 12)), ("plain", (3, 16, 16)),
            ("linear_attention", (3, 16, 16)), ("depthwise", (6, 64)),
        )
    },
}  # fmt: skip
