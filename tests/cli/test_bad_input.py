"""What users get wrong, through the command line: one line, exit code 2, nothing left behind."""

from __future__ import annotations

import gzip
import re
import struct
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny_search import write_npz, write_teacher

from hwkd.cli.app import main
from hwkd.tasks import classification


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HWKD_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def files_in(folder: Path) -> set[str]:
    cache = folder / "cache"
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if cache not in (path, *path.parents)
    }


def refused(capsys: pytest.CaptureFixture[str], *arguments: object, out: str = "run") -> str:
    """Run a search that must be refused; return its one line."""
    here = Path.cwd()
    before = files_in(here)
    given = ["search", "--workers", "1", *(str(argument) for argument in arguments)]
    if out:
        given += ["--out", out]
    assert main(given) == 2
    printed = capsys.readouterr()
    *shown, line = printed.err.splitlines()
    assert not any("Traceback" in text for text in shown)
    assert printed.out == ""
    assert line.startswith("hwkd: ")
    assert files_in(here) == before
    return line


M7 = ("--device", "cortex-m7")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "cortex-m8"), r"unknown device 'cortex-m8'; did you mean .*cortex-m"),
        (
            (*M7, "--space", "depthwize"),
            r"unknown search space 'depthwize'; did you mean depthwise",
        ),
        ((*M7, "--task", "clasify"), r"unknown task 'clasify'; did you mean classify"),
        ((*M7, "--runtime", "tflm"), r"tflm.*tflm-cmsis-nn"),
        ((*M7, "--space", "mine.py"), r"--space .*mine\.py: no such file"),
        ((*M7, "--max-latency", "20"), r"--max-latency: '20' has no unit; write one of us, "),
        ((*M7, "--max-ram", "128"), r"--max-ram: '128' has no unit"),
        ((*M7, "--max-flash", "1e6"), r"--max-flash: '1e6' has no unit"),
        ((*M7, "--max-weights", "20"), r"--max-weights: '20' has no unit"),
        ((*M7, "--max-energy", "1"), r"--max-energy: '1' has no unit"),
        ((*M7, "--max-ram", ""), r"--max-ram: cannot read ''"),
        ((*M7, "--clock", "216"), r"--clock: '216' has no unit"),
        ((*M7, "--clock", "160GHz"), r"--clock: '160GHz' is no processor's clock; expected 1MHz"),
        ((*M7, "--timeout", "10"), r"--timeout: '10' has no unit"),
        ((*M7, "--input-size", "32"), r"--input-size: '32' is not HEIGHTxWIDTH"),
        ((*M7, "--trials", "0"), r"Invalid value for '--trials'"),
        ((*M7, "--alpha", "-1"), r"Invalid value for '--alpha'"),
        ((*M7, "--objective", "best"), r"'best' is not one of 'weighted', 'pareto'"),
        ((*M7, "--qat", "maybe"), r"'maybe' is not one of 'auto', 'on', 'off'"),
        ((*M7, "--calibration", "max"), r"'max' is not one of 'auto', 'minmax', 'percentile'"),
        ((*M7, "--accelerator", "mps"), r"--accelerator mps: there is none on this machine"),
        ((*M7, "--tirals", "9"), r"No such option: --tirals"),
        (
            (*M7, "--teacher-weights", __file__),
            r"--teacher-weights .*: goes with --teacher package\.module:factory only.*given none",
        ),
        ((*M7, "--teacher-input", "unit"), r"--teacher-input unit: goes with --teacher"),
        ((*M7, "--teacher-input", "half"), r"goes with --teacher"),
        ((*M7, "--data", "none"), r"--data none: no such file or folder; give a folder of class"),
        ((*M7, "--teacher", "none.onnx"), r"--teacher none\.onnx: no such file .* an ONNX file"),
        ((*M7, "--teacher-weights", "w.st"), r"--teacher-weights w\.st: no such file or folder"),
        ((*M7, "--unlabelled", "none.npy"), r"--unlabelled none\.npy: no such file or folder"),
        ((), r"--device is missing: Device name \(see `hwkd devices list`\)"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(arguments, message, capsys, monkeypatch):
    def read(*arguments, **options):
        raise AssertionError("data must not be read")

    monkeypatch.setattr(classification, "read_digits", read)
    line = refused(capsys, *arguments)
    assert re.search(message, line), line


def descriptor(**changes: str | None) -> str:
    """Return the text of a device file with lines replaced (None removes one)."""
    text = (files("hwkd.devices") / "cortex-m7.toml").read_text("utf-8")
    for field, value in changes.items():
        pattern = re.compile(rf"^{field} = .*\n", re.MULTILINE)
        assert pattern.search(text)
        text = pattern.sub("" if value is None else f"{value}\n", text, count=1)
    return text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clock_hz": None}, r"board\.toml: clock_hz is missing"),
        (
            {"clock_hz": 'clock_hz = "fast"'},
            r"clock_hz = 'fast': .*; write a plain number of hertz",
        ),
        ({"clock_hz": "clock = 216"}, r"board\.toml: clock is not a field; did you mean clock_hz"),
        ({"schema_version": "schema_version ="}, r"board\.toml: not valid TOML"),
    ],
)
def test_a_wrong_descriptor_is_named_with_its_field(changes, message, capsys):
    Path("board.toml").write_text(descriptor(**changes), encoding="utf-8")
    line = refused(capsys, "--device", "board.toml")
    assert re.search(message, line), line


def write_images(folder: Path, *, classes: int = 2, count: int = 12) -> Path:
    generator = np.random.default_rng(0)
    for label in range(classes):
        target = folder / f"class{label}"
        target.mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 255, size=(8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(target / f"{index}.png")
    return folder


def write_idx(folder: Path, *, images: bytes | None = None, count: int = 40) -> Path:
    folder.mkdir()
    pixels = bytes(np.random.default_rng(0).integers(0, 255, size=count * 64, dtype=np.uint8))
    labels = bytes(index % 2 for index in range(count))
    whole = struct.pack(">IIII", 0x803, count, 8, 8) + pixels
    for part in ("train", "t10k"):
        content = whole if images is None else images
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
        text = struct.pack(">II", 0x801, count) + labels
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(text))
    return folder


def empty_folder() -> Path:
    Path("data").mkdir()
    return Path("data")


def one_class() -> Path:
    return write_images(Path("data"), classes=1)


def unreadable_image() -> Path:
    folder = write_images(Path("data"))
    (folder / "class1" / "3.png").write_bytes(b"no picture")
    return folder


def truncated_idx() -> Path:
    return write_idx(Path("data"), images=struct.pack(">IIII", 0x803, 40, 8, 8) + bytes(100))


def npz(**changes: object) -> Path:
    arrays = {
        "x_train": np.random.default_rng(0).normal(size=(60, 8, 8)).astype(np.float32),
        "y_train": np.arange(60) % 3,
    }
    arrays.update({name: np.asarray(value) for name, value in changes.items()})
    np.savez("data.npz", **arrays)
    return Path("data.npz")


def object_array() -> Path:
    return npz(x_train=np.array([{"a": 1}] * 60, dtype=object))


def nan_pixels() -> Path:
    inputs = np.zeros((60, 8, 8), dtype=np.float32)
    inputs[7, 3, 3] = np.nan
    return npz(x_train=inputs)


def labels_out_of_range() -> Path:
    labels = np.arange(60) % 3
    labels[5] = -1
    return npz(y_train=labels)


def labels_beyond_the_names() -> Path:
    return npz(class_names=np.array(["a", "b"]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (empty_folder, "data: empty folder; --data takes"),
        (one_class, "one class .*; a classifier needs at least two classes"),
        (unreadable_image, r"3\.png: unreadable image .*; replace or remove this file"),
        (truncated_idx, r"train-images-idx3-ubyte\.gz: truncated IDX file"),
        (object_array, "holds Python objects, which are never loaded"),
        (nan_pixels, "NaN or infinite values in 1 of 60 examples, first at example 7"),
        (labels_out_of_range, "train labels out of range: .* -1"),
        (labels_beyond_the_names, "2 class names but train labels 0 to 2"),
        (lambda: Path("nowhere"), "nowhere"),
    ],
)
def test_data_that_cannot_be_used_is_named(make, message, capsys):
    data = make()
    line = refused(capsys, *M7, "--data", data)
    assert re.search(message, line), line


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits",
    [
        ("--max-latency", "1us"),
        ("--max-ram", "100B"),
        ("--max-flash", "1kB"),
        ("--max-weights", "10B"),
    ],
)
def test_limits_that_nothing_can_meet_name_the_cheapest_to_relax(limits, capsys):
    line = refused(capsys, *M7, "--space", "narrow_deep", "--data", npz(), *limits)
    assert re.search(
        rf"none of \d+ sampled students and no reference design fits .* raise {limits[0]} from",
        line,
    )


def test_a_teacher_of_other_classes_is_refused(capsys, folder):
    write_teacher(folder / "t.onnx", classes=5)
    line = refused(capsys, *M7, "--data", write_npz(folder / "d.npz"), "--teacher", "t.onnx")
    assert "has 5 outputs; the data has 3 classes" in line


@pytest.mark.slow
def test_a_teacher_at_chance_level_is_refused(capsys, folder):
    write_teacher(folder / "t.onnx", scale=0.0)
    line = refused(capsys, *M7, "--data", write_npz(folder / "d.npz"), "--teacher", "t.onnx")
    assert "is at chance level" in line


def test_a_factory_that_is_not_there_is_refused(capsys, folder):
    (folder / "d.npz").write_bytes(b"not read before")
    line = refused(capsys, *M7, "--data", "d.npz", "--teacher", "no_such_pkg_here:make")
    assert "ModuleNotFoundError" in line


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("full", "--out full: holds other files; choose a new folder"),
        ("taken", "--out taken: holds another run; .*--resume taken"),
        ("file/run", "--out file/run: file is not a folder that can be written"),
        ("/proc/run", "--out /proc/run: /proc is not a folder that can be written"),
    ],
)
def test_an_output_folder_that_cannot_be_used_is_refused_first(out, message, capsys, folder):
    for name, file in (("full", "thesis.tex"), ("taken", "journal.log")):
        (folder / name).mkdir()
        (folder / name / file).write_text("mine")
    (folder / "file").write_text("mine")
    assert re.search(message, refused(capsys, *M7, out=out))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "nowhere: no such file or folder; give the run folder"),
        ((".",), "no journal.log in it"),
        (("nowhere", "--seed", "3"), "--seed: is fixed by the run; with --resume only --trials"),
        (("nowhere", "--device", "cortex-m7"), "--device: is fixed by the run"),
        (("nowhere", "--trials", "0"), "Invalid value for '--trials'"),
    ],
)
def test_a_resume_of_nothing_or_of_something_else_is_refused(arguments, message, capsys):
    line = refused(capsys, "--resume", *arguments, out="").replace("\n", " ")
    # `--workers` is given by `refused` and may be changed.
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["export", "nowhere", "--out", "x"],
            "nowhere: no such file or folder; give a run, a",
        ),
        (["export", "nowhere", "--trial", "3", "--out", "x"], "nowhere: no such file or folder"),
        (["export", "nowhere.onnx", "--target", "c", "--out", "x"], "or an int8 .onnx file"),
        (["verify", "nowhere.onnx", "--device", "cortex-m4"], "nowhere.onnx: no such file or"),
        (["report", "nowhere"], "nowhere: no such file or folder; give the folder that"),
        (
            ["distill", "--student", "nowhere:3", "--method", "kd", "--out", "x"],
            "--student nowhere: no such file or folder; give RUN",
        ),
        (
            ["distill", "--student", "nowhere.json", "--method", "kd", "--out", "x"],
            "--student nowhere.json: no such file or folder; give RUN",
        ),
        (["export", "nowhere", "--trial", "x", "--out", "x"], "--trial: 'x' is neither best nor"),
        (
            ["export", "nowhere", "--format", "tflite", "--out", "x"],
            "--format: 'tflite' is not one",
        ),
        (["export", "nowhere"], "[Mm]issing option '--out'"),
        (
            ["export", "nowhere", "--target", "c", "--calibration", "mse", "--out", "x"],
            "--calibration mse with --target c: write the int8 file with",
        ),
        (["spaces", "show", "depthwize"], "unknown search space 'depthwize'; did you mean"),
        (["spaces", "show", "depthwise", "--input-shape", "28"], "--input-shape: '28' is not"),
        (["serach"], "No such command 'serach'"),
    ],
)
def test_other_commands_refuse_in_one_line_too(arguments, message, capsys, folder):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert re.search(message, printed.err), printed.err
    assert files_in(folder) == set()


@pytest.mark.parametrize("target", ["c", "tflite"])
def test_a_model_that_is_no_int8_file_is_one_line(target, capsys, folder):
    write_teacher(folder / "float.onnx")
    assert main(["export", "float.onnx", "--target", target, "--out", "c"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "a float model, expected int8" in said.err
    assert not (folder / "c").exists()
