"""The teacher of spoken words is its embedding with the head that was trained behind it."""

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper

from tools.speech_teacher import _Head, _with_head


def test_the_file_says_what_embedding_and_head_say_one_after_the_other() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(4, 1, 20, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Unsqueeze", ["samples", "axis"], ["columns"]),
        helper.make_node("Conv", ["columns", "kernel"], ["embedded"], strides=[20, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "embedding",
        [helper.make_tensor_value_info("samples", onnx.TensorProto.FLOAT, ["n", 1, 100])],
        [helper.make_tensor_value_info("embedded", onnx.TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([3]), "axis"),
        ],
    )
    samples = random.normal(size=(30, 1, 100)).astype(np.float32)
    embedded = np.einsum("nts,cs->nct", samples.reshape(30, 5, 20), kernel[:, 0, :, 0])
    head = _Head(torch.from_numpy(embedded), classes=3).eval()
    with torch.no_grad():
        wanted = head(torch.from_numpy(embedded)).numpy()
    whole = _with_head(helper.make_model(graph), head.requires_grad_(False))
    onnx.checker.check_model(whole, full_check=True)
    session = onnxruntime.InferenceSession(whole.SerializeToString())
    np.testing.assert_allclose(session.run(None, {"samples": samples})[0], wanted, atol=1e-4)
