"""One identity covers everything a teacher is made of, and nothing else."""

import hashlib
import sys
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from support.teachers import CPU, make_data, module_of, write_onnx
from torch import nn

from hwkd.core.errors import TeacherError
from hwkd.train.factory_identity import object_digest
from hwkd.train.teacher_open import open_teacher


def identity(source, **options):
    return open_teacher(str(source), make_data(), device=CPU, **options).identity


def write_with_sides(path, weight, *, sides=("teacher.bin",)):
    """Write flatten and one matrix product whose weights lie in side files."""
    width = 12 // len(sides)
    tensors = []
    for index, name in enumerate(sides):
        tensor = numpy_helper.from_array(weight[index * width : (index + 1) * width], f"w{index}")
        (path.parent / name).write_bytes(tensor.raw_data)
        onnx.external_data_helper.set_external_data(tensor, location=name)
        tensor.ClearField("raw_data")
        tensors.append(tensor)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Concat", [tensor.name for tensor in tensors], ["w"], axis=0),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "teacher",
        [value("x", TensorProto.FLOAT, ["batch", 1, 4, 3])],
        [value("y", TensorProto.FLOAT, ["batch", 3])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def noise(seed):
    return np.random.default_rng(seed).normal(size=(12, 3)).astype(np.float32)


@pytest.mark.parametrize("sides", [("teacher.bin",), ("a.bin", "b.bin")])
def test_weights_in_any_side_file_belong_to_an_onnx_teacher(tmp_path, sides):
    path = write_with_sides(tmp_path / "t.onnx", noise(0), sides=sides)
    before, content = identity(path), path.read_bytes()
    assert identity(path) == before
    last = tmp_path / sides[-1]
    changed = bytearray(last.read_bytes())
    changed[-1] ^= 1
    last.write_bytes(changed)
    assert path.read_bytes() == content
    assert identity(path) != before


def test_exchanged_side_files_are_another_teacher(tmp_path):
    path = write_with_sides(tmp_path / "t.onnx", noise(0), sides=("a.bin", "b.bin"))
    before = identity(path)
    (tmp_path / "a.bin").rename(tmp_path / "c.bin")
    (tmp_path / "b.bin").rename(tmp_path / "a.bin")
    (tmp_path / "c.bin").rename(tmp_path / "b.bin")
    assert identity(path) != before


def test_a_side_file_in_a_branch_counts(tmp_path):
    tensor = numpy_helper.from_array(noise(0), "w")
    (tmp_path / "branch.bin").write_bytes(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, location="branch.bin")
    tensor.ClearField("raw_data")
    info = helper.make_tensor_value_info
    branches = [
        helper.make_graph(
            [helper.make_node("MatMul", ["flat", "w"], [f"z{name}"])],
            name,
            [],
            [info(f"z{name}", TensorProto.FLOAT, ["batch", 3])],
            [tensor],
        )
        for name in ("then", "else")
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node(
                "If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1]
            ),
        ],
        "teacher",
        [info("x", TensorProto.FLOAT, ["batch", 1, 4, 3])],
        [info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(np.array(True), "yes")],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    path = tmp_path / "t.onnx"
    path.write_bytes(model.SerializeToString())
    before = identity(path)
    (tmp_path / "branch.bin").write_bytes(noise(1).tobytes())
    assert identity(path) != before


def test_a_teacher_in_one_file_has_the_digest_of_the_file(tmp_path):
    path = write_onnx(tmp_path / "t.onnx")
    (tmp_path / "t.onnx.data").write_bytes(b"no part of it")
    assert identity(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_missing_side_file_and_one_elsewhere_are_refused(tmp_path):
    path = write_with_sides(tmp_path / "t.onnx", noise(0))
    (tmp_path / "teacher.bin").unlink()
    with pytest.raises(TeacherError, match=r"weights are in teacher\.bin, which is not beside it"):
        identity(path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "../teacher.bin"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(TeacherError, match=r"'\.\./teacher\.bin'; expected a file in the teacher"):
        identity(path)


FACTORY = """
import torch
from torch import nn
from parts.block import Head

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), Head())
"""
BLOCK = """
from torch import nn
from . import scaling

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(12, 3)

    def forward(self, x):
        return scaling.scaled(self.linear(x))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A factory whose network is spread over files, in the working folder."""
    files = {
        "made_teacher.py": FACTORY,
        "parts/__init__.py": "",
        "parts/block.py": BLOCK,
        "parts/scaling.py": "def scaled(x):\n    return x * 2\n",
        "unrelated.py": "",
    }
    (tmp_path / "parts").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    forget_project()


def forget_project():
    for name in [n for n in sys.modules if n.partition(".")[0] in ("made_teacher", "parts")]:
        del sys.modules[name]


def fresh_identity(**options):
    """As a new process would have it."""
    forget_project()
    return identity("made_teacher:make", **options)


@pytest.mark.parametrize("name", ["made_teacher.py", "parts/block.py", "parts/scaling.py"])
def test_an_edit_in_any_file_of_a_factorys_code_is_another_teacher(project, name):
    before = fresh_identity()
    (project / "unrelated.py").write_text("x = 1\n")
    assert fresh_identity() == before
    with (project / name).open("a") as handle:
        handle.write("# another\n")
    assert fresh_identity() != before


def test_code_that_changed_since_it_was_imported_is_refused(project):
    fresh_identity()
    (project / "parts/scaling.py").write_text("def scaled(x):\n    return x * 30\n")
    with pytest.raises(TeacherError, match=r"scaling\.py: changed after this process had imported"):
        identity("made_teacher:make")


def test_weights_from_a_file_are_another_teacher(project):
    forget_project()
    teacher = open_teacher("made_teacher:make", make_data(), device=CPU)
    state = {name: tensor + 1 for name, tensor in module_of(teacher).state_dict().items()}
    save_file(state, project / "w.safetensors")
    before = fresh_identity()
    with_weights = fresh_identity(weights=project / "w.safetensors")
    assert before != with_weights == fresh_identity(weights=project / "w.safetensors")


class Holder(nn.Module):
    """Keeps its numbers where `state_dict` does not look."""

    kept: Any

    def __init__(self, where, value):
        super().__init__()
        tensor = torch.full((2,), float(value))
        if where == "buffer":
            self.register_buffer("kept", tensor, persistent=False)
        elif where == "attribute":
            self.kept = tensor
        elif where == "list":
            layer = nn.Linear(1, 2)
            nn.init.constant_(layer.weight, value)
            nn.init.zeros_(layer.bias)
            self.kept = [layer]
        elif where == "array":
            self.kept = {"scale": (np.float32(value),)}
        elif where == "number":
            self.kept = value
        elif where == "closure":
            self.kept = lambda x: x * tensor


@pytest.mark.parametrize("where", ["buffer", "attribute", "list", "array", "number", "closure"])
def test_every_number_that_a_module_holds_counts(where):
    assert object_digest(Holder(where, 1)) == object_digest(Holder(where, 1))
    assert object_digest(Holder(where, 1)) != object_digest(Holder(where, 2))


def test_a_module_that_holds_itself_has_a_digest():
    module: Any = nn.Module()
    module.itself = [module]
    assert object_digest(module) == object_digest(module)


@pytest.mark.slow
def test_a_deeply_nested_module_has_a_digest():
    module: Any = nn.Module()
    for _ in range(3000):
        outer: Any = nn.Module()
        outer.inner = [module]
        module = outer
    assert len(object_digest(module)) == 64
