from __future__ import annotations

import inspect

import pytest
from support.tiny_search import make_config

import hwkd
from hwkd.core.errors import ConfigError
from hwkd.core.units import parse_duration_s
from hwkd.engine.setup.config import SearchConfig


def test_a_configuration_survives_its_toml_file(tmp_path):
    config = make_config(
        tmp_path,
        limits={"latency_s": 0.02, "ram_bytes": 65536, "risk": "lower"},
        objective={"mode": "pareto", "alpha": 2.0},
        input_size=(8, 8),
        timeout_s=60.0,
    )
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert SearchConfig.from_toml(path) == config


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "options: device: Field required$"),
        ({"device": "x", "trials": 0}, "trials: .*greater than or equal to 1, given 0"),
        ({"device": "x", "trails": 5}, "trails: Extra inputs are not permitted, given 5"),
        ({"device": "x", "limits": {"ram_bytes": "many"}}, "limits.ram_bytes: .*given 'many'"),
        (
            {"device": "x", "teacher": {"source": "t.onnx", "weights": "w"}},
            "goes with --teacher package.module:factory only, one file for each in order; given "
            "none",
        ),
    ],
)
def test_a_wrong_field_is_one_line_with_its_place(raw, message):
    with pytest.raises(ConfigError, match=message) as caught:
        SearchConfig.checked(raw, where="options")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"device = ", b"\xff\xfe"])
def test_a_damaged_file_is_one_line(tmp_path, content):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.toml: cannot read it as TOML"):
        SearchConfig.from_toml(path)


def test_what_a_search_and_its_configuration_leave_open_is_the_same():
    config = SearchConfig(device="x")
    options = inspect.signature(hwkd.search).parameters
    for part in (config, config.limits, config.objective, config.training, config.quantisation):
        for name, value in part:
            if name in options and name not in ("device", "spaces", "workers", "objective"):
                assert options[name].default == value, name
    assert options["objective"].default == config.objective.mode
    assert (options["final"].default, options["verify"].default) == (
        config.train_best,
        config.verify_best,
    )
    timeout_s = parse_duration_s(options["trial_timeout"].default, option="--trial-timeout")
    assert timeout_s == config.training.trial_timeout_s


def test_each_of_several_teachers_has_its_weights_and_its_input():
    sources = ["m:f", "a.onnx", "m:g"]
    teacher = {"sources": sources, "weights": ["f.st", "g.st"], "inputs": ["raw", "unit", "signed"]}
    found = SearchConfig.checked({"device": "x", "teacher": teacher}, where="options").teacher
    assert [(source, str(weights), seen.text) for source, weights, seen, _ in found.members] == [
        ("m:f", "f.st", "raw"),
        ("a.onnx", "None", "unit"),
        ("m:g", "g.st", "signed"),
    ]
    one = {"sources": sources, "inputs": ["unit"]}
    found = SearchConfig.checked({"device": "x", "teacher": one}, where="options").teacher
    assert {seen.text for _, _, seen, _ in found.members} == {"unit"}


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([["a", "b"]], "1 lists were given and 2 teachers; give one for each"),
        ([["a", "a"], []], "--teacher-classes a,a: names 'a' twice"),
        ([[], ["a", "b"]], "b.npz says itself what its answers are of; give same for it"),
    ],
)
def test_classes_of_teachers_that_cannot_be_are_refused(classes, said):
    teacher = {"sources": ["a.onnx", "b.npz"], "classes": classes}
    with pytest.raises(ConfigError, match=said):
        SearchConfig.checked({"device": "x", "teacher": teacher}, where="options")


def test_a_run_of_an_older_version_keeps_its_one_teacher_and_its_weights():
    raw = {"device": "x", "teacher": {"source": "m:f", "weights": "f.st"}}
    teacher = SearchConfig.checked(raw, where="config.toml").teacher
    assert (teacher.sources, teacher.weights, teacher.inputs) == (("m:f",), ("f.st",), ())


@pytest.mark.parametrize(
    ("teacher", "match"),
    [
        ({"sources": ["m:f", "m:g"], "weights": ["f.st"]}, "one file for each in order; given m:f"),
        ({"inputs": ["unit"]}, "--teacher-input unit: goes with --teacher.*given none"),
        ({"sources": ["a.onnx"], "inputs": ["raw", "unit"]}, "one for all or one for each"),
        ({"sources": ["a.onnx"], "inputs": ["half"]}, "--teacher-input half: 'half' is none of"),
    ],
)
def test_what_belongs_to_no_teacher_is_refused(teacher, match):
    with pytest.raises(ConfigError, match=match):
        SearchConfig.checked({"device": "x", "teacher": teacher}, where="options")
