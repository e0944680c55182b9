"""Opens an ONNX file and holds it to what everything after it takes for granted.

The one door of foreign model files: text that is text, tensors written once, attributes with a
value, an opset that onnx knows, no control flow; an `If` that the file itself decides is its
branch. Whatever passes can be read without looking back.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

from hwkd.core.errors import ModelFileError
from hwkd.trace.node_label import node_label
from hwkd.trace.onnx_fixed import take_branches
from hwkd.trace.onnx_functions import without_functions

STANDARD_DOMAINS = ("", "ai.onnx")
# Protobuf cannot hold more; and a graph of more operators is no network for a small device.
_MOST_FILE_BYTES = 2**31
_MOST_NODES = 10_000
# Nobody reads these: a comment in another encoding is no reason to refuse a network.
_UNREAD_TEXT = frozenset({"doc_string", "producer_name", "producer_version", "metadata_props"})
_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def open_model(path: Path) -> ModelProto:
    """Parse a file and check it.

    Raises:
        ModelFileError: if it cannot be read, is damaged, or runs other operators from one
            inference to the next.
    """
    return checked_model(parse_model(path), str(path))


def checked_model(model: ModelProto, where: str) -> ModelProto:
    """Hold a parsed file to what everything after it takes for granted.

    Args:
        model: changed in place where an `If` becomes its branch; without functions it is the one
            that is returned.
        where: names the file in messages.

    Raises:
        ModelFileError: if it is damaged, or runs other operators from one inference to the next.
    """
    _check_text(model, where)
    model = without_functions(model, where, most_nodes=_MOST_NODES)
    take_branches(model)
    _check_written_once(model.graph, where)
    for node in model.graph.node:
        _check_attributes(node, where)
    return model


def opset_of(model: ModelProto, where: str) -> int:
    """Return the version of the standard operators.

    Raises:
        ModelFileError: if there is none or it is newer than the installed onnx.
    """
    opsets = [item.version for item in model.opset_import if item.domain in STANDARD_DOMAINS]
    newest = onnx.defs.onnx_opset_version()
    if not opsets or not 1 <= opsets[0] <= newest:
        given = opsets[0] if opsets else "no opset"
        raise ModelFileError(
            f"{where}: has {given} of the standard operators; expected an opset up to {newest}: "
            "export it for an older opset or update onnx"
        )
    return int(opsets[0])


def stored_tensors(model: ModelProto, where: str) -> list[TensorProto]:
    """Return initializers and the values of Constant nodes, under the names that nodes read.

    Raises:
        ModelFileError: if one is sparse or no number.
    """
    if model.graph.sparse_initializer:
        raise ModelFileError(f"{where}: has sparse weights; export it with dense ones")
    tensors = list(model.graph.initializer)
    constants = (node for node in model.graph.node if node.op_type == "Constant")
    return [*tensors, *(_constant_value(node, where) for node in constants)]


def parse_model(path: Path) -> ModelProto:
    """Parse a file that `checked_model` is to look at.

    Raises:
        ModelFileError: if it cannot be read, or is no ONNX file of a network.
    """
    try:
        size = path.stat().st_size
        if size >= _MOST_FILE_BYTES:
            raise ModelFileError(f"{path}: {size:,} bytes; an ONNX file holds less than 2 GiB")
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror}; give an ONNX file") from error
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise ModelFileError(
            f"{path}: not a complete ONNX file ({size:,} bytes); it was cut or is of another "
            "format, export it again"
        ) from None
    if not model.graph.node:
        raise ModelFileError(f"{path}: holds no operators; it was cut or is no ONNX file")
    if len(model.graph.node) > _MOST_NODES:
        raise ModelFileError(
            f"{path}: {len(model.graph.node):,} operators; hwkd reads up to {_MOST_NODES:,}"
        )
    return model


def _check_text(model: ModelProto, where: str) -> None:
    """Refuse names that are not UTF-8: protobuf hands them out as bytes or raises later."""
    waiting: list[Message] = [model]
    while waiting:
        message = waiting.pop()
        for field in message.DESCRIPTOR.fields:
            if field.name in _UNREAD_TEXT:
                continue
            is_text = field.type == FieldDescriptor.TYPE_STRING
            if not is_text and field.type != FieldDescriptor.TYPE_MESSAGE:
                continue
            try:
                held = getattr(message, field.name)
                values = held if field.is_repeated else [held]
                if is_text and not all(isinstance(value, str) for value in values):
                    raise UnicodeError
            except UnicodeError:
                raise ModelFileError(
                    f"{where}: holds names that are not text; the file is damaged, export it again"
                ) from None
            if not is_text and (field.is_repeated or message.HasField(field.name)):
                waiting.extend(values)


def _check_written_once(graph: onnx.GraphProto, where: str) -> None:
    """Refuse a tensor that two sources write: which value a reader gets would be a guess."""
    sources = [value.name for value in graph.input]
    inputs = set(sources)
    # Before IR version 4 weights are listed as inputs too.
    sources += [item.name for item in graph.initializer if item.name not in inputs]
    sources += [name for node in graph.node for name in node.output if name]
    seen: set[str] = set()
    for name in sources:
        if name in seen:
            raise ModelFileError(
                f"{where}: tensor {name!r} is written twice; the file is damaged, export it again"
            )
        seen.add(name)
    stored = [item.name for item in graph.initializer]
    if len(set(stored)) < len(stored):
        twice = next(name for name in stored if stored.count(name) > 1)
        raise ModelFileError(
            f"{where}: weight {twice!r} is stored twice; the file is damaged, export it again"
        )


def _check_attributes(node: NodeProto, where: str) -> None:
    what = f"{where}: node {node_label(node)} ({node.op_type})"
    for attribute in node.attribute:
        if attribute.type in _GRAPHS:
            raise ModelFileError(
                f"{what} holds graphs of its own, of which it chooses or repeats one by values "
                "that are known only while the network runs; costs are of a fixed sequence of "
                "operators: export the model without control flow"
            )
        if attribute.ref_attr_name:
            raise ModelFileError(
                f"{what} takes {attribute.name!r} from a function around it, and there is none; "
                "the file is damaged, export it again"
            )
        try:
            onnx.helper.get_attribute_value(attribute)
        except ValueError:
            raise ModelFileError(
                f"{what} has the attribute {attribute.name!r} without a value; the file is "
                "damaged, export it again"
            ) from None


def _constant_value(node: NodeProto, where: str) -> TensorProto:
    attributes = {item.name: item for item in node.attribute}
    tensor = TensorProto()
    if "value" in attributes:
        tensor.CopyFrom(attributes["value"].t)
    elif "value_int" in attributes:
        tensor = onnx.helper.make_tensor("", TensorProto.INT64, [], [attributes["value_int"].i])
    elif "value_ints" in attributes:
        values = attributes["value_ints"].ints
        tensor = onnx.helper.make_tensor("", TensorProto.INT64, [len(values)], values)
    elif "value_float" in attributes:
        tensor = onnx.helper.make_tensor("", TensorProto.FLOAT, [], [attributes["value_float"].f])
    elif "value_floats" in attributes:
        values = attributes["value_floats"].floats
        tensor = onnx.helper.make_tensor("", TensorProto.FLOAT, [len(values)], values)
    if not tensor.data_type or len(node.output) != 1:
        raise ModelFileError(
            f"{where}: Constant node {node_label(node)} holds no dense number; expected a value"
        )
    tensor.name = node.output[0]
    return tensor
