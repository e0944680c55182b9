"""Opens ONNX files in ONNX Runtime the same way everywhere and runs arrays through them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import ModelFileError, first_line
from hwkd.inference.sessions import start_session

if TYPE_CHECKING:
    import onnxruntime as ort

_FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
_DTYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16, "tensor(int32)": np.int32, "tensor(int64)": np.int64,
}  # fmt: skip


def open_session(path: Path, *, threads: int = 1) -> ort.InferenceSession:
    """Open a float or QDQ int8 model on the CPU.

    Raises:
        ModelFileError: if the file is missing or ONNX Runtime cannot load it.
    """
    try:
        return start_session(path, threads=threads)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise ModelFileError(f"{path}: ONNX Runtime cannot load it: {first_line(error)}") from error


def predict(session: ort.InferenceSession, x: _FloatArray, *, batch_size: int = 256) -> _FloatArray:
    """Return the first output of every sample, shape [samples, *output_shape].

    Args:
        session: from `open_session`; it takes one input, batch first.
        x: shape [samples, *input_shape].
        batch_size: samples at a time where the file fixes no batch.

    Raises:
        ModelFileError: if the file takes or gives something else.
    """
    return predict_all(session, x, batch_size=batch_size)[0]


def predict_all(
    session: ort.InferenceSession, x: _FloatArray, *, batch_size: int = 256
) -> tuple[_FloatArray, ...]:
    """Return every output of every sample; see `predict`."""
    sources = session.get_inputs()
    if len(sources) != 1 or sources[0].type not in _DTYPES:
        given = ", ".join(f"{source.name}: {source.type}" for source in sources) or "nothing"
        raise ModelFileError(f"takes {given}; expected one input of numbers")
    (source,) = sources
    shown = _as_type(x, np.dtype(_DTYPES[source.type]))
    fixed = source.shape[0] if source.shape and isinstance(source.shape[0], int) else None
    size = fixed or batch_size
    parts = [
        _run(session, source.name, shown[start : start + size], fixed)
        for start in range(0, len(shown), size)
    ]
    return tuple(np.concatenate(output) for output in zip(*parts, strict=True))


def _as_type(x: _FloatArray, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return inputs of a file's type; integers only where nothing is lost."""
    shown = x.astype(dtype, copy=False)
    if dtype.kind != "f" and not np.array_equal(shown, x):
        raise ModelFileError(f"takes {dtype}, and the values are no whole numbers of that range")
    return shown


def _run(
    session: ort.InferenceSession, name: str, batch: NDArray[Any], fixed: int | None
) -> list[_FloatArray]:
    """Return the outputs of one batch, filled up with its last sample where a file fixes the size.

    Raises:
        ModelFileError: if it cannot be run, or an output is no array of numbers for each sample.
    """
    missing = (fixed or len(batch)) - len(batch)
    filled = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing else batch
    try:
        outputs = session.run(None, {name: filled})
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise ModelFileError(
            f"ONNX Runtime cannot run it on inputs of shape {filled.shape}: {first_line(error)}"
        ) from error
    for at, output in enumerate(outputs):
        is_array = isinstance(output, np.ndarray) and output.dtype.kind in "biuf"
        if not is_array or (len(filled) > 1 and output.shape[:1] != filled.shape[:1]):
            raise ModelFileError(
                f"output {session.get_outputs()[at].name!r} is no array of numbers with a row for "
                "each input; export the model so that it gives its scores alone"
            )
    return [output[: len(batch)] for output in outputs]
