"""The folder that the pages of the documentation are written for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from hwkd.cli.app import main
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.layers_builder import LayersBuilder
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.tasks.classification import ClassifyTask
from support.boxed import write_coco
from support.decoders import write_captioned, write_text
from support.drawn import write_drawn
from support.recordings import write_recordings
from support.scenes import write_scenes
from support.texts import write_texts

_SHORT_SEARCH = (
    "--trials", "3", "--brief-epochs", "2", "--full-epochs", "1", "--controls", "0",
    "--workers", "1", "--teacher-time", "5s",
)  # fmt: skip
_TEACHERS = """import torch


def digits_teacher():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
"""


def write_workplace(folder: Path, *, space: str, search: str) -> None:
    """Make the folder that the pages are written for: photos, teachers, finished runs.

    Args:
        space: text of `my_space.py`.
        search: text of `search.toml`.
    """
    generator = np.random.default_rng(0)
    _write_photos(folder / "photos", generator)
    _write_windows(folder / "windows.npz", generator)
    _write_houses(folder / "houses.csv", generator)
    _write_judged(folder / "judged.csv", generator)
    images = load_digits().images.astype(np.uint8)
    np.savez(folder / "new_digits.npz", x=images[:60], y=load_digits().target[:60])
    _write_shuttle(folder / "shuttle.csv", generator)
    write_recordings(folder / "watch.csv")
    write_texts(folder / "reviews.csv")
    write_text(folder / "speeches")
    write_captioned(folder / "captions")
    write_scenes(folder / "scenes", examples=60)
    write_drawn(folder / "outlines", examples=60)
    _write_streaming(folder / "gestures.onnx")
    _write_generator(folder / "generator.onnx")
    write_coco(folder / "things", examples=60)
    _write_windows_teacher(folder / "teacher.onnx")
    np.save(folder / "more.npy", generator.uniform(0, 16, size=(64, 8, 8)).astype(np.float32))
    (folder / "my_space.py").write_text(space)
    (folder / "search.toml").write_text(search)
    (folder / "my_teachers.py").write_text(_TEACHERS)
    _write_digits_teacher(folder / "digits.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Of its own: a teacher that another test trained for longer would be taken instead.
        patch.setenv("HWKD_CACHE_DIR", str(folder / "cache"))
        searched = ["search", "--device", "cortex-m7", "--space", "narrow_deep", *_SHORT_SEARCH]
        assert main([*searched, "--out", "runs/digits"]) == 0
        for name in ("other", "first"):
            shutil.copytree("runs/digits", f"runs/{name}")
        shutil.copyfile("runs/digits/best/student.onnx", "model.onnx")
        assert main(["export", "runs/digits", "--target", "c", "--out", "firmware"]) == 0
        streamed = ["--target", "c", "--streaming", "--out", "listening"]
        assert main(["export", "gestures.onnx", *streamed]) == 0
        assert main(["devices", "new", "my-board.toml"]) == 0
        teacher = ["--teacher", "my_teachers:digits_teacher", "--teacher-weights"]
        asked = ["answers", "--student", "runs/digits", *teacher, "digits.safetensors"]
        assert main([*asked, "--out", "digits-answers.safetensors"]) == 0
        shutil.copytree("runs/digits/best", "pair-student")
    _write_made(folder)
    (folder / "measurements.csv").write_text("model,latency_ms\nmodel.onnx,3.5\n")


def _write_streaming(path: Path) -> None:
    """Write the int8 file of a student that pads nothing over time."""
    discover("hwkd.search_spaces")
    space, shape = SEARCH_SPACES.get("streaming"), (8, 24)
    spec = space.suggest(RandomChooser(1), input_shape=shape, num_outputs=3)
    layers = space.layers(spec)
    export_onnx(build_module(layers, seed=0).eval(), layers, path)
    values = np.random.default_rng(0).normal(size=(16, *shape)).astype(np.float32)
    quantise_int8(path, path, values)


def _write_generator(path: Path) -> None:
    """Write a generator that draws levels where its picture is brighter than the mean."""
    builder = LayersBuilder((1, 16, 16))
    fine = builder.conv(builder.image, "fine", 8, kernel=3, norm=False, activation="relu")
    coarse = builder.conv(fine, "coarse", 8, kernel=3, norm=False, activation="relu")
    builder.conv(coarse, "levels", 1, norm=False)
    module = build_module(builder.build(), seed=0)
    state = module.state_dict()
    for values in state.values():
        values.zero_()
    for name in ("fine", "coarse", "levels"):
        weight = state[f"steps.{name}.core.weight"]
        weight[0, 0, weight.shape[2] // 2, weight.shape[3] // 2] = 1.0
    state["steps.levels.core.weight"].mul_(60.0)
    state["steps.levels.core.bias"].fill_(40.0)
    export_onnx(module.eval(), module.layers, path)


def _write_made(folder: Path) -> None:
    """Write digits as if they were made, and as pairs of halves that differ in nothing."""
    images, labels = load_digits().images.astype(np.uint8), load_digits().target
    np.savez(folder / "made.npz", x_train=images[:200], y_train=labels[:200])
    more = np.concatenate([images, images[:40, ::-1]])
    np.savez(folder / "grown.npz", x_train=more, y_train=np.concatenate([labels, labels[:40]]))
    few, own = images[:240], labels[:240]
    np.savez(folder / "pairs.npz", x_train=few, y_train=own, teacher_x_train=few)
    votes = np.eye(10)[own] * 4 + 1
    is_even = labels % 2 == 0
    names = np.array(["0", "2", "4", "6", "8"])
    np.savez(folder / "even.npz", x_train=images[is_even], y_train=labels[is_even] // 2,
             class_names=names)  # fmt: skip
    np.savez(folder / "voted.npz", x_train=few, y_train=own, y_soft_train=votes)


def _write_judged(path: Path, generator: np.random.Generator) -> None:
    """Write rows that three people labelled, one of them only every other row."""
    rows = ["size,weight,anna,ben,carla"]
    for at in range(90):
        kind = ("apple", "pear", "plum")[at % 3]
        size, weight = 3 * (at % 3) + generator.uniform(0, 2, size=2)
        said = ("plum" if at % 9 == 4 else kind, kind if at % 2 else "")
        rows.append(f"{size:.2f},{weight:.2f},{kind},{said[0]},{said[1]}")
    path.write_text("\n".join(rows) + "\n")


def _write_houses(path: Path, generator: np.random.Generator) -> None:
    rows = generator.uniform(1, 9, size=(60, 3)).round(2)
    lines = [f"{area},{rooms},{3 * area - rooms + noise:.2f}" for area, rooms, noise in rows]
    path.write_text("\n".join(["area,rooms,price", *lines]) + "\n")


def _write_shuttle(path: Path, generator: np.random.Generator) -> None:
    rows = [f"{a:.2f},{b:.2f},0" for a, b in generator.normal(size=(80, 2))]
    path.write_text("\n".join(["f1,f2,anomaly", *rows, *(f"{a},9,1" for a in range(5, 9))]) + "\n")


def _write_photos(folder: Path, generator: np.random.Generator) -> None:
    for number, name in enumerate(("cup", "key", "shoe")):
        (folder / name).mkdir(parents=True)
        for index in range(30):
            pixels = generator.integers(0, 60, size=(40, 40, 3), dtype=np.uint8)
            pixels[:, :, number] += 150
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


def _write_windows(path: Path, generator: np.random.Generator) -> None:
    """Write signals of three channels; the class is the channel that is raised."""
    labels = np.arange(240) % 3
    inputs = generator.normal(size=(240, 3, 32)).astype(np.float32)
    inputs[np.arange(240), labels] += 2.0
    np.savez(path, x_train=inputs, y_train=labels)


def _write_windows_teacher(path: Path) -> None:
    """Write a network that answers with the mean of each channel."""
    weights = np.repeat(np.eye(3, dtype=np.float32), 32, axis=0)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["input"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "teacher",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(weights / 8, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


def _write_digits_teacher(path: Path) -> None:
    """Fit a linear classifier to the digits in closed form (ridge regression)."""
    train = ClassifyTask().data(None).train
    inputs = train.inputs.reshape(len(train.inputs), -1).astype(np.float64)
    gram = inputs.T @ inputs + 10.0 * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ (np.eye(10)[train.labels] - 0.1)).T
    state = {
        "1.weight": 10.0 * torch.from_numpy(weights).float().contiguous(),
        "1.bias": torch.zeros(10),
    }
    save_file(state, path)
