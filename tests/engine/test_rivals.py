"""Transfer learning beside distillation: fine-tuning, a pruned teacher, one of lower rank."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_student import bars_npz

import hwkd
from hwkd.core.errors import ConfigError
from hwkd.core.student import Layer, Layers, StudentSpec
from hwkd.core.student_record import StudentRecord
from hwkd.core.widened import widened
from hwkd.engine.distill.rivals import parse_arms
from hwkd.io.student_folder import read_student
from hwkd.nn.build import build_module
from hwkd.nn.factorised import factor_weights, factorised, is_split


def _network() -> Layers:
    """A convolution with windows and strides, and a linear layer, both wide enough to split."""
    return Layers(
        input_shape=(6, 8, 8),
        layers=(
            Layer(name="conv", kind="conv", inputs=("input",), shape=(20, 4, 4), kernel=(3, 3),
                  stride=(2, 2), pads=(1, 1, 0, 0), activation="relu"),
            Layer(name="flat", kind="reshape", inputs=("conv",), shape=(320,)),
            Layer(name="out", kind="linear", inputs=("flat",), shape=(10,)),
        ),
    )  # fmt: skip


def _weights(layers: Layers, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    module = build_module(layers, seed=seed)
    return {
        layer.name: {k: v.numpy() for k, v in module.steps[layer.name].state_dict().items()}
        for layer in layers.layers
        if layer.kind in ("conv", "linear")
    }


def _filled(layers: Layers, weights) -> torch.nn.Module:
    module = build_module(layers, seed=1)
    for name, values in weights.items():
        state = module.steps[name].state_dict()
        for key, value in values.items():
            state[key].copy_(torch.from_numpy(np.ascontiguousarray(value)))
    return module.eval()


@pytest.mark.slow
def test_a_network_of_low_rank_is_its_products() -> None:
    layers, generator = _network(), np.random.default_rng(0)
    weights = _weights(layers)
    for name, rank in (("conv", 2), ("out", 3)):
        shape = weights[name]["core.weight"].shape
        low = generator.normal(size=(shape[0], rank)) @ generator.normal(
            size=(rank, int(np.prod(shape[1:])))
        )
        weights[name]["core.weight"] = low.reshape(shape).astype(np.float32)
    split = factorised(layers, 0.3)  # 6 of 20, 3 of 10
    assert [layer.shape[0] for layer in split.layers] == [6, 20, 320, 3, 10]
    inputs = torch.from_numpy(generator.normal(size=(4, 6, 8, 8)).astype(np.float32))
    with torch.no_grad():
        whole = _filled(layers, weights)(inputs)
        found = _filled(split, factor_weights(split, weights))(inputs)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-3)


def test_products_are_the_nearest_of_their_rank() -> None:
    layers = _network()
    weights, split = _weights(layers), factorised(layers, 0.2)
    parts = factor_weights(split, weights)
    first = parts["conv__rank"]["core.weight"].reshape(4, -1)
    second = parts["conv"]["core.weight"].reshape(20, 4)
    kernel = weights["conv"]["core.weight"].reshape(20, -1)
    sizes = np.linalg.svd(kernel, compute_uv=False)
    missing = np.linalg.norm(kernel - second @ first)
    assert missing == pytest.approx(np.sqrt(np.square(sizes[4:]).sum()), rel=1e-4)


def test_layers_that_would_have_no_less_work_stay() -> None:
    layers = _network()
    assert factorised(layers, 1.0).key == layers.key
    assert not is_split(factorised(layers, 1.0))
    assert is_split(factorised(layers, 0.1))


@pytest.mark.parametrize(
    ("text", "said"),
    [("tune", "'tune' is none; give fine-tune, prune, low-rank"), ("prune,prune", "named twice")],
)
def test_arms_that_are_none_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_arms([text])


def _plain() -> Layers:
    """Dense convolutions alone, which may be split."""
    return Layers(
        input_shape=(1, 8, 8),
        layers=(
            Layer(name="stem", kind="conv", inputs=("input",), shape=(12, 8, 8), kernel=(3, 3),
                  pads=(1, 1, 1, 1), norm=True, activation="relu"),
            Layer(name="deep", kind="conv", inputs=("stem",), shape=(24, 4, 4), kernel=(3, 3),
                  stride=(2, 2), pads=(1, 1, 1, 1), norm=True, activation="relu"),
            Layer(name="pool", kind="global_avg_pool", inputs=("deep",), shape=(24, 1, 1)),
            Layer(name="flat", kind="reshape", inputs=("pool",), shape=(24,)),
            Layer(name="out", kind="linear", inputs=("flat",), shape=(3,)),
        ),
        taps={"stage1": "stem", "stage2": "deep", "embedding": "flat"},
    )  # fmt: skip


def _described(layers: Layers, path: Path) -> Path:
    spec = StudentSpec(
        space="bars", params={"network": layers.key}, input_shape=(1, 8, 8), num_outputs=3
    )
    path.write_text(StudentRecord(spec=spec, network=layers).model_dump_json())
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained student, which is also a teacher, and the description of one of half its width."""
    folder = tmp_path_factory.mktemp("rivals")
    hwkd.distill(
        str(_described(_plain(), folder / "whole.json")), data=bars_npz(folder), methods=["none"],
        epochs=6, out=folder / "first", accelerator="cpu", workers=1, calibration="minmax",
        qat="off",
    )  # fmt: skip
    _described(widened(_plain(), 0.5), folder / "half.json")
    _described(widened(_plain(), 0.01), folder / "least.json")
    return folder


def _compared(place: Path, student: str, out: Path, arms: str, **options: object):
    return hwkd.distill(
        str(place / student), data=place / "bars.npz", teachers=[str(place / "first")],
        methods=["kd"], epochs=2, seeds=1, out=out, accelerator="cpu",
        workers=1, calibration="minmax", qat="off", arms=[arms] if arms else [], **options,
    )  # fmt: skip


@pytest.mark.slow
def test_the_teacher_is_cut_to_what_the_student_costs_and_stands_beside_it(place, tmp_path):
    outcome = _compared(place, "half.json", tmp_path / "out", "", attribution=True,
                        device="cortex-m7")  # fmt: skip
    final = outcome.run.final
    assert final is not None
    names = [arm.name for arm in final.verdict.arms]
    assert names[0] == "distilled"
    assert {"low-rank teacher", "pruned teacher"} < set(names[1:])
    assert final.verdict.gain is not None and final.verdict.gain.over in names[1:]
    said = " ".join(outcome.run.caveats)
    assert "Pruned teacher: the strongest" in said and "Low-rank teacher: layers of" in said
    page = unescape((tmp_path / "out" / "report.html").read_text())
    assert "pruned teacher" in page and "of the student's" in page
    assert "low-rank teacher" in (tmp_path / "out" / "MODEL_CARD.md").read_text()
    shipped = read_student(tmp_path / "out")
    assert shipped.record.network == final.network  # whichever it was


@pytest.mark.slow
def test_a_student_of_before_goes_on_beside_the_others_of_its_own_accord(place, tmp_path):
    outcome = _compared(place, "first", tmp_path / "out", "", attribution=True)
    final = outcome.run.final
    assert final is not None
    arms = {arm.name: arm for arm in final.verdict.arms}
    assert list(arms)[-1] == "fine-tuning"
    said = " ".join(outcome.run.caveats)
    assert "No pruned teacher beside the others: the teacher itself costs no more" in said
    run = read_student(place / "first").record.run
    assert run is not None and run.final is not None
    before = (run.final.scores.validation_int8 or {})["accuracy"]
    after = arms["fine-tuning"].mean("validation_int8")
    assert after is not None and after > before - 0.1  # it began with what it knew


@pytest.mark.slow
def test_arms_that_cannot_be_say_why_before_any_training(place, tmp_path):
    with pytest.raises(ConfigError, match=r"--arms fine-tune: .*half.json has no weights"):
        _compared(place, "half.json", tmp_path / "out", "fine-tune")
    with pytest.raises(ConfigError, match="even of rank 1 the teacher costs more than the student"):
        _compared(place, "least.json", tmp_path / "out", "low-rank")
    stored = dict(np.load(place / "bars.npz"))
    stored["x_train"], stored["x_test"] = stored["x_test"], stored["x_train"]
    stored["y_train"], stored["y_test"] = stored["y_test"], stored["y_train"]
    np.savez(tmp_path / "turned.npz", **stored)
    with pytest.raises(ConfigError, match="learned from these examples in other splits"):
        hwkd.distill(
            str(place / "first"), data=tmp_path / "turned.npz", methods=["none"], epochs=1,
            arms=["fine-tune"], out=tmp_path / "out", accelerator="cpu", workers=1,
        )  # fmt: skip
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.slow
def test_a_student_of_other_data_goes_on_with_its_scaling_and_its_classes_by_name(place, tmp_path):
    stored = dict(np.load(place / "bars.npz"))
    for part in ("train", "test"):
        stored[f"x_{part}"] = stored[f"x_{part}"][:, ::-1] // 2  # upside down, in another light
    np.savez(tmp_path / "dim.npz", **stored)
    outcome = hwkd.distill(
        str(place / "first"), data=tmp_path / "dim.npz", methods=["none"], epochs=2, seeds=1,
        arms=["fine-tune"], out=tmp_path / "out", accelerator="cpu", workers=1,
        calibration="minmax", qat="off",
    )  # fmt: skip
    old = read_student(place / "first").record.run
    assert old is not None
    assert outcome.run.data.pipeline.steps == old.data.pipeline.steps
    assert outcome.run.final is not None
    arms = {arm.name: arm.mean("validation_int8") or 0.0 for arm in outcome.run.final.verdict.arms}
    assert arms["fine-tuning"] > arms["labels alone"]
