"""Teachers of other class sets: outputs are matched by name, and what a teacher lacks is masked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import nn

from hwkd.core.catalog import METHODS
from hwkd.core.errors import ConfigError, TeacherError
from hwkd.core.reading import Reading
from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.teacher_classes import teacher_classes
from hwkd.engine.setup.open_member import known_part
from hwkd.io.discovery import discover
from hwkd.tasks.base import TaskData
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.classification import ClassifyTask
from hwkd.train.teacher_matched import MatchedTeacher, answers_of, match_classes
from hwkd.train.teacher_module import ModuleTeacher

CPU = torch.device("cpu")
discover("hwkd.distill.losses")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TaskData:
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 4
    inputs = generator.normal(size=(200, 1, 4, 4)).astype(np.float32)
    inputs[np.arange(200), 0, 0, labels] += 4
    path = tmp_path_factory.mktemp("matched") / "data.npz"
    np.savez(path, x_train=inputs, y_train=labels, class_names=np.array(["a", "b", "c", "d"]))
    return ClassifyTask().data(path, Reading(layout="nchw"))


class _Reads(nn.Module):
    """Answers with the places that hold the classes, in an order of its own."""

    def __init__(self, places: list[int]) -> None:
        super().__init__()
        self.places = places

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs[:, 0].flatten(1)[:, self.places]


def _teacher(data: TaskData, names: str, *, asks_outputs: bool = True) -> MatchedTeacher:
    """Return one that knows classes a to d by their places, and says noise of all others."""
    theirs = list(names)
    places = ["abcd".find(name) if name in "abcd" else 10 for name in theirs]
    network = ModuleTeacher(
        kind="factory", name=names, content=names, description=names, device=CPU,
        head=ClassesHead(names=tuple(theirs)), module=_Reads(places),
    )  # fmt: skip
    return match_classes(network, theirs, data, asks_outputs=asks_outputs)


def _places(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return inputs[:, 0].reshape(len(inputs), -1)[:, :4]


def test_a_teacher_of_more_classes_in_another_order_answers_by_their_names(data):
    teacher = _teacher(data, "xdbyac")
    assert teacher.known is None
    found = softmax(teacher.logits(data.train.inputs), axis=1)
    np.testing.assert_allclose(found, softmax(_places(data.train.inputs), axis=1), rtol=1e-5)
    assert "knows 4 of 4 classes (a, b, c, d)" in teacher.description


def test_a_teacher_of_some_classes_is_masked_and_labels_speak_for_the_others(data):
    teacher = _teacher(data, "cza")
    found = softmax(teacher.logits(data.train.inputs), axis=1)
    labels, places = data.train.labels, _places(data.train.inputs)
    knows = np.isin(labels, [0, 2])
    np.testing.assert_allclose(
        found[knows][:, [0, 2]], softmax(places[knows][:, [0, 2]], axis=1), rtol=1e-5
    )
    assert np.all(found[knows][:, [1, 3]] == 0)
    np.testing.assert_array_equal(found[~knows], np.eye(4)[labels[~knows]])


def test_what_a_teacher_says_of_validation_does_not_look_at_labels(data):
    teacher = _teacher(data, "ca")
    found = teacher.logits(data.validation.inputs)
    assert set(found.argmax(1)) <= {0, 2}
    part, outputs = known_part(teacher, data, found)
    assert part.class_names == ("a", "c")
    assert len(part.validation) == np.isin(data.validation.labels, [0, 2]).sum()
    assert part.scores("validation", outputs)["accuracy"] > 0.9


def test_several_teachers_speak_of_the_classes_that_they_know(data):
    members = [_teacher(data, "ab"), _teacher(data, "bc"), _teacher(data, "abcx")]
    found = softmax(answers_of(members, data.train.inputs, data.head), axis=1)
    places, labels = _places(data.train.inputs), data.train.labels

    def masked(classes: list[int], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        whole = np.zeros((int(rows.sum()), 4))
        whole[:, classes] = softmax(places[rows][:, classes], axis=1)
        return whole

    for label, speakers in ((0, [[0, 1], [0, 1, 2]]), (1, [[0, 1], [1, 2], [0, 1, 2]])):
        rows = labels == label
        wanted = np.mean([masked(classes, rows) for classes in speakers], axis=0)
        np.testing.assert_allclose(found[rows], wanted, atol=1e-5)
    np.testing.assert_array_equal(found[labels == 3], np.eye(4)[labels[labels == 3]])


def test_equal_teachers_together_say_what_one_says(data):
    one = _teacher(data, "ab")
    both = answers_of([one, one], data.train.inputs, data.head)
    np.testing.assert_allclose(
        softmax(both, axis=1), softmax(one.logits(data.train.inputs), axis=1), atol=1e-6
    )


def test_a_teacher_of_one_class_in_common_or_none_is_refused_unless_features_are_asked(data):
    with pytest.raises(TeacherError, match=r"its classes are x, y, those of the data a, b, c, d: "
                       r"it shares no class.*use a method on features, as fitnet"):  # fmt: skip
        _teacher(data, "xy")
    with pytest.raises(TeacherError, match="it shares the class 'b'"):
        _teacher(data, "xb")
    teacher = _teacher(data, "xy", asks_outputs=False)
    np.testing.assert_array_equal(teacher.logits(data.train.inputs).argmax(1), data.train.labels)


def test_inputs_that_are_no_examples_are_refused_where_labels_must_speak(data):
    with pytest.raises(TeacherError, match="leave --copies and --unlabelled out"):
        _teacher(data, "ab").logits(data.train.inputs + 1)
    assert _teacher(data, "abcdx").logits(data.train.inputs[:3] + 1).shape == (3, 4)


def test_what_it_is_depends_on_names_and_labels(data):
    assert _teacher(data, "ab").identity != _teacher(data, "ba").identity
    assert _teacher(data, "ab").identity == _teacher(data, "ab").identity


def _of_logits() -> list[str]:
    methods = [METHODS.get(name)() for name in METHODS]
    return [
        m.name for m in methods
        if m.asks_teacher and m.cacheable and m.needs == {Signal.LOGITS}
        and not m.of_things and m.of_kind is None
    ]  # fmt: skip


@pytest.mark.parametrize("name", _of_logits())
def test_methods_hear_a_teacher_that_rules_classes_out_or_say_that_they_do_not(name):
    """How far out they are changes nothing, and what it says of the others is heard."""
    generator = torch.Generator().manual_seed(0)
    student, teacher, other = (
        torch.randn(32, 6, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    method, ids = METHODS.get(name)(), torch.arange(32)
    batch = Batch(inputs=torch.zeros(32, 1), labels=ids % 4, sample_ids=ids, epoch_ratio=0.5)

    def total(said: torch.Tensor, level: float) -> float:
        masked = torch.cat([5.0 * said[:, :4], torch.full((32, 2), level, dtype=said.dtype)], 1)
        return float(sum(method(Views(logits=student), Views(logits=masked), batch).values()))

    found = total(teacher, -200.0)
    is_alike = bool(np.isclose(found, total(teacher, -400.0), rtol=1e-3))
    is_heard = not np.isclose(found, total(-other, -200.0), rtol=3e-3)
    assert method.compares_raw_logits != (np.isfinite(found) and is_alike and is_heard)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apple", "expected the name of each output in order, two or more"),
        ("apple,,pear", "expected the name of each output"),
        ("apple,pear,apple", "names 'apple' twice"),
    ],
)
def test_lists_of_classes_that_cannot_be_are_refused(text, said):
    with pytest.raises(ConfigError, match=said):
        teacher_classes(text)


def test_a_list_of_classes_is_read_in_order():
    assert teacher_classes("a, b") == ("a", "b")
    assert teacher_classes("same") == ()
