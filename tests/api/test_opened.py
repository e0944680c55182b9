"""A run opened in Python: frames, the front as a figure, and the student that answers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.finished_search import finished_search
from support.synthetic_run import make_run

import hwkd
from hwkd.api.outcome import SearchOutcome
from hwkd.core.errors import DataError, HwkdError
from hwkd.report.build import build_report
from hwkd.report.columns import front_columns, trial_columns
from hwkd.tasks.classes_head import ClassesHead

NO_INPUTS = np.zeros((0,), np.float32)  # heads of classes read none
OLD_RUN = Path(__file__).parents[1] / "golden" / "run_v1"


@pytest.fixture(scope="module")
def old():
    return hwkd.open(OLD_RUN)


def test_frames_hold_what_the_csv_files_hold(old):
    pandas = pytest.importorskip("pandas")
    for frame, columns in ((old.trials, trial_columns(old.page)),
                           (old.front, front_columns(old.page))):  # fmt: skip
        assert list(frame.columns) == list(columns)
        for name, values in columns.items():
            assert [None if pandas.isna(v) else v for v in frame[name]] == list(values), name
    front = old.front[old.front["on_front"]]
    assert len(old.trials) == len(old.records) > len(front) == len(old.pareto) > 0
    assert set(front["trial"]) == set(old.trials.loc[old.trials["on_front"], "trial"])


def test_numbers_stay_numbers_where_some_are_unknown(old):
    pytest.importorskip("pandas")
    assert old.trials["validation_error_int8"].isna().any()
    assert str(old.trials["validation_error_int8"].dtype) == "Float64"
    assert str(old.trials["macs"].dtype) == "Int64"


def test_without_pandas_one_line_says_what_to_install(old, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HwkdError, match=r"needs pandas; install it with pip install .hwkd\[note"):
        _ = old.trials


@pytest.mark.parametrize("cost", ["latency", "peak RAM", "Flash"])
def test_the_front_is_drawn_against_the_cost_that_was_asked_for(old, cost):
    figure = old.plot_front(cost)
    assert cost.lower() in figure.layout.xaxis.title.text.lower()
    completed = sum(record.state == "completed" for record in old.records)
    spaces = [trace for trace in figure.data if trace.customdata is not None]
    assert sum(len(trace.x) for trace in spaces) >= completed


def test_a_cost_that_is_none_is_refused_with_those_that_are(old):
    with pytest.raises(HwkdError, match="unknown cost 'price'"):
        old.plot_front("price")


def test_a_run_without_a_completed_trial_has_empty_frames_and_no_figure():
    found = SearchOutcome(
        folder=OLD_RUN, page=build_report(make_run()[0].model_copy(update={"final": None}), [])
    )
    with pytest.raises(HwkdError, match="no trial is completed"):
        found.plot_front()
    assert "<table>" in found._repr_html_()
    pytest.importorskip("pandas")
    assert not len(found.trials)
    assert not len(found.front)


def test_a_notebook_shows_headlines_and_front_without_scripts(old):
    shown = old._repr_html_()
    assert "Pareto front" in shown
    assert old.page.headlines[0].value in shown
    assert "<script" not in shown


def test_opening_writes_nothing_and_refuses_what_is_no_run(tmp_path):
    before = sorted(path.name for path in OLD_RUN.iterdir())
    hwkd.open(OLD_RUN)
    assert sorted(path.name for path in OLD_RUN.iterdir()) == before
    with pytest.raises(HwkdError, match=str(tmp_path)):
        hwkd.open(tmp_path)


@pytest.fixture(scope="module")
def search(made_once):
    return finished_search(made_once)


@pytest.mark.slow
def test_the_best_student_answers_as_it_was_scored(search):
    best = hwkd.open(search.run).best
    with np.load(search.inputs / "data.npz") as stored:
        inputs, labels = stored["x_train"], stored["y_train"]
    answers = best.predict(inputs)
    scores = best.evaluate((inputs, labels))
    assert scores["accuracy"] == np.mean(answers == labels)
    assert best.evaluate(search.inputs / "data.npz") == scores
    assert best.evaluate({"x_train": inputs, "y_train": labels}) == scores
    assert best.evaluate((inputs[labels == 1], labels[labels == 1]))["accuracy"] > 0.5
    probabilities = best.predict_proba(inputs)
    assert np.allclose(probabilities.sum(axis=1), 1.0)
    assert np.array_equal(np.array(best.labels)[probabilities.argmax(axis=1)], answers.astype(str))
    with pytest.raises(DataError, match="expected examples like those of the training"):
        best.predict(inputs[:, :5])
    with pytest.raises(DataError, match="a batch axis is missing"):
        best.predict(inputs[0])
    spoilt = inputs.astype(np.float32)
    spoilt[3] = np.nan
    with pytest.raises(DataError, match=r"NaN or infinite values in 1 of .* at example 3"):
        best.predict(spoilt)
    with pytest.raises(DataError, match="4 inputs but 3 labels"):
        best.evaluate((inputs[:4], labels[:3]))


@pytest.mark.parametrize(
    ("labels", "names", "indices"),
    [
        ([0, 2, 1], ("0", "1", "2"), [0, 2, 1]),
        ([1, 3, 2], ("1", "2", "3"), [0, 2, 1]),
        ([1.0, 3.0], ("1", "2", "3"), [0, 2]),
        (["dog", "cat"], ("cat", "dog"), [1, 0]),
        (["2", "1"], ("1", "2"), [1, 0]),
        ([[1], [0]], ("0", "1"), [1, 0]),
    ],
)
def test_labels_are_classes_by_their_name_alone(labels, names, indices):
    assert ClassesHead(names=names).targets(np.array(labels), NO_INPUTS).tolist() == indices


@pytest.mark.parametrize("label", ["owl", 0, 1, -1, 0.5])
def test_a_label_of_no_class_is_named_with_those_that_are(label):
    with pytest.raises(DataError, match=f"label '{label}' is of no class.* labels are cat, dog"):
        ClassesHead(names=("cat", "dog")).targets(np.array([label]), NO_INPUTS)


@pytest.mark.parametrize(
    ("names", "answers"),
    [
        (("1", "2", "3"), [3, 1]),
        (("cat", "dog", "owl"), ["owl", "cat"]),
        (("01", "02", "03"), ["03", "01"]),
        (("1", "2", "none"), ["none", "1"]),
    ],
)
def test_answers_are_whole_numbers_where_all_labels_are(names, answers):
    outputs = np.array([[0, 1, 2], [2, 1, 0]], np.float32)
    found = ClassesHead(names=names).answers(outputs, NO_INPUTS)
    assert found.tolist() == answers


@pytest.mark.slow
def test_importing_hwkd_loads_nothing_heavy():
    heavy = "torch optuna onnx onnxruntime sklearn pandas plotly matplotlib pydantic numpy typer"
    code = f"import sys, hwkd; print([n for n in '{heavy}'.split() if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
