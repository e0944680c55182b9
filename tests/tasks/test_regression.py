"""Values instead of classes: the users' files, the head by hand, and what is refused."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from hwkd.core.errors import ConfigError, DataError
from hwkd.core.reading import Reading
from hwkd.distill.checks import refuse_of_classes
from hwkd.distill.losses.logit_mse import LogitMse
from hwkd.distill.losses.soft_targets import SoftTargets
from hwkd.io.discovery import output_kind
from hwkd.tasks.regression import RegressionTask
from hwkd.tasks.values_head import ValuesHead

TASK = RegressionTask()


def write_npz(path, count=60, outputs=0, **changes):
    random = np.random.default_rng(0)
    inputs = random.normal(5.0, 3.0, size=(count, 4)).astype(np.float32)
    targets = inputs @ np.array([1.0, -2.0, 0.5, 0.0]) + 100.0
    if outputs:
        targets = np.stack([targets * (1 + index) for index in range(outputs)], axis=1)
    arrays = {"x_train": inputs, "y_train": targets.astype(np.float32), **changes}
    np.savez(path, **arrays)
    return path


def test_float_targets_of_an_npz_file_are_standardised_by_train_alone(tmp_path):
    data = TASK.data(write_npz(tmp_path / "v.npz"))
    assert data.input_shape == (4, 1)
    assert data.train.labels.shape == (36, 1)
    assert data.train.labels.dtype == np.float32
    assert abs(float(data.train.labels.mean())) < 1e-6
    assert float(data.train.labels.std()) == pytest.approx(1.0, abs=1e-6)
    assert data.class_counts == {}
    answers = data.test.labels * data.head.answer_std + data.head.answer_mean
    with np.load(tmp_path / "v.npz") as raw:
        distance = np.abs(answers - raw["y_train"][np.newaxis, :]).min(axis=1)
    assert distance.max() < 1e-4


def test_several_targets_have_names_and_a_head_each(tmp_path):
    path = write_npz(tmp_path / "v.npz", outputs=2, target_names=np.array(["left", "right"]))
    data = TASK.data(path)
    assert data.head.names == ("left", "right")
    assert data.num_outputs == 2
    assert data.head.answer_std[1] == pytest.approx(2 * data.head.answer_std[0], rel=1e-5)


def test_a_csv_file_has_its_target_in_the_last_column(tmp_path):
    path = tmp_path / "house.csv"
    rows = [f"{n},{n % 7},{3 * n - n % 7}" for n in range(40)]
    path.write_text("area,rooms,price\n" + "\n".join(rows) + "\n")
    data = TASK.data(path)
    assert data.head.names == ("price",)
    assert data.input_shape == (2, 1)
    assert "features: area, rooms; target: price" in data.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "row 3 has 1 cells, the heading 2"),
        ("a,b\n1,2\n3,x\n", "row 3, column 'b': 'x' is no finite number"),
        ("a,b\n1,2\n3,nan\n", "row 3, column 'b': 'nan' is no finite number"),
        ("1,2\n3,4\n", "the first row is a row of numbers"),
        ("a\n1\n", "a heading of two or more columns"),
        ("", "a heading of two or more columns"),
        ("a,b\n" + "1,2\n2,2\n" * 20, "every train target 'b' is 2"),
        ("a,b\n1,2\n3,4\n", "too few to take a"),
    ],
)
def test_a_csv_file_that_is_wrong_is_refused_with_its_row(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        TASK.data(path)


def test_targets_that_are_no_numbers_are_refused(tmp_path):
    targets = np.ones(60, dtype=np.float32)
    targets[7] = np.nan
    with pytest.raises(DataError, match=r"NaN or infinite values in 1 of 60 .* at example 7"):
        TASK.data(write_npz(tmp_path / "a.npz", y_train=targets))
    with pytest.raises(DataError, match="expected one number, or a row of numbers"):
        TASK.data(write_npz(tmp_path / "b.npz", y_train=np.array(["x"] * 60)))
    with pytest.raises(DataError, match=r"2 target names for 1 targets"):
        TASK.data(write_npz(tmp_path / "c.npz", target_names=np.array(["x", "y"])))
    with pytest.raises(DataError, match="unknown format"):
        (tmp_path / "d.txt").write_text("1")
        TASK.data(tmp_path / "d.txt")
    with pytest.raises(DataError, match="no such file"):
        TASK.data(tmp_path / "e.npz")
    with pytest.raises(ConfigError, match="--input-size does not apply"):
        TASK.data(None, Reading(input_size=(8, 8)))


@pytest.mark.parametrize("outputs", [1, 3])
def test_scores_are_those_of_scikit_learn(outputs):
    random = np.random.default_rng(outputs)
    raw = random.normal(5.0, [1.0, 10.0, 0.1][:outputs], size=(50, outputs))
    head = ValuesHead.fitted(raw, names=("a", "b", "c")[:outputs])
    targets = head.standardised(raw)
    answers = (targets + random.normal(0.0, 0.3, size=targets.shape)).astype(np.float32)
    known, given = (values * head.answer_std + head.answer_mean for values in (targets, answers))
    expected = (mean_absolute_error, root_mean_squared_error, r2_score)
    found = list(head.scores(answers, targets).values())
    assert found == pytest.approx([score(known, given) for score in expected], rel=1e-6)


def test_a_value_that_never_changes_is_explained_or_not():
    head = ValuesHead.fitted(np.array([[0.0], [1.0]]), names=("a",))
    same, other = np.zeros((3, 1), dtype=np.float32), np.ones((3, 1), dtype=np.float32)
    assert [head.scores(answers, same)["R2"] for answers in (same, other)] == [1.0, 0.0]


def test_scores_and_errors_by_hand():
    # Targets 0, 10, 20: mean 10, median 10, deviation sqrt(200 / 3), best constant wrong by 20 / 3.
    raw = np.array([[0.0], [10.0], [20.0]])
    head = ValuesHead.fitted(raw, names=("height",))
    targets = head.standardised(raw)
    answers = head.standardised(raw + np.array([[1.0], [-2.0], [3.0]]))
    scores = head.scores(answers, targets)
    assert scores["mean absolute error"] == pytest.approx(2.0, rel=1e-5)
    assert scores["root mean square error"] == pytest.approx((14 / 3) ** 0.5, rel=1e-5)
    assert scores["R2"] == pytest.approx(1 - 14 / 200, rel=1e-5)
    assert head.errors(answers, targets).mean() == pytest.approx(2.0 / (20 / 3), rel=1e-5)
    assert head.blind_error(targets) == pytest.approx(1.0, rel=1e-6)
    assert head.divergence(answers, targets, temperature=3.0) == pytest.approx(14 / 200, rel=1e-5)
    assert head.answer_text(targets[2]) == "height 20"
    assert head.metrics[0].gain(2.0, 3.0) == 1.0


def test_the_loss_is_squared_near_and_straight_far_off():
    head = ValuesHead.fitted(np.array([[0.0], [2.0]]), names=("x",))
    outputs, targets = torch.tensor([[0.5], [3.0]]), torch.zeros(2, 1)
    assert float(head.loss(outputs, targets)) == pytest.approx((0.125 + 2.5) / 2)


def test_a_teacher_of_the_users_answers_in_units_of_the_target():
    raw = np.array([[0.0], [10.0], [20.0]])
    head = ValuesHead.fitted(raw, names=("x",))
    np.testing.assert_allclose(head.of_teacher(raw.astype(np.float32)), head.standardised(raw))


def test_methods_about_classes_are_refused_by_name():
    with pytest.raises(ConfigError, match="method kd: compares or smooths classes"):
        refuse_of_classes(SoftTargets(), output_kind("values"))
    refuse_of_classes(SoftTargets(), output_kind("classes"))
    refuse_of_classes(LogitMse(), output_kind("values"))


def test_ridge_regression_shows_that_the_diabetes_data_can_be_learned():
    data = TASK.data(None)
    flat = [split.inputs[:, :, 0] for split in (data.train, data.test)]
    answers = Ridge(alpha=10.0).fit(flat[0], data.train.labels).predict(flat[1])
    scores = data.head.scores(answers.reshape(-1, 1).astype(np.float32), data.test.labels)
    assert 40 < scores["mean absolute error"] < 50
