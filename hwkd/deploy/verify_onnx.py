"""What ONNX Runtime computes for an int8 network, every intermediate tensor included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper

from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_c.export import placed, quantise_values
from hwkd.deploy.to_c.project import Project

__all__ = ["reference_outputs", "reference_steps", "to_c_inputs"]

_Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]


def to_c_inputs(project: Project, samples: _Floats) -> _Int8:
    """Quantise samples and bring them into the order of the C input buffer.

    Args:
        project: the C.
        samples: shape [samples, *input_shape].

    Returns:
        Shape [samples, input bytes].
    """
    places = project.arranged.places[project.input.name]
    return np.stack([placed(quantise_values(x, project.input), places) for x in samples])


def reference_outputs(model_path: Path, project: Project, samples: _Floats) -> _Int8:
    """Return ONNX Runtime's int8 outputs in the order of the C output buffer.

    Args:
        model_path: the ONNX file that the project was made from.
        project: the C.
        samples: shape [samples, *input_shape].
    """
    outputs = predict(open_session(model_path), samples)
    places = project.arranged.places[project.output.name]
    return np.stack([placed(quantise_values(y, project.output), places) for y in outputs])


def reference_steps(model_path: Path, project: Project, samples: _Floats) -> tuple[_Int8, ...]:
    """Return, for each step of the C, the tensor that ONNX Runtime has there.

    Returns:
        For each step int8 [samples, bytes], in the order of the C buffer.
    """
    names = [_onnx_name(step.output) for step in project.steps]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "every_tensor.onnx"
        onnx.save(_with_outputs(onnx.load(model_path), names), path)
        session = open_session(path)
        argument = session.get_inputs()[0].name
        unique = list(dict.fromkeys(names))
        runs = [
            dict(zip(unique, session.run(unique, {argument: x[None]}), strict=True))
            for x in samples
        ]
    places = project.arranged.places
    return tuple(
        np.stack([placed(run[name], places[step.output]) for run in runs])
        for name, step in zip(names, project.steps, strict=True)
    )


def _onnx_name(tensor: str) -> str:
    """Return the ONNX tensor behind one of ours; a copy in another order has a suffix."""
    return tensor.split("@")[0]


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    present = {output.name for output in model.graph.output}
    for name in dict.fromkeys(names):
        if name not in present:
            value = helper.make_tensor_value_info(name, TensorProto.INT8, None)
            model.graph.output.append(value)
    return model
