"""Small data and ONNX teachers that fit it."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from hwkd.tasks.base import TaskData
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.train.teacher import Teacher
from hwkd.train.teacher_module import ModuleTeacher

CPU = torch.device("cpu")
WEIGHT = np.random.default_rng(7).normal(size=(12, 3)).astype(np.float32)


def make_data(count=120) -> TaskData:
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 3
    inputs = generator.normal(size=(count, 1, 4, 3)).astype(np.float32)
    inputs[np.arange(count), 0, labels] += 4.0
    train = RawSplit(inputs=inputs, labels=labels)
    raw = RawData(source="made", class_names=("a", "b", "c"), train=train)
    return prepare(raw, ClassesHead(names=raw.class_names), task="made", split_seed=0)


def write_onnx(path, *, batch="batch", shape=(1, 4, 3), classes=3, softmax=False):
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["z" if softmax else "y"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["z"], ["y"]))
    weight = np.resize(WEIGHT, (int(np.prod(shape)), classes))
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, classes])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def module_of(teacher: Teacher) -> nn.Module:
    assert isinstance(teacher, ModuleTeacher)
    return teacher.module
