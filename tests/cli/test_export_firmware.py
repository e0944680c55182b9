"""`hwkd export --target c|tflite` and wrong input: one line, exit code 2, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.exported_c import export_c
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import quantise
from hwkd.cli.app import main
from hwkd.core.errors import ExportError
from hwkd.deploy import toolchain

each_target = pytest.mark.parametrize("target", ["c", "tflite"])


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """Return a folder with good and bad files."""
    folder = tmp_path_factory.mktemp("models")
    good = quantise(OP_NETWORKS["residual"](), folder, "good")
    changed = onnx.load(good)
    changed.graph.input[0].type.tensor_type.shape.dim[2].ClearField("dim_value")
    changed.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(changed, folder / "dynamic_height.onnx")
    changed = onnx.load(good)
    changed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(changed, folder / "batch_of_4.onnx")
    changed = onnx.load(good)
    next(node for node in changed.graph.node if node.op_type == "Conv").op_type = "ConvInteger"
    onnx.save(changed, folder / "unknown.onnx")
    (folder / "broken.onnx").write_bytes(b"not a model")
    return folder


@each_target
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("good.onnx", "a float model, expected int8"),
        ("dynamic_height.onnx", "expected a batch of 1 and fixed sizes"),
        ("batch_of_4.onnx", "input shape 4x3x8x8, expected a batch of 1"),
        ("unknown.onnx", "node 'conv0' (ConvInteger): dynamically quantised"),
        ("broken.onnx", "not a complete ONNX file"),
    ],
)
def test_a_wrong_model_is_one_line_and_leaves_nothing(
    name, message, target, models, tmp_path, capsys
):
    out = tmp_path / "out"
    assert main(["export", str(models / name), "--target", target, "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


@each_target
def test_an_open_batch_is_exported_for_one_sample(target, models, tmp_path):
    model = onnx.load(models / "good_int8.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, tmp_path / "open.onnx")
    out = tmp_path / "out"
    given = ["export", str(tmp_path / "open.onnx"), "--target", target, "--out", str(out)]
    assert main(given) == 0
    assert '"shape": [' in (out / "model.json").read_text()


@each_target
def test_a_folder_with_other_files_is_left_alone(target, models, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "labels.txt").write_text("mine")
    model = str(models / "good_int8.onnx")
    assert main(["export", model, "--target", target, "--out", str(out)]) == 2
    assert "is in use; give a new or an empty folder" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["labels.txt"]


def test_a_missing_package_is_named_with_its_extra(models, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("hwkd.deploy.exporters.tflite.find_spec", lambda name: None)
    out = tmp_path / "out"
    model = str(models / "good_int8.onnx")
    assert main(["export", model, "--target", "tflite", "--out", str(out)]) == 2
    assert 'run `pip install "hwkd[tflite]"`' in capsys.readouterr().err
    assert not out.exists()


def test_without_compiler_the_file_is_written_unchecked(models, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)
    out = tmp_path / "out"
    model = str(models / "good_int8.onnx")
    assert main(["export", model, "--target", "tflite", "--out", str(out)]) == 0
    assert "not run: no C compiler" in capsys.readouterr().out
    assert (out / "model.tflite").is_file()


@pytest.mark.parametrize("command", [["verify"], ["export", "--target", "c", "--out", "x"]])
def test_a_model_that_is_not_there_is_named(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = ["--device", "cortex-m4"] if command == ["verify"] else []
    assert main([command[0], "nowhere.onnx", *command[1:], *more]) == 2
    assert "nowhere.onnx" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_compiler_from_pip_is_found_without_another(monkeypatch, tmp_path):
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})()
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(toolchain, "find_spec", lambda name: spec)
    assert toolchain.find_host_compiler() == (tmp_path / "zig", "cc")
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)
    assert toolchain.host_compiler() is None
    with pytest.raises(ExportError, match=r"pip install \"hwkd\[compile\]\""):
        toolchain.find_host_compiler()


def test_scales_of_a_tflite_file_are_those_of_the_c(models, tmp_path):
    model = models / "good_int8.onnx"
    export_c(model, tmp_path / "c")
    out = tmp_path / "tflite"
    assert main(["export", str(model), "--target", "tflite", "--out", str(out)]) == 0
    c, tflite = (json.loads((f / "model.json").read_text()) for f in (tmp_path / "c", out))
    for end in ("input", "output"):
        assert np.float32(c[end]["scale"]) == np.float32(tflite[end]["scale"])
        assert c[end]["zero_point"] == tflite[end]["zero_point"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--target", "c", "--format", "onnx"), "--format onnx with --target c: does nothing"),
        (("--target", "tflite", "--rounding", "q31"), "--rounding q31: does nothing for"),
        (("--target", "c", "--trust"), "--trust: does nothing without --trial N"),
    ],
)
def test_options_that_do_nothing_are_refused(given, message, models, tmp_path, capsys):
    out = tmp_path / "out"
    model = str(models / "good_int8.onnx")
    assert main(["export", model, *given, "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_force_replaces_an_export_and_nothing_else(models, tmp_path, capsys):
    model = str(models / "good_int8.onnx")
    out, own = tmp_path / "out", tmp_path / "own"
    command = ["export", model, "--target", "c", "--out", str(out)]
    assert main(command) == 0
    (out / "of_before.c").touch()
    assert main(command) == 2
    assert "or --force to replace the export that is there" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert not (out / "of_before.c").exists()
    own.mkdir()
    (own / "thesis.txt").touch()
    assert main([*command[:-1], str(own), "--force"]) == 2
    assert "is in use; give a new or an empty folder" in capsys.readouterr().err
    assert (own / "thesis.txt").exists()
    assert main(["export", model, "--target", "c", "--out", str(models), "--force"]) == 2
    assert "is what is exported" in capsys.readouterr().err
