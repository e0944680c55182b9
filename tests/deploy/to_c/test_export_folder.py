"""The folder that users get: builds alone, says what it is, and never replaces foreign files."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.exported_c import export_c
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import quantise
from hwkd.core.errors import ExportError, HwkdError
from hwkd.core.head import OutputForm
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.exported import read_exported
from hwkd.deploy.to_c.project import RecordedInput
from hwkd.deploy.to_c.project_text import project_files
from hwkd.deploy.to_c.raw_input import RawInput
from hwkd.engine.arms.export import raw_input
from hwkd.io.core_files import core_names, load_core
from hwkd.io.discovery import output_kind

needs_make = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("cc")), reason="no make or C compiler on PATH"
)


@pytest.fixture
def model(tmp_path):
    return quantise(OP_NETWORKS["squeeze_excite"](), tmp_path, "net")


@pytest.mark.slow
@needs_make
@pytest.mark.parametrize("rounding", ["float", "q31", "tflite"])
def test_make_run_compiles_without_warnings_and_agrees(model, tmp_path, rounding):
    out = tmp_path / "c"
    export_c(model, out, rounding=rounding, labels=("no", 'say "yes"', "??/"))
    done = subprocess.run(
        ["make", "-s", "run", "CFLAGS=-O2 -Werror -pedantic"],
        cwd=out, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("sample: seeded noise\n")
    assert "of 3 outputs differ" in done.stdout
    assert 'say "yes": ' in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cmake"), reason="no cmake on PATH")
def test_cmake_builds_and_runs_the_sample(model, tmp_path):
    out = tmp_path / "c"
    export_c(model, out)
    build = tmp_path / "build"
    subprocess.run(["cmake", "-S", out, "-B", build], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    done = subprocess.run([build / "model_sample"], capture_output=True, text=True)
    assert "0 of 3 outputs differ from ONNX Runtime" in done.stdout


def test_sources_ask_for_no_heap_and_state_the_interface(model, tmp_path):
    files = export_c(model, tmp_path / "c")
    names = {path.name for path in files}
    assert {"model.h", "model.c", "model.json", "main.c", "Makefile", "README.md"} <= names
    text = "".join(path.read_text() for path in files if path.suffix in (".c", ".h"))
    assert "malloc" not in text
    assert "$" not in text
    described = json.loads((tmp_path / "c" / "model.json").read_text())
    assert described["input"]["layout"] == "channels-last"
    assert described["arena_bytes"] == described["arena_bytes"] // 8 * 8
    assert [step["kind"] for step in described["steps"]].count("Conv") == 4


@pytest.mark.parametrize(
    ("estimated", "core", "flag"),
    [
        ({"core": "cortex-m7"}, "cortex-m7", "-mfpu=fpv5-sp-d16"),
        ({"core": "cortex-m33"}, "cortex-m33", "-mcpu=cortex-m33"),
        ({"core": "xtensa-lx7"}, "cortex-m4", "-mfpu=fpv4-sp-d16"),
        (None, "cortex-m4", "-mfpu=fpv4-sp-d16"),
    ],
)
def test_the_readme_says_the_options_of_the_core_that_the_student_is_for(
    model, estimated, core, flag
):
    project = replace(build_project(model), facts={"estimated": estimated})
    texts = project_files(project)
    assert f"hwkd verify . --device {core}\n" in texts["README.md"]
    assert flag in texts["README.md"]
    assert flag in texts["Makefile"]


def test_the_readme_says_why_c_that_takes_decimals_holds_nothing_that_listens(model):
    project = build_project(model)
    answer = output_kind("classes").answer(OutputForm(names=project.labels))
    takes = RawInput(shape=(2, 50), c_type="float", source="")
    texts = project_files(replace(project, raw=takes, answer=answer))
    assert "model_stream.h" not in texts
    assert "this network takes decimals (`float`)" in texts["README.md"]
    assert "## Listen" not in project_files(project)["README.md"]


def test_same_model_gives_the_same_bytes(model, tmp_path):
    one, two = export_c(model, tmp_path / "one"), export_c(model, tmp_path / "two")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_weights_in_a_file_beside_the_model_are_in_the_folder(model, tmp_path):
    beside = tmp_path / "beside"
    beside.mkdir()
    onnx.save(
        onnx.load(model), beside / "m.onnx",
        save_as_external_data=True, location="m.bin", size_threshold=64,
    )  # fmt: skip
    out = tmp_path / "c"
    export_c(beside / "m.onnx", out)
    whole = export_c(model, tmp_path / "whole")
    assert (out / "model.c").read_text().splitlines()[1:] == (
        (tmp_path / "whole" / "model.c").read_text().splitlines()[1:]
    )
    assert {path.name for path in out.iterdir()} == {path.name for path in whole}
    shutil.rmtree(beside)
    exported = read_exported(out, raw_input)
    assert exported.project().source_sha256 in (out / "model.h").read_text()
    changed = bytearray((out / "model_int8.onnx").read_bytes())
    changed[-40] ^= 1
    (out / "model_int8.onnx").write_bytes(changed)
    with pytest.raises(HwkdError):
        exported.project()


def test_a_folder_is_replaced_as_a_whole(model, tmp_path):
    out = tmp_path / "c"
    export_c(model, out)
    (out / "notes.txt").write_text("of before")
    export_c(model, out, rounding="q31")
    assert "HWKD_ROUND_Q31\n" in (out / "hwkd_config.h").read_text()
    assert not (out / "notes.txt").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_cannot_be_replaced_stays_as_it_was(model, tmp_path, monkeypatch):
    out = tmp_path / "c"
    export_c(model, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    rename = Path.rename

    def failing(self, target):
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ExportError, match="cannot write: No space left on device"):
        export_c(model, out, rounding="q31")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_nothing_is_written_for_a_model_that_cannot_be_exported(model, tmp_path):
    out = tmp_path / "c"
    with pytest.raises(ExportError, match="a float model"):
        export_c(tmp_path / "net.onnx", out)
    with pytest.raises(ExportError, match="2 labels for 3 outputs"):
        export_c(model, out, labels=("a", "b"))
    assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_recorded_sample_is_the_one_given(model, tmp_path):
    values = np.full((3, 10, 6), 1e6, np.float32)
    sample = RecordedInput(values=values, origin='the "best" picture', label="yes")
    export_c(model, tmp_path / "c", sample=sample)
    text = (tmp_path / "c" / "model_sample.h").read_text()
    values = text.split("model_sample_input")[1].split("{")[1].split("}")[0]
    assert {int(value) for value in values.split(",") if value.strip()} == {127}
    assert '#define MODEL_SAMPLE_ORIGIN "the \\"best\\" picture"' in text
    assert '#define MODEL_SAMPLE_LABEL "yes"' in text


NAMES = ("one", "two", "three")
MEAN, STD = (151.0, 0.0, -4.0), (77.0, 1.0, 2.5)


@pytest.mark.slow
@needs_make
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (output_kind("classes").answer(OutputForm()), "classes"),
        (output_kind("values").answer(OutputForm(names=NAMES, mean=MEAN, std=STD)), "values"),
        (None, "unknown"),
    ],
    ids=("classes", "values", "unknown"),
)
def test_the_answer_is_a_class_or_values_in_the_unit_of_the_target(model, tmp_path, answer, kind):
    values = np.random.default_rng(3).normal(size=(3, 10, 6)).astype(np.float32)
    sample = RecordedInput(values=values, origin="seeded", label="two")
    export_c(model, tmp_path / "c", sample=sample, labels=NAMES, answer=answer)
    done = subprocess.run(["make", "-s", "run"], cwd=tmp_path / "c", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = predict(open_session(model), values[None])[0]
    lines = [line for line in done.stdout.splitlines() if "the network says" in line]
    if answer is None:
        assert lines == []
    elif kind == "classes":
        assert lines == [f"labelled two, the network says {NAMES[int(found.argmax())]}"]
    else:
        assert "labelled two, in the unit of the target" in done.stdout
        told = [float(line.split()[-1]) for line in lines]
        assert [line.split()[-2] for line in lines] == list(NAMES)
        wanted = found.astype(float) * STD + MEAN
        assert told == pytest.approx(wanted.tolist(), rel=1e-5)


def test_float_rounding_with_cmsis_nn_is_refused(model, tmp_path):
    with pytest.raises(ExportError, match="give q31 or tflite"):
        export_c(model, tmp_path / "c", rounding="float", kernels="cmsis-nn")


@pytest.mark.slow
@needs_make
def test_cmsis_nn_runs_on_this_computer_and_may_be_replaced(model, tmp_path):
    pytest.importorskip("bakenn", reason="CMSIS-NN (optional extra cmsis-nn) is not installed")
    out = tmp_path / "c"
    export_c(model, out, kernels="cmsis-nn")
    done = subprocess.run(["make", "-s", "run"], cwd=out, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (out / "CMSIS-NN-LICENSE.txt").is_file()
    assert "HWKD_ROUND_Q31\n" in (out / "hwkd_config.h").read_text()
    export_c(model, out)
    assert not list(out.glob("arm_*"))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no cross compiler on PATH")
@pytest.mark.parametrize("core", core_names())
def test_cross_compiling_gives_no_warning(core, tmp_path):
    out = tmp_path / "c"
    export_c(quantise(OP_NETWORKS["flatten_before_linear"](), tmp_path, "net"), out)
    tools = [
        "CC=arm-none-eabi-gcc",
        "AR=arm-none-eabi-ar",
        f"MCU={' '.join(load_core(core).flags)}",
    ]
    done = subprocess.run(
        ["make", "-s", "libmodel.a", *tools], cwd=out, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_folder_that_one_stands_in_can_be_filled(model, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export_c(model, Path(), rounding="q31")
    assert "HWKD_ROUND_Q31\n" in Path("hwkd_config.h").read_text()
    assert Path.cwd().samefile(tmp_path / "here")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
