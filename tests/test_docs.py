"""What README and docs say is true: their commands run, their files exist, no command is missing.

Rules for the pages:
- a block marked `sh` or `console` holds one command per line. Each runs in a folder of its own that
  holds what the pages mention (`workplace`); what a line is about to create is removed there first;
- a line of `hwkd search` runs until the first candidate would start: options, data, limits,
  feasibility and teacher are checked. One whole search makes the folder, `--resume` lines go on
  with a copy of it, and the programs below search to the end;
- `hwkd distill` runs one epoch and seed, controls run once, `hwkd finetune` one epoch;
  `hwkd verify` compares 16 inputs if there is an emulator; `hwkd serve` ends after a second;
- a block marked `python` that imports hwkd runs as it is, with few candidates trained briefly; the
  one that registers a search space is `my_space.py`, the `toml` one with trials `search.toml`;
  other blocks are fragments;
- `make TARGET` is looked up in the Makefile; `optuna-dashboard` opens its journal, not a server.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import optuna
import pytest
import torch
import typer
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from support.boxed import write_coco
from support.decoders import write_decoder, write_text
from support.made_once import MadeOnce
from support.recordings import write_recordings
from support.scenes import write_scenes
from support.texts import write_texts

import hwkd
from hwkd.cli.app import app, main
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.progress import silent
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.search.teacher_stage import prepare_teacher
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.feasibility import require_feasible
from hwkd.engine.setup.prepare import prepare_data, survey_spaces
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.tasks.classification import ClassifyTask

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SHORT_SEARCH = (
    "--trials", "3", "--brief-epochs", "2", "--full-epochs", "1", "--controls", "0",
    "--workers", "1", "--teacher-time", "5s",
)  # fmt: skip
SHORT_CALL: dict[str, Any] = {
    "trials": 2, "brief_epochs": 1, "full_epochs": 1, "controls": 0, "workers": 1,
    "teacher_time": "2s",
}  # fmt: skip
EMULATION = ("qemu-system-arm", "arm-none-eabi-gcc")
SHORTENED = {
    "distill": ("--epochs", "1", "--seeds", "1"),
    "finetune": ("--epochs", "1"),
    "prune": ("--steps", "2", "--length", "16"),
    "generate": ("--by", "inversion:samples=20,steps=2,batch=20"),
    "serve": ("--port", "0", "--max-time", "1s"),
    "verify": ("--inputs", "16"),
}
TEACHERS = """import torch


def digits_teacher():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
"""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line and not line.startswith("#")]


def _blocks(page: Path) -> list[Block]:
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.M | re.S)
    text = page.read_text()
    return [
        Block(
            page=str(page.relative_to(ROOT)),
            line=text[: match.start()].count("\n") + 1,
            language=match.group(1),
            text=match.group(2),
        )
        for match in found
    ]


# The tutorial is one piece, in one folder: tests/test_tutorial.py.
BLOCKS = [block for page in PAGES if page.stem != "tutorial" for block in _blocks(page)]
# Each command once, under the first page that has it.
COMMANDS = [
    pytest.param(line, id=f"{block.page}:{block.line}:{line[:60]}")
    for line, block in {
        line: block
        for block in reversed(BLOCKS)
        if block.language in ("sh", "console")
        for line in block.lines
    }.items()
]
CONFIG_BLOCK = next(b for b in BLOCKS if b.language == "toml" and "trials = " in b.text)
SPACE_BLOCK = next(b for b in BLOCKS if b.language == "python" and "SEARCH_SPACES" in b.text)
PROGRAMS = [b for b in BLOCKS if b.language == "python" and b.text.startswith("import hwkd\n")]


@pytest.fixture(scope="module")
def template(made_once: MadeOnce) -> Path:
    return made_once("docs", _write_template)


def _write_template(folder: Path) -> None:
    """Make the folder that the pages are written for: photos, teachers, finished runs."""
    generator = np.random.default_rng(0)
    _write_photos(folder / "photos", generator)
    _write_windows(folder / "windows.npz", generator)
    _write_houses(folder / "houses.csv", generator)
    images = load_digits().images.astype(np.uint8)
    np.savez(folder / "new_digits.npz", x=images[:60], y=load_digits().target[:60])
    _write_shuttle(folder / "shuttle.csv", generator)
    write_recordings(folder / "watch.csv")
    write_texts(folder / "reviews.csv")
    write_text(folder / "speeches")
    write_scenes(folder / "scenes", examples=60)
    _write_streaming(folder / "gestures.onnx")
    write_coco(folder / "things", examples=60)
    _write_windows_teacher(folder / "teacher.onnx")
    np.save(folder / "more.npy", generator.uniform(0, 16, size=(64, 8, 8)).astype(np.float32))
    (folder / "my_space.py").write_text(SPACE_BLOCK.text)
    (folder / "search.toml").write_text(CONFIG_BLOCK.text)
    (folder / "my_teachers.py").write_text(TEACHERS)
    _write_digits_teacher(folder / "digits.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Of its own: a teacher that another test trained for longer would be taken instead.
        patch.setenv("HWKD_CACHE_DIR", str(folder / "cache"))
        search = ["search", "--device", "cortex-m7", "--space", "narrow_deep", *SHORT_SEARCH]
        assert main([*search, "--out", "runs/digits"]) == 0
        for name in ("other", "first"):
            shutil.copytree("runs/digits", f"runs/{name}")
        shutil.copyfile("runs/digits/best/student.onnx", "model.onnx")
        assert main(["export", "runs/digits", "--target", "c", "--out", "firmware"]) == 0
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


def _write_made(folder: Path) -> None:
    """Write digits as if they were made, and as pairs of halves that differ in nothing."""
    images, labels = load_digits().images.astype(np.uint8), load_digits().target
    np.savez(folder / "made.npz", x_train=images[:200], y_train=labels[:200])
    few, own = images[:400], labels[:400]
    np.savez(folder / "pairs.npz", x_train=few, y_train=own, teacher_x_train=few)
    votes = np.eye(10)[own] * 4 + 1
    np.savez(folder / "voted.npz", x_train=few, y_train=own, y_soft_train=votes)


@pytest.fixture
def workplace(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workplace"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HWKD_CACHE_DIR", str(folder / "cache"))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("line", COMMANDS)
def test_command_on_a_page_runs(
    line: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *arguments = shlex.split(line, comments=True)
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.M)
        assert set(arguments) <= set(targets)
    elif program == "optuna-dashboard":
        _open_dashboard_storage(Path(arguments[0]))
    else:
        assert program == "hwkd", f"no rule for {program}"
        code = _run_hwkd(arguments, monkeypatch)
        captured = capsys.readouterr()
        assert code == 0, captured.err
        if "--json" in arguments:
            assert isinstance(json.loads(captured.out), dict | list)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"{block.page}:{block.line}")
def test_program_on_a_page_runs(
    block: Block, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "run.trials" in block.text:
        pytest.importorskip("pandas")
    search, resume = hwkd.search, hwkd.resume
    monkeypatch.setattr(hwkd, "search", lambda *args, **kw: search(*args, **{**kw, **SHORT_CALL}))
    monkeypatch.setattr(hwkd, "resume", lambda folder, **kw: resume(folder, **{**kw, "trials": 3}))
    names: dict[str, Any] = {}
    exec(compile(block.text, block.page, "exec"), names)
    if "found" in names:
        assert names["found"].pareto


def test_every_command_is_on_a_page_and_has_help() -> None:
    pages = "\n".join(page.read_text() for page in PAGES)
    for words, command in _commands(app):
        assert f"hwkd {words}" in pages, f"hwkd {words} is on no page"
        assert (command.help or "").strip(), f"hwkd {words} has no help"


def test_commands_that_are_shown_and_not_run_need_a_server() -> None:
    shown = [(block, line) for block in BLOCKS if block.language == "bash" for line in block.lines]
    for block, line in shown:
        assert not line.startswith("hwkd ") or "postgresql://" in line, f"{block.page}: {line}"


def test_every_option_has_help() -> None:
    for words, command in _commands(app):
        for option in command.params:
            assert getattr(option, "help", ""), f"hwkd {words}: {option.name} has no help"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.slow
def test_a_run_goes_on_after_its_user_emptied_the_cache(workplace: Path) -> None:
    shutil.rmtree("cache")
    assert main(["search", "--resume", "runs/digits", "--trials", "4"]) == 0
    assert len(Path("runs/digits/trials.jsonl").read_text().splitlines()) >= 4


@pytest.mark.slow
def test_the_run_folder_holds_the_files_that_its_page_names(workplace: Path) -> None:
    text = (ROOT / "docs" / "run-folder.md").read_text()
    run_files, best_files = text.split("`best/`, written after", 1)
    for folder, part in (
        (workplace / "runs/digits", run_files),
        (workplace / "runs/digits/best", best_files),
    ):
        cells = re.findall(r"^\| (`[^|]*`) \|", part, flags=re.M)
        names = [
            name
            for cell in cells
            for name in re.findall(r"`([^`]+)`", cell)
            if "." in name or "/" in name
        ]
        assert names
        for name in names:
            assert list(folder.glob(name.replace("N.", "[0-9]*.").replace("XX/DIGEST", "*/*"))), (
                f"{folder.name} has no {name}"
            )


def test_what_a_page_shows_of_a_job_file_is_what_is_printed(capsys) -> None:
    shown = [pair for pair in pairwise(BLOCKS) if pair[0].text.startswith("hwkd submit ")]
    assert len(shown) == 3
    for command, output in shown:
        assert main(shlex.split(command.text)[1:]) == 0
        assert capsys.readouterr().out == output.text


class _WouldStartTrialsError(Exception):
    """Everything before the first candidate went well."""


def _run_hwkd(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    if "--track" in arguments:
        pytest.importorskip(arguments[arguments.index("--track") + 1])
    if arguments[0] == "prune":
        pytest.importorskip("transformers")
        write_decoder(Path("decoder"))
    if arguments[0] == "search" and "--resume" not in arguments:
        monkeypatch.setattr("hwkd.engine.search.run.run_search", _prepare_only)
        if "--teacher" not in arguments:  # one is trained, if `workplace` has none
            arguments = [*arguments, "--teacher-time", "100ms"]
        with pytest.raises(_WouldStartTrialsError):
            main(arguments)
        return 0
    if "--resume" in arguments:  # a finished run with as many trials as it has
        return main([*arguments, "--trials", "3", "--workers", "1"])
    if arguments[0] == "verify" and not all(map(shutil.which, EMULATION)):
        pytest.skip(f"needs {' and '.join(EMULATION)}")
    arguments = [*arguments, *SHORTENED.get(arguments[0], ())]
    if "--controls" in arguments:
        arguments += ["--controls", "1"]
    for created in _created(arguments):
        shutil.rmtree(created, ignore_errors=True)
        created.unlink(missing_ok=True)
    return main(arguments)


def _prepare_only(config: SearchConfig, folder: Path, **_: object) -> NoReturn:
    survey = survey_spaces(prepare_data(config, progress=silent), times_brief_training=True)
    require_feasible(survey.feasibility, survey.references)
    prepared = survey.prepared
    prepare_teacher(prepared.config, prepared.transfer, progress=silent)
    raise _WouldStartTrialsError(folder)


def _created(arguments: list[str]) -> list[Path]:
    created = [
        Path(after) for option, after in pairwise(arguments) if option in ("--out", "--plot")
    ]
    return created + ([Path(arguments[2])] if arguments[:2] == ["devices", "new"] else [])


def _open_dashboard_storage(journal: Path) -> None:
    storage_url = pytest.importorskip("optuna_dashboard._storage_url")
    storage = storage_url.get_storage(str(journal))
    (study,) = optuna.get_all_study_summaries(storage)
    assert study.n_trials >= 3


def _commands(program: typer.Typer) -> Iterator[tuple[str, Any]]:
    """Yield ("devices list", command) for every command."""

    def walk(command: Any, words: list[str]) -> Iterator[tuple[str, Any]]:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            yield " ".join(words), command
            return
        for name, subcommand in subcommands.items():
            yield from walk(subcommand, [*words, name])

    yield from walk(typer.main.get_command(program), [])


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
