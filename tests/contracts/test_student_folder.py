"""The folder of a finished student: what is written is read back, anything else is one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.students import built_student, finished_student, student_record
from support.synthetic_run import make_run

from hwkd.cli.app import main
from hwkd.core.catalog import EXPORTERS, SEARCH_SPACES
from hwkd.core.errors import ConfigError, ExportError, RunFolderError
from hwkd.deploy.exporter import Exported
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.export import ExportOrder, export_student, exporters
from hwkd.engine.arms.student_folder import write_student
from hwkd.engine.setup.stored_student import layers_of_record
from hwkd.io.student_folder import (
    CARD_FILE,
    DESCRIPTION_FILE,
    FLOAT_FILE,
    INT8_FILE,
    WEIGHTS_FILE,
    read_record_file,
    read_student,
)
from hwkd.nn.build import build_module

FILES = (FLOAT_FILE, INT8_FILE, WEIGHTS_FILE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    run, records = make_run()
    assert run.final is not None
    folder = tmp_path_factory.mktemp("students") / "one"
    return finished_student(folder, outputs=10, run=run, trial=records[run.final.trial]).folder


@pytest.fixture
def student(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "student")


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    return finished_student(tmp_path_factory.mktemp("students") / "other", seed=1).folder


@pytest.mark.parametrize("space", SEARCH_SPACES.names() or ["depthwise"])
def test_what_is_written_is_read_back(space: str, tmp_path: Path) -> None:
    record = student_record(space)
    written = write_student(tmp_path / "out", built_student(record, tmp_path / "built"), record)
    read = read_student(tmp_path / "out")
    assert read == written
    assert read.layers == record.network
    assert {path.name for path in read.folder.iterdir()} == {DESCRIPTION_FILE, *FILES}
    assert layers_of_record(read.record, where="x") == read.layers


def test_labels_and_the_run_travel_with_it(student: Path) -> None:
    read = read_student(student)
    assert read.labels == make_run()[0].data.class_names
    given, found = make_run()[0], read.record.run
    assert found.final.profile.file_bytes == (student / "student_int8.onnx").stat().st_size
    assert found.final.profile.file_sha256 == read.record.files["student_int8.onnx"]
    final = found.final.model_copy(update={"profile": given.final.profile})
    assert found.model_copy(update={"final": final}) == given


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, student: Path) -> None:
    (student / name).unlink()
    with pytest.raises(RunFolderError, match=rf"{name} is missing; put it back or export"):
        read_student(student)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_student_is_refused(name: str, student: Path, other: Path) -> None:
    shutil.copyfile(other / name, student / name)
    with pytest.raises(RunFolderError, match=rf"{name}: is not the file of this student \(SHA-256"):
        read_student(student)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_refused(name: str, student: Path) -> None:
    content = bytearray((student / name).read_bytes())
    content[len(content) // 2] ^= 1
    (student / name).write_bytes(content)
    with pytest.raises(RunFolderError, match="is not the file of this student"):
        read_student(student)


@pytest.fixture
def with_card(student: Path) -> Path:
    """A student whose report was made."""
    assert main(["report", str(student)]) == 0
    return student


@pytest.mark.parametrize("change", [Path.unlink, lambda card: card.write_text("# Another")])
def test_a_model_card_of_another_student_is_refused_until_its_report_is_made(
    change, with_card: Path, capsys
) -> None:
    text = (with_card / CARD_FILE).read_text()
    change(with_card / CARD_FILE)
    out = with_card.with_name("out")
    assert main(["export", str(with_card), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert CARD_FILE in line
    assert line.endswith("back or `hwkd report` writes it again")
    assert main(["report", str(with_card)]) == 0
    assert CARD_FILE not in capsys.readouterr().err
    assert (with_card / CARD_FILE).read_text() == text
    assert main(["export", str(with_card), "--out", str(out)]) == 0
    assert CARD_FILE not in read_student(out).record.files


def test_a_report_made_again_leaves_the_description_as_it_is(with_card: Path) -> None:
    before = (with_card / DESCRIPTION_FILE).read_bytes()
    assert main(["report", str(with_card)]) == 0
    assert (with_card / DESCRIPTION_FILE).read_bytes() == before
    assert set(read_student(with_card).record.files) == {CARD_FILE, *FILES}


def changed(student: Path, *path: str | int, value: object) -> Path:
    """Set one field of the description."""
    file = student / DESCRIPTION_FILE
    content = json.loads(file.read_text())
    holder = content
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("network", "key"), "0" * 16, "is not that of these layers, which were edited"),
        (("network", "layers", 0, "stride"), [2, 2], "is not that of these layers"),
        (("network", "layers", 0, "shape"), [10**6, 8, 8], "1000000 is outside what a size"),
        (("network", "layers", 0, "groups"), 0, "0 is outside what a size may be"),
        (("network", "layers", 0, "pads"), [-1, 0, 0, 0], "pads .* are not possible"),
        (("network", "layers", 0, "kind"), "evil", "kind"),
        (("network", "layers", 0, "extra"), 1, "extra"),
        (("network", "layers", 1, "inputs"), ["nowhere"], "reads 'nowhere', which is not before"),
        (("network", "layers", 1, "name"), "input", "is named twice"),
        (("network", "taps"), {"stage1": "nowhere"}, "a tap names the layer 'nowhere'"),
        (("network", "layers"), [], "layers"),
        (("spec", "key"), "0" * 16, "is not that of the spec's choices"),
        (("spec", "num_outputs"), 5, "choices, which were edited"),
        (("schema_version",), 99, "schema_version"),
        (("later",), 1, "later"),
    ],
)
def test_a_damaged_description_is_one_line_and_exit_code_2(
    path: tuple[str | int, ...], value: object, message: str, student: Path, capsys
) -> None:
    file = changed(student, *path, value=value)
    with pytest.raises(ConfigError, match=message) as caught:
        read_record_file(file)
    assert "\n" not in str(caught.value)
    assert "Value error" not in str(caught.value)
    out = student.with_name("out")
    assert main(["export", str(student), "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_layers_that_compute_something_else_are_refused(finished: Path) -> None:
    record = read_student(finished).record
    first, *rest = record.network.layers
    first = replace(first, shape=(first.shape[0], 5, 5))
    network = replace(record.network, layers=(first, *rest))
    broken = record.model_copy(update={"network": network})
    with pytest.raises(ConfigError, match="its layers make no network"):
        layers_of_record(broken, where="student")


def test_a_path_that_leads_out_of_the_folder_is_no_file_of_it(student: Path) -> None:
    changed(student, "files", "../secret", value="0" * 64)
    with pytest.raises(RunFolderError, match="secret is missing"):
        read_student(student)


def test_weights_of_a_training_never_reach_a_folder(tmp_path: Path) -> None:
    record = student_record()
    built = built_student(record, tmp_path / "built")
    module = build_module(record.network, seed=0)
    module.steps["adapter"] = torch.nn.Conv2d(2, 3, 1)
    save_student(module, built.weights_path)
    with pytest.raises(ExportError, match=r"the student has .* nothing was written"):
        write_student(tmp_path / "out", built, record)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_student_exports_in_every_target(finished: Path, tmp_path: Path) -> None:
    for name in exporters():
        if name == "tflite":
            pytest.importorskip("flatbuffers")
        assert main(["export", str(finished), "--target", name, "--out", str(tmp_path / name)]) == 0


def test_what_was_exported_is_a_student_again(finished: Path, tmp_path: Path, capsys) -> None:
    given = ["--format", "onnx-int8", "--out", str(tmp_path / "part")]
    assert main(["export", str(finished), *given]) == 0
    assert read_student(tmp_path / "part").record.files.keys() == {INT8_FILE}
    again = ["--target", "c", "--out", str(tmp_path / "c")]
    assert main(["export", str(tmp_path / "part"), *again]) == 0
    capsys.readouterr()
    whole = ["--format", "torch", "--out", str(tmp_path / "torch")]
    assert main(["export", str(tmp_path / "part"), *whole]) == 2
    assert f"holds no {WEIGHTS_FILE}, only {INT8_FILE}" in capsys.readouterr().err


def test_a_target_is_one_registered_object(finished: Path, tmp_path: Path) -> None:
    class Summary:
        summary = "the labels of a student"
        is_student_file = False

        def export(self, source, options):
            text = f"{source.int8_path.name} {', '.join(source.labels)}"
            return Exported(files={"labels.md": text}, facts={"labels": len(source.labels)})

    EXPORTERS.register("labels")(Summary())
    try:
        out = tmp_path / "out"
        assert main(["export", str(finished), "--target", "labels", "--out", str(out)]) == 0
        again = tmp_path / "again"
        made = export_student(ExportOrder(source=finished, targets=("labels",), out=again))
    finally:
        EXPORTERS.take("labels")
    assert made.facts == {"labels": len(make_run()[0].data.class_names)}
    assert (out / "labels.md").read_text().startswith(INT8_FILE)


def test_targets_that_need_a_student_refuse_a_file(finished: Path, tmp_path: Path, capsys) -> None:
    model = str(finished / INT8_FILE)
    assert main(["export", model, "--target", "onnx", "--out", str(tmp_path / "out")]) == 2
    assert "onnx needs a run folder or a student's folder" in capsys.readouterr().err
    assert main(["export", model, "--target", "onnxx", "--out", str(tmp_path / "out")]) == 2
    assert "unknown target 'onnxx'; did you mean onnx" in capsys.readouterr().err
    given = ["--target", "c", "--trial", "1", "--out", str(tmp_path / "out")]
    assert main(["export", str(finished), *given]) == 2
    assert "--trial 1: goes with a run folder" in capsys.readouterr().err


def test_a_student_is_profiled_and_reported(student: Path, capsys) -> None:
    for dtype in ("int8", "float32"):
        given = ["--device", "cortex-m7", "--dtype", dtype, "--json"]
        if dtype == "float32":
            given[1] = "host"
        assert main(["profile", str(student), *given]) == 0
        assert json.loads(capsys.readouterr().out)["dtype"] == dtype
    assert main(["report", str(student)]) == 0
    page = (student / "report.html").read_text()
    assert "Best student" in page
    assert "Pareto front" not in page
    assert not (student / "pareto.csv").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("export", "--target", "onnx-int8", "--out", "{out}"),
        ("profile", "--device", "cortex-m7"),
        ("report",),
    ],
    ids=" ".join,
)
def test_its_description_stands_for_the_folder(
    words: tuple[str, ...], student: Path, tmp_path: Path
) -> None:
    command, *rest = (word.format(out=tmp_path / "out") for word in words)
    assert main([command, str(student / DESCRIPTION_FILE), *rest]) == 0
