import hashlib
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.teachers import CPU, WEIGHT, make_data, module_of, write_onnx
from torch import nn

from hwkd.core.errors import TeacherError
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.teacher import as_outputs, require_knowledge
from hwkd.train.teacher_open import open_teacher
from hwkd.train.weights_file import tensors_digest


@pytest.mark.parametrize("batch", ["batch", 1, 7])
def test_onnx_logits_do_not_depend_on_the_batch_that_the_file_fixes(tmp_path, batch):
    data = make_data()
    teacher = open_teacher(str(write_onnx(tmp_path / "t.onnx", batch=batch)), data, device=CPU)
    inputs = data.validation.inputs
    expected = inputs.reshape(len(inputs), 12) @ WEIGHT
    np.testing.assert_allclose(teacher.logits(inputs), expected, rtol=1e-5, atol=1e-5)
    assert teacher.logits(inputs[:0]).shape == (0, 3)
    assert teacher.identity == hashlib.sha256((tmp_path / "t.onnx").read_bytes()).hexdigest()


def test_probabilities_become_logits(tmp_path):
    data = make_data()
    plain = open_teacher(str(write_onnx(tmp_path / "a.onnx")), data, device=CPU)
    soft = open_teacher(str(write_onnx(tmp_path / "b.onnx", softmax=True)), data, device=CPU)
    inputs = data.validation.inputs[:1] * 0.1
    difference = plain.logits(inputs) - soft.logits(inputs)
    np.testing.assert_allclose(difference, difference[:, :1].repeat(3, axis=1), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"classes": 5}, "has 5 outputs; the data has 3 classes"),
        ({"shape": (3, 4, 3)}, r"takes inputs of shape \('batch', 3, 4, 3\); the data has"),
        ({"shape": (12,)}, "export it for this shape"),
    ],
)
def test_an_onnx_teacher_of_another_shape_is_refused(tmp_path, options, match):
    path = write_onnx(tmp_path / "t.onnx", **options)
    with pytest.raises(TeacherError, match=match):
        open_teacher(str(path), make_data(), device=CPU)


def test_an_onnx_teacher_that_is_missing_or_damaged_is_refused(tmp_path):
    with pytest.raises(TeacherError, match="no such file"):
        open_teacher(str(tmp_path / "none.onnx"), make_data(), device=CPU)
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(TeacherError, match="not a model that ONNX Runtime opens"):
        open_teacher(str(tmp_path / "bad.onnx"), make_data(), device=CPU)


MY_TEACHER = """
import torch
from torch import nn

def linear():
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.Linear(12, 3))

def wide():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4))

def mistaken():
    return nn.Linear(5, 3)

def nothing():
    return 3

def failing():
    raise OSError("no disk")

class Pair(nn.Module):
    def forward(self, x):
        return x, x

pair = Pair

class Picky(nn.Module):
    def forward(self, x):
        assert x.max() <= 1, "expected inputs from 0 to 1"

picky = Picky
"""


@pytest.fixture
def my_teacher(tmp_path, monkeypatch):
    (tmp_path / "my_teacher_module.py").write_text(MY_TEACHER)
    monkeypatch.chdir(tmp_path)
    yield "my_teacher_module"
    sys.modules.pop("my_teacher_module", None)


def test_a_factory_in_the_working_folder_runs_in_evaluation_mode(my_teacher):
    data = make_data()
    teacher = open_teacher(f"{my_teacher}:linear", data, device=CPU)
    inputs = data.validation.inputs
    first = teacher.logits(inputs)
    np.testing.assert_array_equal(first, teacher.logits(inputs))
    assert not module_of(teacher).training
    assert not any(parameter.requires_grad for parameter in module_of(teacher).parameters())
    np.testing.assert_allclose(teacher.logits(inputs[:1]), first[:1], rtol=1e-4, atol=1e-5)


def test_weights_change_the_outputs_and_the_identity(my_teacher, tmp_path):
    data = make_data()
    plain = open_teacher(f"{my_teacher}:linear", data, device=CPU)
    state = {name: tensor * 2 for name, tensor in module_of(plain).state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    loaded = open_teacher(
        f"{my_teacher}:linear", data, weights=tmp_path / "w.safetensors", device=CPU
    )
    assert loaded.identity != plain.identity
    assert tensors_digest(module_of(loaded).state_dict()) != tensors_digest(
        module_of(plain).state_dict()
    )
    again = open_teacher(f"{my_teacher}:linear", data, device=CPU)
    assert again.identity == plain.identity


@pytest.mark.parametrize(
    ("reference", "match"),
    [
        ("no_such_module_here:f", "ModuleNotFoundError.*function without arguments"),
        ("my_teacher_module:missing", "AttributeError"),
        ("my_teacher_module:failing", "OSError: no disk"),
        ("my_teacher_module:nothing", "returned int; expected a torch module"),
        (
            "my_teacher_module",
            r"no such file or folder; give model\.onnx, .* or package\.module:factory",
        ),
    ],
)
def test_a_factory_that_gives_no_module_is_refused(my_teacher, reference, match):
    with pytest.raises(TeacherError, match=match):
        open_teacher(reference, make_data(), device=CPU)


@pytest.mark.parametrize(
    ("factory", "match"),
    [
        ("wide", r"outputs have shape \(2, 4\); the data has 3 classes"),
        ("mistaken", r"fails on inputs of shape \(2, 1, 4, 3\)"),
        ("pair", "returns tuple; expected one tensor of logits"),
        ("picky", r"fails on inputs of shape \(2, 1, 4, 3\): expected inputs from 0 to 1"),
    ],
)
def test_a_module_that_does_not_fit_the_data_is_refused(my_teacher, factory, match):
    data = make_data()
    teacher = open_teacher(f"{my_teacher}:{factory}", data, device=CPU)
    with pytest.raises(TeacherError, match=match):
        teacher.logits(data.validation.inputs[:2])


def test_weights_that_do_not_match_are_named(my_teacher, tmp_path):
    data = make_data()
    reference, weights = f"{my_teacher}:wide", tmp_path / "w.safetensors"
    save_file({"1.weight": torch.zeros(2, 12), "extra": torch.zeros(1)}, weights)
    with pytest.raises(
        TeacherError, match=r"missing 1\.bias; unexpected extra; 1\.weight has shape \(2, 12\)"
    ):
        open_teacher(reference, data, weights=weights, device=CPU)
    weights.write_bytes(b"\x80\x04pickle")
    with pytest.raises(TeacherError, match="not a readable safetensors file"):
        open_teacher(reference, data, weights=weights, device=CPU)
    with pytest.raises(TeacherError, match="no such file"):
        open_teacher(reference, data, weights=tmp_path / "none", device=CPU)
    with pytest.raises(TeacherError, match="goes with --teacher package"):
        open_teacher(None, data, weights=weights, device=CPU)


class Fixed:
    name = "fixed"


def test_a_teacher_at_chance_level_stops_and_a_useful_one_passes():
    data = make_data(600)
    labels = data.validation.labels
    constant = np.zeros((len(labels), 3), dtype=np.float32)
    with pytest.raises(
        TeacherError, match=r"teacher fixed: .* 0\.333 on validation is at chance level"
    ):
        require_knowledge(Fixed(), data, validation_outputs=constant)
    right = np.eye(3, dtype=np.float32)[labels]
    require_knowledge(Fixed(), data, validation_outputs=right)
    random = np.random.default_rng(0).normal(size=right.shape).astype(np.float32)
    with pytest.raises(TeacherError, match="chance level"):
        require_knowledge(Fixed(), data, validation_outputs=random)
    turned = np.roll(right, 1, axis=1)
    with pytest.raises(TeacherError, match=r"below chance .*; is the order of its classes that of"):
        require_knowledge(Fixed(), data, validation_outputs=turned)


def test_outputs_that_are_not_finite_are_refused():
    with pytest.raises(TeacherError, match="NaN or infinite"):
        as_outputs(np.full((2, 3), np.nan), ClassesHead.numbered(3), examples=2, teacher="t")


def test_modules_with_equal_tensors_under_other_names_differ():
    first, second = nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    second[0].load_state_dict(first[1].state_dict())
    assert tensors_digest(first.state_dict()) != tensors_digest(second.state_dict())
