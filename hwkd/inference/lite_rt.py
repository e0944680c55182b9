"""Runs .tflite files of anybody in LiteRT, which is in the extra `hwkd[tflite]`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import ConfigError, ModelFileError, first_line

_MARK = b"TFL3"  # of the format, after the offset of the root
# Fields of a model and of what is in it, by their place in the schema.
_BUFFERS, _METADATA = 4, 6
_NAME, _BUFFER, _DATA = 0, 1, 0


def is_tflite(content: bytes) -> bool:
    """Tell whether bytes say of themselves that they are a .tflite file."""
    return content[4:8] == _MARK


class LiteRtModel:
    """A network with one input, computed by LiteRT's kernels on one thread.

    Attributes:
        input_shape: without batch, as the file orders the axes: pictures have channels last.
    """

    def __init__(self, content: bytes, *, name: str) -> None:
        """Open a file.

        Raises:
            ConfigError: if LiteRT is not installed.
            ModelFileError: if the file is damaged, or takes more than one input.
        """
        if find_spec("ai_edge_litert") is None:
            raise ConfigError(f'{name}: a .tflite file needs `pip install "hwkd[tflite]"`')
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._name, self._content = name, content
        try:
            self._interpreter = Interpreter(
                model_content=content,
                num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._interpreter.allocate_tensors()
            sources = self._interpreter.get_input_details()
            targets = self._interpreter.get_output_details()
        except (RuntimeError, ValueError) as error:
            raise ModelFileError(f"{name}: LiteRT cannot load it: {first_line(error)}") from error
        if len(sources) != 1 or not targets:
            raise ModelFileError(f"{name}: has {len(sources)} inputs; expected one, and an output")
        self._source, self._target = sources[0], targets[0]
        self.input_shape = tuple(int(size) for size in self._source["shape"][1:])

    def metadata(self) -> dict[str, str]:
        """Return texts that the file holds besides the network, by name."""
        from flatbuffers.table import Table

        # LiteRT has checked every offset of the file.
        content = self._content
        root = Table(content, int.from_bytes(content[:4], "little"))
        buffers = list(_tables(root, _BUFFERS))
        found = {}
        for entry in _tables(root, _METADATA):
            at = entry.Offset(4 + 2 * _BUFFER)
            place = entry.Pos + at
            number = int.from_bytes(content[place : place + 4], "little") if at else 0
            data = buffers[number].Offset(4 + 2 * _DATA) if number < len(buffers) else 0
            name = entry.Offset(4 + 2 * _NAME)
            if data and name:
                start, length = buffers[number].Vector(data), buffers[number].VectorLen(data)
                text = content[start : start + length].decode("utf-8", "replace")
                found[entry.String(entry.Pos + name).decode("utf-8", "replace")] = text
        return found

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the first output of every sample as real numbers, shape [samples, ...].

        Args:
            inputs: real numbers, shape [samples, *input_shape]; rounded to the steps of a file that
                takes integers.

        Raises:
            ModelFileError: if LiteRT cannot run the file on them.
        """
        outputs = []
        try:
            for sample in _quantised(inputs, self._source):
                self._interpreter.set_tensor(self._source["index"], sample[np.newaxis])
                self._interpreter.invoke()
                outputs.append(self._interpreter.get_tensor(self._target["index"])[0])
        except (RuntimeError, ValueError, IndexError) as error:
            raise ModelFileError(f"{self._name}: LiteRT: {first_line(error)}") from error
        return _real(np.stack(outputs), self._target)


def _tables(parent: Any, field: int) -> Iterator[Any]:
    """Yield the tables of a vector of them."""
    from flatbuffers.table import Table

    at = parent.Offset(4 + 2 * field)
    if at:
        start = parent.Vector(at)
        for number in range(parent.VectorLen(at)):
            yield Table(parent.Bytes, parent.Indirect(start + 4 * number))


def _quantised(values: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(detail["dtype"])
    scale, zero = detail["quantization"]
    if dtype.kind == "f":
        return values.astype(dtype)
    ends = np.iinfo(dtype)
    steps = np.rint(values / scale) + zero if scale else np.rint(values)
    return steps.clip(ends.min, ends.max).astype(dtype)


def _real(steps: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.float32]:
    scale, zero = detail["quantization"]
    if not scale:
        return steps.astype(np.float32)
    return (np.float32(scale) * (steps.astype(np.float32) - np.float32(zero))).astype(np.float32)
