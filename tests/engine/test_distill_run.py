"""`hwkd distill` end to end on small data: student, teacher, controls, files and refusals."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from support.synthetic_run import make_run
from typer.testing import CliRunner

import hwkd
from hwkd.api.option import declared
from hwkd.cli.app import app
from hwkd.cli.config_file import with_config
from hwkd.core import catalog
from hwkd.core.errors import ConfigError, DataError, TeacherError, UnknownNameError
from hwkd.core.final_record import FinalRecord
from hwkd.core.progress import silent
from hwkd.core.student import StudentSpec
from hwkd.core.student_record import StudentRecord
from hwkd.deploy.exit_rule import read_exit_rule
from hwkd.deploy.sessions import open_session, predict
from hwkd.distill.spec import parse_methods
from hwkd.engine.arms.children import Nursery
from hwkd.engine.arms.orders import ArmOrder, ArmResult
from hwkd.engine.arms.recipes import arms_of
from hwkd.engine.arms.train_arm import train_arm
from hwkd.engine.distill.answers import write_teacher_answers
from hwkd.engine.distill.generate import generate_samples
from hwkd.engine.distill.resolve import learned_without, resolve_student
from hwkd.engine.distill.run import DistillRequest, run_distillation
from hwkd.engine.search.listener import SilentListener
from hwkd.engine.setup.config import SearchConfig, TeacherConfig
from hwkd.engine.setup.context import make_context
from hwkd.engine.setup.teacher import open_teachers
from hwkd.engine.setup.time_plan import Stage
from hwkd.engine.setup.transfer import (
    configured_transfer,
    prepared_inputs,
    read_unlabelled,
    transfer_set,
)
from hwkd.io import discovery
from hwkd.io.discovery import output_kind
from hwkd.io.student_folder import (
    DESCRIPTION_FILE,
    EXITS_FILE,
    FLOAT_FILE,
    INT8_FILE,
    WEIGHTS_FILE,
    read_student,
)
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.steps.normalise import Normalise
from hwkd.tasks.base import Split
from hwkd.train.checkpoint import Checkpoints
from hwkd.train.teacher import Teacher

_TEACHER = '''
"""A teacher that knows the test's classes: where the bright bar is."""
import torch
from torch import nn


class Bars(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        self.head(self.body(x).mean((2, 3)))
        return 4.0 * x[:, 0, :, :6].reshape(len(x), 8, 3, 2).mean((1, 3))


def make():
    torch.manual_seed(0)
    return Bars()


class Soft(Bars):
    def forward(self, x):
        return 0.3 * super().forward(x) - 0.1 * x[:, 0, 0, :3]


def make_soft():
    return Soft()


class Constant(Bars):
    def forward(self, x):
        return torch.zeros(len(x), 3)


def make_constant():
    return Constant()
'''
_PARAMS = {
    "activation": "relu",
    "stem_channels": 4,
    "stem_stride": 1,
    "stages": 2,
    "squeeze_excite": "none",
    "head_channels": 0,
    "stage1_channels": 4,
    "stage1_blocks": 1,
    "stage1_kernel": 3,
    "stage1_expansion": 1,
    "stage2_channels": 8,
    "stage2_blocks": 1,
    "stage2_kernel": 3,
    "stage2_expansion": 1,
}


def _description() -> str:
    """Return the text of the student's `student.json`."""
    discovery.discover("hwkd.search_spaces")
    spec = StudentSpec(space="depthwise", params=_PARAMS, input_shape=(1, 8, 8), num_outputs=3)
    network = catalog.SEARCH_SPACES.get("depthwise").layers(spec)
    return StudentRecord(spec=spec, network=network).model_dump_json()


def _pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    pictures = generator.integers(0, 120, (count, 8, 8))
    for picture, label in zip(pictures, labels, strict=True):
        picture[:, 2 * label : 2 * label + 2] += 90
    return pictures.astype(np.uint8), labels.astype(np.int64)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data, a teacher's code, unlabelled pictures and a student's spec."""
    (x_train, y_train), (x_test, y_test) = _pictures(160, 0), _pictures(60, 1)
    np.savez(tmp_path / "bars.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    np.save(tmp_path / "more.npy", _pictures(48, 2)[0])
    # A module is imported once per process, so every test writes the same one.
    (tmp_path / "bars_teacher.py").write_text(_TEACHER)
    (tmp_path / "bars.json").write_text(_description())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _request(place: Path, **options: object) -> DistillRequest:
    settings: dict[str, object] = {
        "student": "bars.json",
        "data": "bars.npz",
        "teachers": ("bars_teacher:make",),
        "epochs": 2,
        "out": place / "out",
        "accelerator": "cpu",
        "workers": 1,
        **options,
    }
    return DistillRequest(**settings)


def _final(place: Path, **options: object) -> FinalRecord:
    run = run_distillation(_request(place, **options)).record.run
    assert run is not None
    assert run.final is not None
    return run.final


def test_student_is_written_with_its_history(place: Path) -> None:
    final = _final(place, methods=("kd:temperature=2", "at:weight=10"))
    names = {path.name for path in (place / "out").iterdir()}
    assert names == {FLOAT_FILE, INT8_FILE, WEIGHTS_FILE, DESCRIPTION_FILE}
    stored = read_student(place / "out").record
    assert stored.run is not None
    assert stored.run.final == final
    assert (stored.run.made_by, stored.labels) == ("distill", ("0", "1", "2"))
    assert {"cross_entropy", "kd", "at.1"} <= set(final.history[0].losses)
    assert final.history[0].grad_norms["kd"] > 0
    assert [pair.method for pair in final.pairs] == ["at"] * len(final.pairs)
    weights = load_file(place / "out" / "student.safetensors")
    assert all(name.startswith("steps.") for name in weights)
    assert "unknown" in final.verdict.sentences[0]
    assert not list(place.glob(".out*"))


def test_adapters_add_no_byte_to_what_is_exported(place: Path) -> None:
    for name, methods in (("plain", ("none",)), ("adapted", ("fitnet", "vid", "crd:negatives=8"))):
        run_distillation(_request(place, methods=methods, epochs=1, out=place / name))
    for file in ("student.onnx", "student.safetensors"):
        sizes = {(place / name / file).stat().st_size for name in ("plain", "adapted")}
        assert len(sizes) == 1


def test_default_method_follows_the_teacher(place: Path) -> None:
    (method,) = _final(place, epochs=1).verdict.methods
    assert method.startswith(("kd:temperature=2", "lskd:temperature=2"))


def test_attribution_trains_every_control_and_never_ships_a_worse_student(place: Path) -> None:
    verdict = _final(place, methods=("lskd",), with_controls=True, seeds=(0, 1)).verdict
    assert [arm.name for arm in verdict.arms] == [
        "distilled", "cross-entropy", "label smoothing", "ce_standardised, no teacher"
    ]  # fmt: skip
    assert all(len(arm.scores) == 2 for arm in verdict.arms)
    means = {arm.name: arm.mean("validation_int8") or 0.0 for arm in verdict.arms}
    assert means[verdict.ships] == max(means.values())
    assert verdict.gain is not None
    assert verdict.gain.seeds == 2
    assert "points" in verdict.sentences[0]


def test_arms_of_a_seed_begin_with_the_same_weights(place: Path) -> None:
    resolved = resolve_student(_request(place, methods=("kd",)), progress=silent)
    transfer = configured_transfer(resolved.config, resolved.data)
    context = make_context(resolved.config, resolved.task, transfer, None)
    layers = resolved.layers
    seeds = [
        context.full_training(layers, repetition=seed, epochs=1, methods=arm.methods).config.seed
        for seed in (0, 1)
        for arm in arms_of(parse_methods(("kd",)), output_kind("classes"))
    ]
    assert len(set(seeds[:4])) == len(set(seeds[4:])) == 1
    assert seeds[0] != seeds[4]


def test_arms_are_judged_by_the_int8_file_that_would_ship(place: Path) -> None:
    request = _request(place, methods=("kd",), calibration="mse")
    (scores,) = _final(place, methods=("kd",), calibration="mse").verdict.arms[0].scores
    data = resolve_student(request, progress=silent).data

    def accuracy(name: str, split: Split) -> float:
        outputs = predict(open_session(request.out / name), split.inputs)
        return data.head.scores(outputs, split.labels)["accuracy"]

    assert scores.validation_int8 == pytest.approx(accuracy(INT8_FILE, data.validation))
    assert scores.test_int8 == pytest.approx(accuracy(INT8_FILE, data.test))
    assert scores.validation_float == pytest.approx(accuracy(FLOAT_FILE, data.validation))
    assert scores.test_float == pytest.approx(accuracy(FLOAT_FILE, data.test))


def test_unlabelled_pictures_join_and_controls_get_as_many_steps(place: Path) -> None:
    verdict = _final(
        place, methods=("kd",), unlabelled=place / "more.npy", with_controls=True
    ).verdict
    assert len(verdict.arms) == 4
    assert verdict.gain is not None
    assert verdict.gain.low is None  # one seed has no interval


def test_what_was_made_stands_in_for_the_train_split_and_arms_are_attacked(place: Path) -> None:
    request = _request(place, out=place / "made.npz")
    made = generate_samples(request, by="boundary:share=0.5,steps=2", seed=0, progress=silent)
    (arm,) = _final(
        place, methods=("kd",), made=made.path, epochs=1, robustness="pgd:eps=0.5,steps=2"
    ).verdict.arms
    data = resolve_student(_request(place, methods=("kd",), made=made.path), progress=silent).data
    assert len(data.train) == sum(made.samples_of_class)
    plain = resolve_student(_request(place), progress=silent).data
    # What was not moved comes back as it was, in the values that students see.
    assert np.array_equal(data.train.inputs[: len(plain.train)], plain.train.inputs)
    assert data.fingerprint != plain.fingerprint
    assert np.array_equal(data.test.inputs, plain.test.inputs)
    (score,) = arm.scores
    assert score.attacked_float is not None
    assert score.test_float is not None
    assert score.attacked_float <= score.test_float


def test_a_file_of_answers_teaches_in_place_of_its_teacher(place: Path) -> None:
    write_teacher_answers(_request(place, out=place / "a.safetensors"), top=1, progress=silent)
    final = _final(place, methods=("kd",), teachers=("a.safetensors",), epochs=1)
    assert final.verdict.is_taught
    with pytest.raises(TeacherError, match=r"is none of them; leave --copies and --unlabelled out"):
        _final(place, methods=("kd",), teachers=("a.safetensors",), copies=2, out=place / "b")


def test_views_are_seen_by_teacher_and_student(place: Path) -> None:
    assert len(_final(place, methods=("kd",), copies=2, epochs=2).history) == 2


def test_same_request_gives_the_same_student(place: Path) -> None:
    for name in ("one", "two"):
        run_distillation(_request(place, methods=("fitnet", "kd"), out=place / name))
    first, second = (load_file(place / n / "student.safetensors") for n in ("one", "two"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def _given(path: Path) -> dict[str, object]:
    """Return the options of a file as a request takes them."""
    given = with_config(path, {}, declared(hwkd.distill))
    if given.pop("importance", "equal") == "hardware":
        given["by_hardware"] = True
    return {**given, "methods": tuple(given["methods"])}


def test_methods_come_from_a_toml_file(place: Path) -> None:
    (place / "methods.toml").write_text(
        '[[distill]]\nmethod = "kd"\ntemperature = 2\n[[distill]]\nmethod = "rkd"\nweight = 0.1\n'
    )
    verdict = _final(place, **_given(place / "methods.toml"), epochs=1).verdict
    assert [text.partition(":")[0] for text in verdict.methods] == ["kd", "rkd"]


def test_importance_follows_the_device(place: Path) -> None:
    def first_term(out: str, device: str, **options: object) -> float:
        final = _final(place, methods=("at",), epochs=1, device=device, out=place / out, **options)
        return final.history[0].losses["at.1"]

    plain = first_term("plain", "cortex-m7")
    weighed = [first_term(name, name, by_hardware=True) for name in ("cortex-m7", "cortex-m4")]
    assert plain not in weighed
    assert weighed[0] != weighed[1]


def test_a_device_without_latency_estimates_cannot_weigh_stages(place: Path) -> None:
    with pytest.raises(ConfigError, match="--importance hardware: host has no latency estimates"):
        run_distillation(_request(place, methods=("at",), by_hardware=True))
    assert not list(place.glob("*out*"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"methods": ("kdd",)}, UnknownNameError, "unknown method 'kdd'"),
        ({"methods": ("kd:temperature=-1",)}, ConfigError, "temperature=-1.0 must be > 0"),
        ({"methods": ("attention_maps",)}, ConfigError, "the student shows no attention"),
        ({"student": "nowhere"}, ConfigError, "no such file or folder; give RUN"),
        ({"student": "none.json"}, ConfigError, "none.json: no such file or folder; give RUN"),
        ({"teachers": ("bars_teacher:make_constant",)}, TeacherError, "at chance level"),
        ({"methods": ("none",), "with_controls": True}, ConfigError, "leaves nothing to compare"),
        ({"methods": ("kd:pairs=1:1",)}, ConfigError, "compares no layers one by one"),
        ({"methods": ("cskd",), "unlabelled": Path("more.npy")}, ConfigError, "cskd has none"),
        ({"methods": ("kd",), "by_hardware": True}, ConfigError, "--method kd compares none"),
        ({"by_hardware": True}, ConfigError, "the default method compares none"),
        (
            {"methods": ("at",), "teachers": ("bars_teacher:make", "bars_teacher:make")},
            TeacherError,
            "shows logits only and method at needs features",
        ),
        (
            {
                "teachers": ("bars_teacher:make", "bars_teacher:make"),
                "teacher_weights": ("bars.json",),
            },
            ConfigError,
            "one file for each in order; given bars_teacher:make, bars_teacher:make",
        ),
        ({"scheme": "dml"}, ConfigError, "scheme dml trains all that take part, and 1 given"),
        ({"unlabelled": Path("bars.npz")}, DataError, "holds 4 arrays"),
        ({"unlabelled": Path("none.npy")}, DataError, "no such file"),
        ({"made": Path("more.npy")}, DataError, "not a readable NPZ file"),
        ({"robustness": "fgsm:eps=1"}, ConfigError, "is no attack; give pgd:eps="),
        ({"teacher_sees": "paired", "teachers": ()}, DataError, "holds no pairs"),
        ({"unlabelled": Path("bars.json")}, DataError, "is no .npy or .npz file"),
    ],
)
def test_mistakes_are_refused_and_nothing_is_written(
    place: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        run_distillation(_request(place, **options))
    assert "\n" not in str(caught.value)
    assert not list(place.glob("*out*"))


def test_folder_in_use_is_refused(place: Path) -> None:
    (place / "out").mkdir()
    (place / "out" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="is in use; give a new or an empty folder"):
        run_distillation(_request(place))


@pytest.mark.slow
def test_command_prints_arms_and_draws_the_history(place: Path) -> None:
    arguments = "distill --student bars.json --data bars.npz --teacher bars_teacher:make --epochs 1"
    chosen = "--method kd --method at:weight=10 --accelerator cpu"
    runner = CliRunner()
    result = runner.invoke(app, [*f"{arguments} {chosen}".split(), "--out", "out"])
    assert result.exception is None, result.exception
    assert "Layer pairs" in result.stdout
    assert "distilled (ships)" in result.stdout
    page = (place / "out" / "report.html").read_text()
    assert "Loss terms during the full training" in page
    assert 'id="front"' not in page
    assert (place / "out" / "MODEL_CARD.md").read_text().startswith("#")
    assert hwkd.report(place / "out").page.run.made_by == "distill"
    result = runner.invoke(app, [*f"{arguments} {chosen}".split(), "--out", "b", "--json"])
    found = json.loads(result.stdout)
    assert found["best"]["verdict"]["ships"] == "distilled"
    assert found["history"][0]["losses"]["kd"] > 0


def _pipeline(
    mean: tuple[float, ...], std: tuple[float, ...], *, raw_shape: tuple[int, ...]
) -> Pipeline:
    return Pipeline(
        steps=(Normalise(mean=mean, std=std),),
        raw_shape=raw_shape,
        raw_low=0,
        raw_high=255,
        raw_dtype="uint8",
    )


def test_unlabelled_inputs_are_normalised_like_the_train_split(tmp_path: Path) -> None:
    scale = _pipeline((10.0, 20.0), (2.0, 4.0), raw_shape=(2, 4, 5))
    values = np.full((3, 4, 5, 2), 30, dtype=np.uint8)
    np.save(tmp_path / "last.npy", values)
    found = read_unlabelled(tmp_path / "last.npy", scale)
    assert found.shape == (3, 2, 4, 5)
    assert found.dtype == np.float32
    assert np.allclose(found[:, 0], 10.0)
    assert np.allclose(found[:, 1], 2.5)
    np.save(tmp_path / "scaled.npy", np.linspace(0, 1 / 255, 120).reshape(3, 4, 5, 2))
    with pytest.raises(DataError, match=r"another scale than the train inputs: values 0 to 0\.0"):
        read_unlabelled(tmp_path / "scaled.npy", scale)
    other = _pipeline((10.0,) * 7, (2.0,) * 7, raw_shape=(7, 4, 5))
    with pytest.raises(DataError, match=r"holds shape \(3, 4, 5, 2\), expected \[n, 7, 4, 5\]"):
        read_unlabelled(tmp_path / "last.npy", other)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((3, 2, 4, 5), "1e"), "holds <U2 with values that are no numbers"),
        (np.full((3, 2, 4, 5), np.nan), "holds float64 with values that are no numbers"),
        (np.full((3, 2, 4, 5), 1e300), "holds values that float32 does not"),
        (np.full((3, 2, 4, 5), 1e308) * [[1], [0], [1], [0]], "another scale than the train"),
        (np.array(3.0), r"holds shape \(\), expected \[n, 2, 4, 5\]"),
    ],
)
def test_what_is_no_input_of_the_data_is_one_line(values: np.ndarray, message: str) -> None:
    scale = _pipeline((10.0, 20.0), (2.0, 4.0), raw_shape=(2, 4, 5))
    with pytest.raises(DataError, match=f"^--made x: {message}"):
        prepared_inputs(values, scale, where="--made x")


def test_hidden_labels_make_a_transfer_set(place: Path) -> None:
    discovery.discover("hwkd.tasks")
    data = catalog.TASKS.get("classify").data(place / "bars.npz", split_seed=0)
    labels = data.train.labels.copy()
    labels[10:] = data.head.unlabelled(len(labels) - 10)
    transfer = transfer_set(data, labels=labels)
    assert transfer.labelled == 10
    assert len(transfer.labelled_only().train) == 10
    # Labels do not change what the teacher says, so the cached logits are shared.
    assert transfer.fingerprint == data.fingerprint


def test_a_stage_follows_a_module_of_the_users_teacher(place: Path) -> None:
    final = _final(place, methods=("ab", "kd"), pairs=("1=body.0",), epochs=1)
    (pair,) = final.pairs
    assert (pair.method, pair.student, pair.teacher) == ("ab", 1, 1)
    assert pair.teacher_shape == (6, 8, 8)
    assert final.history[0].grad_norms["ab.1"] > 0


@pytest.mark.parametrize(
    ("pairs", "method", "message"),
    [
        (("layer3",), "at", "--pair layer3: is not STAGE=PATH"),
        (("0=body",), "at", "is not STAGE=PATH"),
        (("1=body.9",), "at", "no module of the network has this path; did you mean"),
        (("1=body.0",), "kd", "--pair: kd compares no stages"),
        (("7=body.0",), "at", "7"),
        (("1=body.0", "1=body.0"), "at", "--pair 1=body.0: is given twice"),
        (("2=body.0",), "at:pairs=1:1", "both pair its stages; give one"),
    ],
)
def test_a_wrong_pair_is_one_line(
    place: Path, pairs: tuple[str, ...], method: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        run_distillation(_request(place, methods=(method,), pairs=pairs))
    assert "\n" not in str(caught.value)
    assert not (place / "out").exists()


def test_unlabelled_folders_are_read_like_data(place: Path) -> None:
    folder = place / "folder" / "unsorted"
    folder.mkdir(parents=True)
    for number, picture in enumerate(_pictures(5, 3)[0]):
        Image.fromarray(picture).resize((12, 12)).save(folder / f"{number}.png")
    (place / "folder" / "more").mkdir()
    Image.fromarray(_pictures(1, 4)[0][0]).save(place / "folder" / "more" / "0.png")
    scale = _pipeline((10.0,), (2.0,), raw_shape=(1, 8, 8))
    found = read_unlabelled(place / "folder", scale)
    assert found.shape == (6, 1, 8, 8)
    own = found[0] if np.allclose(found[0, 0] * 2 + 10, _pictures(1, 4)[0][0]) else found[-1]
    assert np.allclose(own[0] * 2 + 10, _pictures(1, 4)[0][0])


@pytest.mark.parametrize("importance", ["hardware", "equal", "sometimes"])
def test_a_file_may_ask_for_importance_by_hardware(place: Path, importance: str) -> None:
    path = place / "methods.toml"
    path.write_text(f'importance = "{importance}"\n[[distill]]\nmethod = "at"\n')
    if importance == "sometimes":
        with pytest.raises(ConfigError, match="importance: 'sometimes' should be 'equal' or 'hard"):
            _given(path)
        return
    (method,) = _final(place, **_given(path), epochs=1, device="cortex-m7").verdict.methods
    assert method.startswith("at:")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("distill = [3]", r"distill: \[3\] should be a valid"),
        (
            'importence = "hardware"\n[[distill]]\nmethod = "at"',
            "unknown option 'importence'; did you mean importance",
        ),
        ('[[distill]]\nmethod = "kd"\n[[distill]]\nmethod = "kd"', "given 2 times"),
        ('[[distill]]\nmethod = "kd"\nweight = true', "weight=True is not a number"),
    ],
)
def test_a_wrong_file_of_methods_is_one_line(place: Path, content: str, message: str) -> None:
    (place / "methods.toml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        run_distillation(_request(place, **_given(place / "methods.toml")))
    assert not (place / "out").exists()


def test_one_table_of_a_method_is_a_list_of_one(place: Path) -> None:
    (place / "methods.toml").write_text('[distill]\nmethod = "none"')
    assert _final(place, **_given(place / "methods.toml")).verdict.ships == "labels alone"


def test_no_method_is_training_on_the_labels_alone(place: Path) -> None:
    final = _final(place, methods=("none",), teachers=("nowhere.onnx",))
    assert set(final.history[0].losses) == {"cross_entropy"}
    assert final.verdict.ships == "labels alone"
    assert final.verdict.sentences == ("Trained on labels alone.",)


def test_a_student_that_learns_from_its_past_asks_for_no_teacher(place: Path) -> None:
    final = _final(place, methods=("pskd",), teachers=("nowhere.onnx",))
    assert set(final.history[0].losses) == {"pskd"}
    assert "what the methods added is unknown" in final.verdict.sentences[0]


def test_several_teachers_speak_with_their_mean_probability(place: Path) -> None:
    discovery.discover("hwkd.tasks")
    data = catalog.TASKS.get("classify").data(place / "bars.npz", split_seed=0)
    names = ("bars_teacher:make", "bars_teacher:make_soft")

    def opened(*sources: str) -> Teacher:
        config = SearchConfig(device="host", teacher=TeacherConfig(sources=sources))
        return open_teachers(config, data, device=torch.device("cpu"), progress=silent)

    several, members = opened(*names), [opened(name) for name in names]
    probabilities = [
        torch.from_numpy(m.logits(data.test.inputs)).softmax(1).numpy() for m in (*members, several)
    ]
    np.testing.assert_allclose(
        probabilities[2], (probabilities[0] + probabilities[1]) / 2, rtol=1e-5, atol=1e-7
    )
    assert several.identity not in {member.identity for member in members}
    final = _final(place, methods=("kd",), teachers=names, epochs=1)
    assert final.history[0].grad_norms["kd"] > 0


@pytest.mark.parametrize(
    ("scheme", "count"), [("takd:assistants=0", 1), ("multi_teacher:way=confidence", 2)]
)
def test_a_scheme_learns_from_the_users_teachers(place: Path, scheme: str, count: int) -> None:
    names = ("bars_teacher:make", "bars_teacher:make_soft")[:count]
    final = _final(place, scheme=scheme, teachers=names, epochs=1)
    assert f"given={count}" in final.verdict.methods[0]
    assert final.verdict.is_taught
    assert len(final.history) == 1  # of the student: nobody else is trained
    assert {"link", "teachers"} & set(final.history[0].losses)


def test_a_student_with_exits_has_a_file_that_stops_by_its_rule(place: Path) -> None:
    final = _final(place, scheme="early_exit", teachers=(), epochs=12)
    exits = final.exits
    assert exits is not None
    assert exits.outputs == ("exit1", "logits")
    path = read_student(place / "out").file(EXITS_FILE)
    assert read_exit_rule(path) == pytest.approx(exits.validation.threshold, rel=1e-6)
    assert exits.validation.accuracy_ratio >= exits.front[0].accuracy_ratio - 0.003
    assert exits.validation.cost_ratio <= exits.front[0].cost_ratio == 1.0
    assert exits.cost_ratios[-1] == 1.0 > exits.cost_ratios[0]


def test_data_of_a_run_cannot_be_replaced(place: Path) -> None:
    run = place / "run"
    run.mkdir()
    (run / "config.toml").write_text(SearchConfig(device="host").to_toml())
    with pytest.raises(ConfigError, match=r"--data bars\.npz: goes with a student by itself; run"):
        run_distillation(_request(place, student="run"))


def test_simulated_rounding_goes_on_with_the_methods_and_their_adapters(place: Path) -> None:
    told: dict[str, list[str]] = {}

    class Hearing(SilentListener):
        def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
            told.setdefault(stage, []).append(note)

    run = run_distillation(
        _request(place, methods=("fitnet", "kd:stop=0.5", "lskd"), qat="on"), listener=Hearing()
    ).record.run
    assert run is not None
    assert run.final is not None
    notes, history = told["train with simulated int8 rounding"], run.final.history
    assert run.final.quantisation_choice is not None
    assert len(notes) == run.final.quantisation_choice.qat_epochs
    assert all("fitnet.1" in note and "lskd" in note and "kd 0" not in note for note in notes)
    # New adapters would begin where those of the float training began.
    first, last = history[0].losses["fitnet.1"], history[-1].losses["fitnet.1"]
    rounded = float(notes[0].partition("fitnet.1 ")[2].split()[0])
    assert abs(rounded - last) < abs(rounded - first)


class Noting(SilentListener):
    """Keeps the notes and the plan."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.planned: Mapping[Stage, float] = {}

    def on_note(self, note: str) -> None:
        self.notes.append(note)

    def on_plan(self, seconds: Mapping[Stage, float], left_s: float) -> None:
        self.planned = seconds


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_time_limit_bounds_the_call_and_says_what_was_given_up(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of the time is spent, whatever it is: less for each training allows a shorter limit, and
    # what is imported already is not taken from it.
    monkeypatch.setattr("hwkd.engine.distill.run._LEAST_TRAINING_S", 3.0)
    resolve_student(_request(place), progress=silent)
    with Nursery() as nursery:
        nursery.start(
            "hwkd.engine.arms.train_arm", ["nowhere"], log=place / "log", threads=1
        ).wait()
    heard, begun = Noting(), time.monotonic()
    options: dict[str, object] = {"with_controls": True, "seeds": tuple(range(40)), "epochs": 500}
    run = run_distillation(
        _request(place, methods=("kd",), timeout_s=15.0, workers=1, **options), listener=heard
    ).record.run
    assert time.monotonic() - begun < 20.0
    assert set(heard.planned) == {"teacher", "final training", "report"}
    (given_up,) = heard.notes
    assert given_up.startswith("Given up: ")
    assert "of 160 trainings, for lack of time" in given_up
    assert run is not None
    assert given_up in run.caveats


def test_a_limit_that_is_too_short_is_refused_before_any_training(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"--timeout 0\.5s: .* give at least --timeout"):
        run_distillation(_request(place, timeout_s=0.5))
    assert not (place / "out").exists()


def test_a_teacher_that_the_run_left_out_is_spoken_of() -> None:
    run, _ = make_run()
    assert learned_without(run) is None
    alone = "Students learned from labels alone: its share of the time limit is 0.4 s."
    without = run.model_copy(update={"teacher": None, "caveats": ("Estimates.", alone)})
    assert learned_without(without) == alone.rstrip(".")
    assert run.teacher is not None
    beaten = run.teacher.model_copy(update={"left_out": "candidate 3 was better"})
    said = learned_without(run.model_copy(update={"teacher": beaten}))
    assert said == "The run left its teacher out: candidate 3 was better"


def test_an_interrupted_call_goes_on_where_it_was(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, object] = {"methods": ("kd",), "with_controls": True, "epochs": 1}
    undisturbed = _final(place, out=place / "undisturbed", **options)
    trained: list[str] = []
    most = 2

    def train(order: ArmOrder, *arguments: Any, **more: Any) -> ArmResult:
        if len(trained) == most:
            raise KeyboardInterrupt
        trained.append(order.arm)
        return train_arm(order, *arguments, **more)

    monkeypatch.setattr("hwkd.engine.distill.run.train_arm", train)
    with pytest.raises(KeyboardInterrupt, match="go on with the same command"):
        run_distillation(_request(place, **options))
    assert not (place / "out").exists()
    with pytest.raises(ConfigError, match="with other options was interrupted there"):
        run_distillation(_request(place, **{**options, "methods": ("dist",)}))
    trained.clear()
    again = _final(place, **options)
    assert trained == ["label smoothing", "kd-from-labels, no teacher"]
    assert again.verdict == undisturbed.verdict
    assert not list(place.glob(".out*"))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("cut", ["distilled (seed 0)", "train with simulated int8 rounding"])
def test_a_killed_training_goes_on_in_its_stage_and_gives_the_same_files(
    cut: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, object] = {"methods": ("fitnet", "kd"), "epochs": 3, "qat": "on"}
    undisturbed = _final(place, out=place / "undisturbed", **options)
    always = partial(Checkpoints, period_s=0.0, share=math.inf)
    monkeypatch.setattr("hwkd.engine.arms.checkpoints.Checkpoints", always)

    class Ending(SilentListener):
        """Ends the process, as it were, in an epoch of one stage."""

        def __init__(self, stage: str) -> None:
            self.stage = stage
            self.told: list[tuple[str, int]] = []

        def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
            self.told.append((stage, done))
            if (stage, done) == (self.stage, 2):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_distillation(_request(place, **options), listener=Ending(cut))
    again = Ending("none")
    run = run_distillation(_request(place, **options), listener=again).record.run
    assert min(done for stage, done in again.told if stage == cut) == 1  # epoch 2 was not kept
    stages = [stage for stage, _ in again.told if stage == "distilled (seed 0)"]
    assert len(stages) == (3 if cut == stages[0] else 1)
    for name in (FLOAT_FILE, INT8_FILE, WEIGHTS_FILE):
        assert (place / "out" / name).read_bytes() == (place / "undisturbed" / name).read_bytes()
    assert run is not None
    assert run.final is not None
    assert run.final.history == undisturbed.history
    assert run.final.verdict == undisturbed.verdict


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_arms_side_by_side_in_processes_are_those_of_one_process(place: Path) -> None:
    options = {"methods": ("fitnet", "kd"), "with_controls": True, "epochs": 1}
    here = _final(place, out=place / "here", **options)
    beside = _final(place, out=place / "beside", workers=2, **options)
    assert beside.verdict == here.verdict
