"""What README and docs say is true: their commands run, their files exist, no command is missing.

Rules for the pages:
- a block marked `sh` or `console` holds one command per line. Each runs in a folder of its own that
  holds what the pages mention (`workplace`); what a line is about to create is removed there first;
- a line of `hwkd search` runs until the first candidate would start: options, data, limits,
  feasibility (of few students) and teacher are checked. One whole search makes the folder,
  `--resume` lines go on with a copy of it, and the programs below search to the end;
- `hwkd distill` runs one epoch and seed, controls run once, `hwkd finetune` one epoch;
  `hwkd verify` compares 16 inputs if there is an emulator; `hwkd serve` ends after a second;
  `hwkd federated` has the others of its training beside it;
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
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import optuna
import pytest
import typer
from support.decoders import write_decoder, write_llava
from support.made_once import MadeOnce
from support.workplace import write_workplace

import hwkd
from hwkd.cli.app import app, main
from hwkd.core.progress import silent
from hwkd.engine.run.teacher_stage import prepare_teacher
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.feasibility import require_feasible, survey
from hwkd.engine.setup.prepare import prepare_data, survey_spaces

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SHORT_CALL: dict[str, Any] = {
    "trials": 2, "brief_epochs": 1, "full_epochs": 1, "controls": 0, "workers": 1,
    "teacher_time": "500ms", "spaces": ["narrow_deep"],
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
    space, search = SPACE_BLOCK.text, CONFIG_BLOCK.text
    return made_once("docs", partial(write_workplace, space=space, search=search))


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
    _sample_few(monkeypatch)
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
    if arguments[0] == "federated":
        return _run_federated(arguments)
    if arguments[0] == "prune":
        pytest.importorskip("transformers")
        write_decoder(Path("decoder"))
        write_llava(Path("seer"))
    if arguments[0] == "search" and "--resume" not in arguments:
        monkeypatch.setattr("hwkd.engine.search.run.run_search", _prepare_only)
        _sample_few(monkeypatch)
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


def _run_federated(arguments: list[str]) -> int:
    """Run a server or a client beside the others of its training."""
    pytest.importorskip("grpc", reason="the extra hwkd[federated]")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    at, student = f"127.0.0.1:{port}", "runs/digits"
    public = arguments[arguments.index("--public") + 1] if "--public" in arguments else None
    by = "fedavg" if public is None else "fedmd"
    join = partial(hwkd.federated_join, student, data="new_digits.npz", server=at, public=public)
    serve = partial(
        hwkd.federated_serve, student, port=port, rounds=1, epochs=1, by=by, public=public
    )
    others = [partial(join, out="first.safetensors"), partial(join, out="second.safetensors")]
    if arguments[1] == "join":
        others[0] = partial(serve, out="mean.safetensors")
        arguments = [*arguments, "--server", at]
    else:
        arguments = [*arguments, "--port", str(port), "--rounds", "1", "--epochs", "1"]
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(other) for other in others]
        code = main(arguments)
        assert all(each.result(60).path.is_file() for each in running)
    return code


def _sample_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a line is right does not depend on how many students are costed before it starts."""
    monkeypatch.setattr("hwkd.engine.setup.rooms.SAMPLES_PER_ROOM", 6)
    for asks in ("prepare", "own_runtime"):
        monkeypatch.setattr(f"hwkd.engine.setup.{asks}.survey", partial(survey, samples=10))


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
