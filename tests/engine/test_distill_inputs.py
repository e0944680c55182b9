"""What `hwkd distill` reads: files of methods, pairs, unlabelled inputs, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.bars import bars, final_of, request_of

import hwkd
from hwkd.api.option import declared
from hwkd.api.teachers import named_teachers
from hwkd.cli.config_file import with_config
from hwkd.core import catalog
from hwkd.core.errors import ConfigError, DataError, TeacherError, UnknownNameError
from hwkd.core.progress import silent
from hwkd.engine.distill.run import run_distillation
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.teacher import open_teachers
from hwkd.engine.setup.transfer import prepared_inputs, read_unlabelled, transfer_set
from hwkd.io import discovery
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.steps.normalise import Normalise


def _given(path: Path) -> dict[str, object]:
    """Return the options of a file as a request takes them."""
    given = with_config(path, {}, declared(hwkd.distill))
    if given.pop("importance", "equal") == "hardware":
        given["by_hardware"] = True
    return {**given, "methods": tuple(given["methods"])}


@pytest.mark.slow
def test_methods_come_from_a_toml_file(place: Path) -> None:
    (place / "methods.toml").write_text(
        '[[distill]]\nmethod = "kd"\ntemperature = 2\n[[distill]]\nmethod = "rkd"\nweight = 0.1\n'
    )
    verdict = final_of(place, **_given(place / "methods.toml"), epochs=1).verdict
    assert [text.partition(":")[0] for text in verdict.methods] == ["kd", "rkd"]


@pytest.mark.slow
def test_importance_follows_the_device(place: Path) -> None:
    def first_term(out: str, device: str, **options: object) -> float:
        final = final_of(
            place, methods=("at",), epochs=1, device=device, out=place / out, **options
        )
        return final.history[0].losses["at.1"]

    plain = first_term("plain", "cortex-m7")
    weighed = [first_term(name, name, by_hardware=True) for name in ("cortex-m7", "cortex-m4")]
    assert plain not in weighed
    assert weighed[0] != weighed[1]


@pytest.mark.slow
def test_pairs_without_labels_are_learned_from_beside_those_with(place: Path) -> None:
    stored = dict(np.load(place / "bars.npz"))
    halves = {f"teacher_{key}": stored[key] // 2 for key in ("x_train", "x_test")}
    np.savez(place / "pairs.npz", **stored, **halves)
    more = bars(40, 7)[0]
    np.savez(place / "more.npz", x=more, teacher_x=more // 2)
    asked = {"data": "pairs.npz", "teacher_sees": "paired", "unlabelled": place / "more.npz"}
    made = run_distillation(request_of(place, methods=("kd",), epochs=1, **asked))
    assert made.record.run is not None
    assert made.record.run.teacher is not None
    assert "sees the other half of each pair" in made.record.run.teacher.description
    np.savez(place / "more.npz", x=more, teacher_x=more[:30])
    with pytest.raises(DataError, match="40 examples for students and 30 for the teacher"):
        run_distillation(request_of(place, methods=("kd",), out=place / "no", **asked))


@pytest.mark.slow
def test_importance_weighs_the_stages_of_a_scheme(place: Path) -> None:
    def first_term(out: str, **options: object) -> float:
        asked = {"teachers": (), "methods": (), "epochs": 1, "device": "cortex-m7", **options}
        final = final_of(place, scheme="sad:stages=2,start=0", out=place / out, **asked)
        return final.history[0].losses["attention 1"]

    assert first_term("plain") != first_term("weighed", by_hardware=True)


def test_a_trial_as_a_teacher_is_sent_to_where_its_run_or_its_folder_is_given(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(ConfigError, match=f"give --teacher {run} for .* --trial 3 --out FOLDER"):
        named_teachers([f"{run}:3"])
    assert named_teachers(["package.module:factory"]) == ("package.module:factory",)


def test_a_device_without_latency_estimates_cannot_weigh_stages(place: Path) -> None:
    with pytest.raises(ConfigError, match="--importance hardware: host has no latency estimates"):
        run_distillation(request_of(place, methods=("at",), by_hardware=True))
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
        (
            {"scheme": "dml", "by_hardware": True, "teachers": ()},
            ConfigError,
            "scheme dml teaches none by itself",
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
        run_distillation(request_of(place, **options))
    assert "\n" not in str(caught.value)
    assert not list(place.glob("*out*"))


def test_folder_in_use_is_refused(place: Path) -> None:
    (place / "out").mkdir()
    (place / "out" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="is in use; give a new or an empty folder"):
        run_distillation(request_of(place))


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
    final = final_of(place, methods=("ab", "kd"), pairs=("1=body.0",), epochs=1)
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
        run_distillation(request_of(place, methods=(method,), pairs=pairs))
    assert "\n" not in str(caught.value)
    assert not (place / "out").exists()


def test_unlabelled_folders_are_read_like_data(place: Path) -> None:
    folder = place / "folder" / "unsorted"
    folder.mkdir(parents=True)
    for number, picture in enumerate(bars(5, 3)[0]):
        Image.fromarray(picture).resize((12, 12)).save(folder / f"{number}.png")
    (place / "folder" / "more").mkdir()
    Image.fromarray(bars(1, 4)[0][0]).save(place / "folder" / "more" / "0.png")
    scale = _pipeline((10.0,), (2.0,), raw_shape=(1, 8, 8))
    found = read_unlabelled(place / "folder", scale)
    assert found.shape == (6, 1, 8, 8)
    own = found[0] if np.allclose(found[0, 0] * 2 + 10, bars(1, 4)[0][0]) else found[-1]
    assert np.allclose(own[0] * 2 + 10, bars(1, 4)[0][0])


@pytest.mark.parametrize("importance", ["hardware", "equal", "sometimes"])
def test_a_file_may_ask_for_importance_by_hardware(place: Path, importance: str) -> None:
    path = place / "methods.toml"
    path.write_text(f'importance = "{importance}"\n[[distill]]\nmethod = "at"\n')
    if importance == "sometimes":
        with pytest.raises(ConfigError, match="importance: 'sometimes' should be 'equal' or 'hard"):
            _given(path)
        return
    (method,) = final_of(place, **_given(path), epochs=1, device="cortex-m7").verdict.methods
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
        run_distillation(request_of(place, **_given(place / "methods.toml")))
    assert not (place / "out").exists()


@pytest.mark.slow
def test_one_table_of_a_method_is_a_list_of_one(place: Path) -> None:
    (place / "methods.toml").write_text('[distill]\nmethod = "none"')
    assert final_of(place, **_given(place / "methods.toml")).verdict.ships == "labels alone"


def test_data_of_a_run_cannot_be_replaced(place: Path) -> None:
    run = place / "run"
    run.mkdir()
    (run / "config.toml").write_text(SearchConfig(device="host").to_toml())
    with pytest.raises(ConfigError, match=r"--data bars\.npz: goes with a student by itself; run"):
        run_distillation(request_of(place, student="run"))


def test_a_limit_that_is_too_short_is_refused_before_any_training(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"--timeout 0\.5s: .* give at least --timeout"):
        run_distillation(request_of(place, timeout_s=0.5))
    assert not (place / "out").exists()


@pytest.mark.parametrize("data", [None, "photos", "table.csv"])
def test_data_that_have_no_other_half_are_refused(data: str | None) -> None:
    config = SearchConfig(device="host", data=data, teacher={"sees": "paired"})
    nothing: Any = SimpleNamespace(texts=None)
    with pytest.raises(DataError, match="needs an NPZ file with teacher_x_train beside x_train"):
        open_teachers(config, nothing, device=torch.device("cpu"), progress=silent)
