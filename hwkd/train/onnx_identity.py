"""What an ONNX teacher is made of: its file and every side file that holds some of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError

from hwkd.core.errors import TeacherError, first_line

_CHUNK_BYTES = 1 << 20


class OnnxParts:
    """The files of one network; torch's exporter writes weights beside the file by default.

    Attributes:
        files: the ONNX file, then its side files by name.
    """

    def __init__(self, path: Path) -> None:
        """Find the files.

        Raises:
            TeacherError: if it is no ONNX file, or a side file is missing or outside its folder.
        """
        names = _side_names(path)
        self.files = (path, *(path.parent / name for name in names))
        self.names = (path.name, *names)
        for name, file in zip(names, self.files[1:], strict=True):
            if not file.is_file():
                raise TeacherError(
                    f"--teacher {path}: some of its weights are in {name}, which is not beside "
                    "it; copy that file there or export the teacher into one file"
                )
        self.total_bytes = sum(file.stat().st_size for file in self.files)


def onnx_identity(parts: OnnxParts) -> str:
    """Return a SHA-256 over the bytes of all files, 64 hex digits.

    For a single file it is the file's own SHA-256, as `sha256sum` prints it.
    """
    main, *sides = parts.files
    digest = _file_digest(main)
    if not sides:
        return digest
    named = zip(parts.names[1:], sides, strict=True)
    lines = [digest, *(f"{name} {_file_digest(file)}" for name, file in named)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _file_digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _side_names(path: Path) -> tuple[str, ...]:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
        names = {_location(tensor, path) for tensor in _external(model)}
    except (OSError, DecodeError, UnicodeDecodeError) as error:
        raise TeacherError(
            f"--teacher {path}: not a model that ONNX Runtime opens: {first_line(error)}; it was "
            "cut or is of another format, export it again"
        ) from None
    return tuple(sorted(names))


def _external(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    tensors = list(_tensors_of_graph(model.graph))
    for function in model.functions:
        tensors += _tensors_of_nodes(function.node)
    return (tensor for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL)


def _tensors_of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _tensors_of_sparse(graph.sparse_initializer)
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            yield from _tensors_of_sparse([attribute.sparse_tensor, *attribute.sparse_tensors])
            for graph in (attribute.g, *attribute.graphs):
                yield from _tensors_of_graph(graph)


def _tensors_of_sparse(
    sparse: Iterable[onnx.SparseTensorProto],
) -> Iterator[onnx.TensorProto]:
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _location(tensor: onnx.TensorProto, path: Path) -> str:
    name = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    place = PurePosixPath(name)
    if not name or place.is_absolute() or ".." in place.parts:
        raise TeacherError(
            f"--teacher {path}: tensor {tensor.name!r} has its data at {name!r}; expected a file "
            "in the teacher's folder; export it again"
        )
    return name
