"""A teacher that is an ONNX file of the user's, run by ONNX Runtime."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError, first_line
from hwkd.core.head import Head
from hwkd.inference.sessions import start_session
from hwkd.train.head_teacher import NetworkTeacher
from hwkd.train.onnx_identity import OnnxParts, onnx_identity
from hwkd.train.teacher import as_outputs
from hwkd.train.teacher_input import AS_STUDENTS, SeenInput

_BATCH = 256
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


@dataclass(frozen=True, kw_only=True)
class OnnxTeacher(NetworkTeacher):
    """See `hwkd.train.teacher.Teacher`; made by `load_onnx_teacher`.

    Attributes:
        path: of the file.
        said: name -> text that the file holds about itself.
        deviations: (mean, deviation) of each output, where it answers in deviations from a mean, as
            students of values and of pictures do; None answers in units of the target.
    """

    path: Path
    said: Mapping[str, str] = field(repr=False)
    deviations: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    batch: int
    has_fixed_batch: bool
    session: Any = field(repr=False)
    kind: Literal["onnx"] = "onnx"

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs, of classes before softmax, shape [n, num_outputs], of maps with sides."""
        source = self.session.get_inputs()[0]
        dtype = _DTYPES[source.type]
        parts = []
        for start in range(0, len(inputs), self.batch):
            shown = self.seen.of_array(inputs[start : start + self.batch])
            batch = shown.astype(dtype, copy=False)
            examples = len(batch)
            if self.has_fixed_batch and examples < self.batch:
                batch = np.concatenate(
                    [batch, np.repeat(batch[-1:], self.batch - examples, axis=0)]
                )
            outputs = self._run(source.name, np.ascontiguousarray(batch))
            parts.append(self.outputs_of(outputs[:examples]))
        return np.concatenate(parts or [np.empty((0, self.num_outputs), dtype=np.float32)])

    def outputs_of(self, answers: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the file answers as outputs of the head.

        Raises:
            TeacherError: if the answers have another shape or are not finite.
        """
        if self.deviations is not None:
            mean, deviation = (
                np.array(values).reshape(1, -1, *[1] * (answers.ndim - 2))
                for values in self.deviations
            )
            answers = answers * deviation + mean
        return as_outputs(answers, self.head, examples=len(answers), teacher=self.name)

    def in_deviations(self, mean: tuple[float, ...], deviation: tuple[float, ...]) -> OnnxTeacher:
        """Return the teacher whose answers are deviations from a mean."""
        content = hashlib.sha256(f"{self.content} {mean} {deviation}".encode()).hexdigest()
        return replace(self, deviations=(mean, deviation), content=content)

    def _run(self, input_name: str, batch: NDArray[Any]) -> NDArray[Any]:
        try:
            outputs = self.session.run(None, {input_name: batch})[0]
        except Exception as error:  # ONNX Runtime's exceptions share no narrower public base.
            raise TeacherError(
                f"teacher {self.name}: ONNX Runtime cannot run it on inputs of shape "
                f"{batch.shape}: {first_line(error)}"
            ) from error
        array: NDArray[Any] = np.asarray(outputs)
        return array if self.head.kind.of_maps else array.reshape(len(array), -1)


def load_onnx_teacher(
    path: Path,
    *,
    input_shape: tuple[int, ...],
    head: Head,
    seen: SeenInput = AS_STUDENTS,
    accelerator: str = "cpu",
) -> OnnxTeacher:
    """Open an ONNX file as a teacher.

    Args:
        path: of the file; it takes one input, float, batch first.
        input_shape: of the data, without batch.
        head: what outputs for the data mean.
        seen: what it expects; its channels are last where its shape fits no other order.
        accelerator: "cuda" runs it there where ONNX Runtime can; else the processor does.

    Raises:
        TeacherError: if it cannot be opened or its input or output does not match the data.
    """
    if not path.is_file():
        raise TeacherError(f"--teacher {path}: no such file; give an ONNX file")
    parts = OnnxParts(path)
    try:
        # What it logs on stderr about a failing run is what its exception says.
        session = start_session(path, threads=0, accelerator=accelerator, says="nothing")
    except Exception as error:  # ONNX Runtime's exceptions share no narrower public base.
        raise TeacherError(
            f"--teacher {path}: not a model that ONNX Runtime opens: {first_line(error)}"
        ) from error
    shape = _only_input(session, path).shape
    if not _fits(shape, seen.shape_of(input_shape)):
        other = seen.with_channels(last=not seen.wanted.channels_last)
        seen = other if _fits(shape, other.shape_of(input_shape)) else seen
    batch = _check_input(session, path, seen.shape_of(input_shape))
    _check_output(session, path, head)
    return OnnxTeacher(
        name=path.name,
        content=onnx_identity(parts),
        description=f"ONNX file {path.name}, {_size(parts)}, run by ONNX Runtime "
        f"{onnxruntime.__version__}",
        head=head,
        seen=seen,
        path=path,
        said=dict(session.get_modelmeta().custom_metadata_map),
        batch=batch or _BATCH,
        has_fixed_batch=batch is not None,
        session=session,
    )


def _size(parts: OnnxParts) -> str:
    sides = len(parts.files) - 1
    return f"{parts.total_bytes:,} bytes" + (f" with {sides} side files" if sides else "")


def _check_input(session: Any, path: Path, input_shape: tuple[int, ...]) -> int | None:
    """Return the batch size that the file fixes, None when it takes any."""
    shape = _only_input(session, path).shape
    if not _fits(shape, input_shape):
        raise TeacherError(
            f"--teacher {path}: takes inputs of shape {tuple(shape)}; the data has "
            f"(batch, {', '.join(map(str, input_shape))}); export it for this shape"
        )
    return shape[0] if isinstance(shape[0], int) else None


def _only_input(session: Any, path: Path) -> Any:
    sources = session.get_inputs()
    if len(sources) != 1 or sources[0].type not in _DTYPES:
        given = ", ".join(f"{source.name}: {source.type}" for source in sources)
        raise TeacherError(f"--teacher {path}: takes ({given}); expected one input of floats")
    return sources[0]


def _fits(shape: Sequence[Any], wanted: tuple[int, ...]) -> bool:
    """Tell whether a file's shape, whose free axes are names, takes inputs of a shape."""
    return len(shape) == len(wanted) + 1 and all(
        not isinstance(have, int) or have == want
        for have, want in zip(shape[1:], wanted, strict=True)
    )


def _check_output(session: Any, path: Path, head: Head) -> None:
    shape = session.get_outputs()[0].shape
    if shape and isinstance(shape[-1], int) and len(shape) == 2 and shape[-1] != head.size:
        raise TeacherError(
            f"--teacher {path}: has {shape[-1]} outputs; the data has {head.size} "
            f"{head.kind.name}; give a teacher of these {head.kind.name}, or name all of its own "
            "with --teacher-classes"
        )
