"""What ONNX Runtime computes for an int8 network: the whole of it, and each layer by itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper

from hwkd.deploy.sessions import open_session, predict_all
from hwkd.deploy.to_c.export import placed, placed_outputs, quantise_values
from hwkd.deploy.to_c.project import Project
from hwkd.qgraph.foreign_text import fresh_name
from hwkd.qgraph.qdq_file import keep_what_gives

_Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]


def to_c_inputs(project: Project, samples: _Floats) -> _Int8:
    """Quantise samples and bring them into the order of the C input buffer.

    Args:
        samples: shape [samples, *input_shape].

    Returns:
        Shape [samples, input bytes].
    """
    places = project.arranged.places[project.input.name]
    return np.stack([placed(quantise_values(x, project.input), places) for x in samples])


def reference_outputs(model_path: Path, project: Project, samples: _Floats) -> _Int8:
    """Return ONNX Runtime's int8 outputs as the C gives them, one output after the other.

    Args:
        samples: shape [samples, *input_shape].
    """
    # One at a time, as the C runs: a file may reshape to a batch of 1 behind an open one.
    outputs = predict_all(open_session(model_path), samples, batch_size=1)
    return placed_outputs(outputs, tuple(project.outputs.values()), project.arranged)


def tensors_of_trace(
    project: Project, inputs: _Int8, step_outputs: tuple[_Int8, ...]
) -> dict[str, _Int8]:
    """Return every int8 tensor that the C has, views included, in ONNX's order of elements.

    Args:
        inputs: shape [samples, input bytes].
        step_outputs: for each step int8 [samples, bytes], in the order of the C buffer.

    Returns:
        Tensor name -> int8 [samples, *shape], the batch of 1 included.
    """
    buffers = {project.input.name: inputs}
    buffers |= {step.output: y for step, y in zip(project.steps, step_outputs, strict=True)}
    arranged = project.arranged
    return {
        name: buffers[arranged.buffer_of[name]][:, places]
        for name, places in arranged.places.items()
        if arranged.buffer_of[name] in buffers
    }


class LayerReference:
    """ONNX Runtime with the network cut at every int8 tensor.

    Each layer reads what the C's layer read, so a difference belongs to the layer that it is found
    in: none is hidden by a coarse layer behind it, and none is blamed on one.
    """

    def __init__(self, model_path: Path, project: Project) -> None:
        model = onnx.load(model_path)
        graph, tensors = model.graph, project.arranged.graph.tensors
        written = {name for node in graph.node for name in node.output}
        constants = project.arranged.graph.constants
        cut = [
            name
            for name, buffer in project.arranged.buffer_of.items()
            if name in written and buffer not in constants
        ]
        self.names = [name for name in cut if name != project.input.name]
        taken = _names(graph)
        feeds = {name: fresh_name(f"{name}@fed", taken) for name in cut}
        for node in graph.node:
            for position, name in enumerate(node.input):
                node.input[position] = feeds.get(name, name)
        keep_what_gives(graph, self.names)
        read = {name for node in graph.node for name in node.input}
        self._feeds = {name: feed for name, feed in feeds.items() if feed in read}
        fixed = {item.name for item in graph.initializer}
        inputs = [item for item in graph.input if item.name in fixed]  # as old files list them
        self._offsets = {name: tensors[name].file_offset for name in cut}
        types = {
            name: TensorProto.UINT8 if offset else TensorProto.INT8
            for name, offset in self._offsets.items()
        }
        inputs += [
            helper.make_tensor_value_info(feed, types[name], tensors[name].shape)
            for name, feed in self._feeds.items()
        ]
        outputs = [helper.make_tensor_value_info(name, types[name], None) for name in self.names]
        for field, items in (
            (graph.input, inputs), (graph.output, outputs), (graph.value_info, []),
        ):  # fmt: skip
            del field[:]
            field.extend(items)
        with TemporaryDirectory(prefix="hwkd-layers-") as folder:
            path = Path(folder) / "layers.onnx"
            onnx.save(model, path)
            self._session = open_session(path)

    def run(self, tensors: Mapping[str, _Int8]) -> dict[str, _Int8]:
        """Compute every layer from the tensors that it reads.

        Args:
            tensors: see `tensors_of_trace`.

        Returns:
            The same tensors but for the input, as ONNX Runtime computes each.
        """
        count, feeds = len(next(iter(tensors.values()))), self._feeds.items()
        runs = [
            self._session.run(
                self.names,
                {feed: self._as_in_file(name, tensors[name][index]) for name, feed in feeds},
            )
            for index in range(count)
        ]
        columns = zip(self.names, zip(*runs, strict=True), strict=True)
        return {
            name: (np.stack(values).astype(np.int16) - self._offsets[name]).astype(np.int8)
            for name, values in columns
        }

    def _as_in_file(self, name: str, steps: _Int8) -> np.ndarray[Any, Any]:
        offset = self._offsets[name]
        return (steps.astype(np.int16) + offset).astype(np.uint8) if offset else steps


def _names(graph: onnx.GraphProto) -> set[str]:
    named = {item.name for item in (*graph.input, *graph.initializer)}
    return named | {name for node in graph.node for name in node.output}
