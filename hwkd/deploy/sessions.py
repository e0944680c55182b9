"""Opens ONNX files in ONNX Runtime the same way everywhere and runs arrays through them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hwkd.core.errors import ModelFileError
from hwkd.inference.sessions import start_session

if TYPE_CHECKING:
    import onnxruntime as ort

_FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


def open_session(path: Path, *, threads: int = 1) -> ort.InferenceSession:
    """Open a float or QDQ int8 model on the CPU.

    Raises:
        ModelFileError: if the file is missing or ONNX Runtime cannot load it.
    """
    try:
        return start_session(path, threads=threads)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelFileError(f"{path}: ONNX Runtime cannot load it: {first_line}") from error


def predict(session: ort.InferenceSession, x: _FloatArray, *, batch_size: int = 256) -> _FloatArray:
    """Return the first output of every sample, shape [samples, *output_shape].

    Args:
        session: from `open_session`; its first axis is symbolic or 1.
        x: shape [samples, *input_shape], float32.
        batch_size: samples at a time; lowered to 1 when the file fixes the batch to 1.
    """
    return predict_all(session, x, batch_size=batch_size)[0]


def predict_all(
    session: ort.InferenceSession, x: _FloatArray, *, batch_size: int = 256
) -> tuple[_FloatArray, ...]:
    """Return every output of every sample; see `predict`."""
    argument = session.get_inputs()[0]
    if isinstance(argument.shape[0], int):
        batch_size = argument.shape[0]
    parts = [
        session.run(None, {argument.name: x[start : start + batch_size]})
        for start in range(0, len(x), batch_size)
    ]
    return tuple(np.concatenate(output) for output in zip(*parts, strict=True))
