"""ONNX files as teachers of pictures and maps: what they answer, and what they show inside."""

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from support.drawn import write_drawn

from hwkd.core.errors import ConfigError, TeacherError
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.progress import silent
from hwkd.core.signals import Batch, Signal
from hwkd.deploy.student_facts import METADATA_KEY
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.spec import parse_methods
from hwkd.engine.distill.own_model import OwnModel
from hwkd.engine.setup.config import SearchConfig, TeacherConfig
from hwkd.engine.setup.loaded_set import teacher_source
from hwkd.engine.setup.read_teacher import read_inside
from hwkd.engine.setup.teacher import open_teachers
from hwkd.engine.setup.transfer import transfer_set
from hwkd.io.discovery import output_kind
from hwkd.nn.build import build_module
from hwkd.tasks.draw import DrawTask

CPU = torch.device("cpu")
METHODS = parse_methods(["gan_compression"])


@pytest.fixture
def data(tmp_path):
    return DrawTask().data(write_drawn(tmp_path / "drawn", examples=24))


@pytest.fixture
def module(data):
    builder = LayersBuilder(data.input_shape)
    fine = builder.conv(builder.image, "fine", 4, kernel=3, activation="relu")
    coarse = builder.conv(fine, "coarse", 8, kernel=3, stride=2, activation="relu")
    builder.conv(builder.upsample(coarse, "up", factor=(2, 2)), "levels", 1, norm=False)
    module = build_module(builder.build(), seed=0)
    module(torch.tensor(data.train.inputs))  # statistics of its own
    return module.eval()


@pytest.fixture
def path(module, tmp_path):
    export_onnx(module, module.layers, tmp_path / "big.onnx")
    return tmp_path / "big.onnx"


def say(path, data, mean, std):
    """Let a file say of itself what those of hwkd's students do."""
    model = onnx.load(path)
    answer = {"kind": "pictures", "labels": ["grey"], "mean": [mean], "std": [std]}
    said = {"preprocessing": data.pipeline.record().model_dump(mode="json"),
            "data": {"task": "draw"}, "answer": answer}  # fmt: skip
    helper.set_model_props(model, {METADATA_KEY: json.dumps(said)})
    onnx.save(model, path)


def opened(path, data):
    config = SearchConfig(device="host", task="draw", teacher=TeacherConfig(sources=(str(path),)))
    return open_teachers(config, data, device=CPU, progress=silent)


def test_a_file_of_nobodys_answers_in_levels_and_a_students_in_its_own_deviations(
    path, module, data
):
    with torch.no_grad():
        answers = module(torch.tensor(data.validation.inputs)).numpy()
    head, stranger = data.head, opened(path, data)
    expected = (answers - head.answer_mean[0]) / head.answer_std[0]
    np.testing.assert_allclose(stranger.logits(data.validation.inputs), expected, atol=1e-4)
    say(path, data, head.answer_mean[0], head.answer_std[0])
    own = opened(path, data)
    np.testing.assert_allclose(own.logits(data.validation.inputs), answers, atol=1e-4)
    assert own.identity != stranger.identity  # whose answers a cache has
    say(path, data, 100.0, 50.0)  # of other data
    levels = answers * 50.0 + 100.0
    expected = (levels - head.answer_mean[0]) / head.answer_std[0]
    np.testing.assert_allclose(
        opened(path, data).logits(data.validation.inputs), expected, atol=1e-4
    )


def test_a_file_whose_layers_are_read_shows_features_and_is_asked_for_pictures_once(
    path, module, data
):
    teacher = opened(path, data)
    source = teacher_source(teacher, transfer_set(data), METHODS, device=CPU)
    inputs = torch.tensor(data.train.inputs[:6])
    source.narrow({Signal.FEATURES: 2}, with_logits=True)
    batch = Batch(
        inputs=inputs, labels=torch.tensor(data.train.labels[:6]), sample_ids=torch.arange(6),
        positions=torch.arange(256).view(1, 16, 16).flip(-1).expand(6, -1, -1),
    )  # fmt: skip
    views = source.views(batch)
    with torch.no_grad():
        _, values = module.forward_taps(inputs, ["fine"])
    assert [tuple(maps.shape[1:]) for maps in views.features] == [(4, 16, 16), (8, 16, 16)]
    torch.testing.assert_close(views.features[0], values["fine"], atol=1e-4, rtol=1e-3)
    # Half precision, and mirrored as the batch says that its pictures were.
    expected = teacher.logits(inputs.numpy())[..., ::-1]
    np.testing.assert_allclose(views.logits.numpy(), expected, atol=2e-3, rtol=1e-3)


def test_a_file_whose_layers_are_not_read_teaches_by_its_answers_alone(path, data):
    model = onnx.load(path)
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if each == name else each for each in node.output]
    model.graph.node.append(helper.make_node("Sin", ["before"], [name]))
    onnx.save(model, path)
    teacher = opened(path, data)
    assert teacher.logits(data.validation.inputs).shape == data.validation.labels.shape
    with pytest.raises(TeacherError, match=r"big.onnx: shows logits only, as its layers .*Sin"):
        read_inside(teacher, data.train.inputs[:4])


def test_a_model_begins_with_answers_in_deviations_of_the_data(path, module, data):
    inputs, head = torch.tensor(data.validation.inputs), data.head
    with torch.no_grad():
        answers = module(inputs).numpy()
    for units, levels in (((), answers), ((100.0, 50.0), answers * 50.0 + 100.0)):
        if units:
            say(path, data, *units)
        model = OwnModel.read(path).answering_as(head)
        student = build_module(model.layers, seed=0)
        model.fill(student, data.train.inputs)
        with torch.no_grad():
            begun = student.eval()(inputs).numpy()
        expected = (levels - head.answer_mean[0]) / head.answer_std[0]
        np.testing.assert_allclose(begun, expected, atol=1e-4)


def test_a_map_is_a_model_for_maps_and_not_for_one_answer(path):
    model = OwnModel.read(path)
    model.require_answers(output_kind("pictures"), where="--student big.onnx")
    with pytest.raises(ConfigError, match=r"output of shape \(1, 16, 16\); the data has classes"):
        model.require_answers(output_kind("classes"), where="--student big.onnx")
