"""Takes weights that lie in files beside an ONNX file into it, and functions to their calls."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto, TensorProto, numpy_helper

from hwkd.core.errors import ModelFileError
from hwkd.trace.onnx_model import checked_model, parse_model
from hwkd.trace.onnx_tensors import read_constants


def whole_file(path: Path) -> bytes:
    """Return the file with everything that it is made of; its own bytes where that is all in it.

    It has the operators that are read from it, and no functions around them.

    Raises:
        ModelFileError: if it cannot be read, or its weights cannot.
    """
    parsed = parse_model(path)
    model = checked_model(parsed, str(path))
    if take_in_weights(model, path) or parsed.functions:
        return bytes(model.SerializeToString(deterministic=True))
    return path.read_bytes()


def take_in_weights(model: ModelProto, path: Path) -> bool:
    """Put the numbers of other files in place of their names; returns whether there were any.

    Args:
        model: changed in place.
        path: of its file; data beside it is read, no other.

    Raises:
        ModelFileError: if a tensor lies elsewhere or its file is too short.
    """
    tensors = [
        *model.graph.initializer,
        *(item.t for node in model.graph.node for item in node.attribute if item.HasField("t")),
    ]
    outside = [tensor for tensor in tensors if tensor.data_location == TensorProto.EXTERNAL]
    for tensor in outside:
        (stored,) = read_constants([tensor], path).values()
        try:
            tensor.CopyFrom(numpy_helper.from_array(stored.values(), tensor.name))
        except (OSError, ValueError, TypeError) as error:
            raise ModelFileError(
                f"{path}: weight {tensor.name!r} cannot be read ({error}); export it again"
            ) from error
    return bool(outside)
