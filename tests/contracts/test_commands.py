"""Every command is a function of `hwkd` with the same options, and prints what it returns."""

import inspect
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from support.listeners import made_listener
from support.tiny_search import write_npz, write_teacher

import hwkd
from hwkd.api.option import command_line, declared
from hwkd.api.record import plain_data
from hwkd.cli.app import COMMANDS, app, main
from hwkd.cli.progress_bars import listening

BY_NAME = {command.name: command for command in COMMANDS}
COMMAND_LINE_ALONE = {"as_json", "config", "context", "help"}
OLD_RUN = Path(__file__).parents[1] / "golden" / "run_v1"


def leaves(group, words=()):
    """Yield ("devices list", parser of it) for every command that can be typed."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


LEAVES = dict(leaves(typer.main.get_command(app)))


def test_every_command_that_can_be_typed_is_made_of_a_function():
    assert set(LEAVES) == set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_function_is_public_and_has_the_options_of_the_command(name):
    command = BY_NAME[name]
    function = getattr(hwkd, command.function.__name__)
    assert command.function.__name__ in hwkd.__all__
    assert declared(function) == declared(command.function)
    typed = {parameter.name for parameter in LEAVES[name].params} - COMMAND_LINE_ALONE
    assert typed == {option.name for option in (*declared(function), *command.instead)}


@pytest.mark.parametrize("name", BY_NAME)
def test_options_are_keyword_only_but_for_what_the_command_is_about(name):
    parameters = inspect.signature(BY_NAME[name].function).parameters.values()
    by_place = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert len(by_place) <= 2


@pytest.mark.parametrize("name", BY_NAME)
def test_help_teaches(name):
    command = BY_NAME[name]
    assert command.examples
    for option in command.options:
        assert option.option.help[0].isupper() or option.option.help[0].islower()
        assert option.option.help.endswith("."), f"{name} {option.label}: {option.option.help}"
    text = str(inspect.getdoc(getattr(hwkd, command.function.__name__)))
    for option in declared(command.function):
        assert f"    {option.name}: " in text


@pytest.mark.parametrize(
    "line", [line for command in COMMANDS for line in command.examples], ids=str
)
def test_examples_of_help_can_be_typed(line):
    program, *words = shlex.split(line)
    assert program == "hwkd"
    name = next(name for name in BY_NAME if words[: len(name.split())] == name.split())
    rest = words[len(name.split()) :]
    LEAVES[name].make_context(name, rest, resilient_parsing=False)


def test_a_call_from_python_is_recorded_as_the_whole_command():
    given = {
        "device": "cortex-m7",
        "spaces": ["plain", "my space.py"],
        "methods": [{"method": "kd", "temperature": 2.0}, "none"],
        "final": False,
        "verify": True,
        "trials": 12,
        "seed": 0,
        "max_ram": "64KiB",
        "out": Path("runs/a"),
    }
    line = command_line("hwkd search", hwkd.search, given)
    assert shlex.join(line) == (
        "hwkd search --device cortex-m7 --space plain --space 'my space.py' --max-ram 64KiB "
        "--method kd:temperature=2.0 --method none --no-final --verify --trials 12 --out runs/a"
    )
    name, *words = line[1:]
    LEAVES[name].make_context(name, words)  # it can be typed


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    for name in ("old", "again"):
        shutil.copytree(OLD_RUN, folder / name)
    write_npz(folder / "data.npz")
    write_teacher(folder / "teacher.onnx")
    made_listener(folder)
    return folder


def both(name: str, typed: list[Any], given: dict[str, Any], capsys):
    """Return what the command prints and what its function returns as plain data."""
    assert main([*name.split(), *map(str, typed), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    function = getattr(hwkd, BY_NAME[name].function.__name__)
    data = plain_data(function(**given))
    return printed, {function.__name__: data} if isinstance(data, list) else data


def as_typed(function, options: dict[str, Any]) -> list[str]:
    """Return options of a function as words of the command line."""
    words = {option.name: f"--{option.word}" for option in declared(function)}
    given = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            given += [words[name], str(each)]
    return given


# These answer from a file or two, `serve` as long as it is asked to; `profile` of a host measures a
# second; `worker` writes a line for each candidate into the log of its job.
AT_ONCE = {
    "compare", "config show", "profile", "devices list", "devices show", "devices validate",
    "devices new", "spaces list", "spaces show", "methods list", "methods show",
    "schemes list", "schemes show", "tasks list", "worker", "workers", "serve", "submit",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - AT_ONCE))
def test_what_may_take_long_says_how_far_it_is(name):
    takes = inspect.signature(BY_NAME[name].function).parameters
    with listening(BY_NAME[name].function, quiet=False) as told:
        (listener,) = told
        assert listener in takes
    with listening(BY_NAME[name].function, quiet=True) as told:
        assert told == {}


# Typed and given to the function; {} is the workplace. What writes a folder writes two.
CASES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "config show": (["{}/old"], {"run": "{}/old"}),
    "report": (["{}/old"], {"run": "{}/old"}),
    "compare": (["{}/old", "{}/again"], {"runs": ["{}/old", "{}/again"]}),
    "profile": (
        ["{}/teacher.onnx", "--device", "cortex-m7", "--clock", "216MHz"],
        {"model": "{}/teacher.onnx", "device": "cortex-m7", "clock": "216MHz"},
    ),
    "evaluate": (
        ["{}/teacher.onnx", "--data", "{}/data.npz"],
        {"model": "{}/teacher.onnx", "data": "{}/data.npz"},
    ),
    "listen": (
        ["{}/heard.onnx", "--csv", "{}/heard.csv"], {"run": "{}/heard.onnx", "csv": "{}/heard.csv"},
    ),
    "devices list": ([], {}),
    "devices show": (["cortex-m7"], {"name": "cortex-m7"}),
    "devices validate": (["cortex-m7", "cortex-m4"], {"files": ["cortex-m7", "cortex-m4"]}),
    "devices new": (["{}/a.toml"], {"path": "{}/a.toml", "force": True}),
    "devices calibrate": (
        ["--device", "{}/board.toml", "--measurements", "{}/rows.csv", "--dry-run"],
        {"device": "{}/board.toml", "measurements": "{}/rows.csv", "dry_run": True},
    ),
    "devices bench-kit": (["--out", "{}/kit", "--count", 8], {"out": "{}/kit2", "count": 8}),
    "spaces list": ([], {}),
    "spaces show": (
        ["plain", "--input-shape", "1x16x16"], {"name": "plain", "input_shape": "1x16x16"},
    ),
    "methods list": (["--family", "response"], {"family": "response"}),
    "methods show": (["kd"], {"name": "kd"}),
    "schemes list": (["--family", "online"], {"family": "online"}),
    "schemes show": (["dml"], {"name": "dml"}),
    "tasks list": ([], {}),
    "workers": (["{}/old"], {"run": "{}/old"}),
    "watch": (["{}/old"], {"run": "{}/old"}),
    "serve": (
        ["{}/old", "--port", 0, "--max-time", "100ms"],
        {"run": "{}/old", "port": 0, "max_time": "100ms"},
    ),
    "submit": (
        ["slurm", "postgresql://h@db/h", "--study", "s", "--print"],
        {"system": "slurm", "run": "postgresql://h@db/h", "study": "s", "prints": True},
    ),
}  # fmt: skip
# These train, or compile; what they print is compared in the tests of each.
TRAINING = {
    "answers", "distill", "export", "federated join", "federated serve", "finetune", "finish",
    "generate", "prune", "search", "verify", "worker",
}  # fmt: skip


def test_every_command_has_a_case_here():
    assert set(CASES) | TRAINING == set(BY_NAME)


def placed(value, folder: Path):
    if isinstance(value, str):
        return value.format(folder)
    return [placed(item, folder) for item in value] if isinstance(value, list) else value


def without_places(data):
    """Leave out what differs between two folders or two moments."""
    return {
        key: value for key, value in data.items() if key not in ("folder", "seconds", "run", "url")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_what_is_printed_is_what_the_function_returns(name, workplace, capsys):
    typed, given = CASES[name]
    if name == "devices calibrate":
        hwkd.new_device(workplace / "board.toml", force=True)
        (workplace / "rows.csv").write_text("model,latency_ms\nteacher.onnx,0.05\n")
    typed = [placed(word, workplace) for word in typed]
    given = {key: placed(value, workplace) for key, value in given.items()}
    printed, returned = both(name, typed, given, capsys)
    assert without_places(printed) == without_places(json.loads(json.dumps(returned)))


@pytest.mark.parametrize("name", sorted(set(CASES) - {"devices calibrate", "devices bench-kit"}))
def test_nothing_is_cut_off_in_a_terminal_of_eighty_columns(name, workplace, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    typed = [placed(word, workplace) for word in CASES[name][0]]
    if name == "devices new":
        typed.append("--force")
    assert main([*name.split(), *map(str, typed)]) == 0
    printed = capsys.readouterr().out
    assert "\N{HORIZONTAL ELLIPSIS}" not in printed
    in_tables = [line for line in printed.splitlines() if str(workplace) not in line]
    assert max(map(len, in_tables), default=0) <= 80


def needed_elsewhere(name: str, folder: Path) -> set[str]:
    """Names in a table that another command, a file or a search in a log takes."""
    devices = hwkd.devices()
    match name:
        case "devices list":
            return {d.name for d in devices} | {r for d in devices for r in d.runtimes}
        case "devices show":
            return set(hwkd.device("cortex-m7").runtimes)
        case "methods list":
            return {method.name for method in hwkd.methods(family="response")}
        case "schemes list":
            return {scheme.name for scheme in hwkd.schemes(family="online")}
        case "spaces list":
            return {space.name for space in hwkd.spaces()}
        case "tasks list":
            return {task.name for task in hwkd.tasks()}
        case "profile":
            model = str(folder / "teacher.onnx")
            return {stage.op for stage in hwkd.profile(model, device="cortex-m7").stages}
    raise AssertionError(f"{name} prints no names that another command takes")


@pytest.mark.parametrize(
    "name",
    ["devices list", "devices show", "methods list", "profile", "schemes list", "spaces list",
     "tasks list"],
)  # fmt: skip
def test_what_another_command_needs_is_one_word_at_eighty_columns(
    name, workplace, capsys, monkeypatch
):
    names = needed_elsewhere(name, workplace)
    assert names
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*name.split(), *(str(placed(word, workplace)) for word in CASES[name][0])]) == 0
    words = {word.strip(",") for word in capsys.readouterr().out.split()}
    assert names <= words, names - words


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_and_what_follows_print_what_the_functions_return(workplace, capsys):
    options = {
        "data": str(workplace / "data.npz"), "teachers": [str(workplace / "teacher.onnx")],
        "spaces": ["narrow_deep"], "trials": 2, "workers": 1, "brief_epochs": 1, "full_epochs": 1,
        "controls": 0,
    }  # fmt: skip
    typed = as_typed(hwkd.search, options)
    out = workplace / "run"
    assert main(["search", "--device", "cortex-m7", *typed, "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = hwkd.search("cortex-m7", out=workplace / "once-more", **options)
    assert without_places(printed) == without_places(json.loads(json.dumps(found.as_dict())))
    printed, returned = both("finish", [out], {"run": out}, capsys)
    assert set(printed) == set(returned)
    made, returned = both(
        "export", [out, "--out", workplace / "a"], {"source": out, "out": workplace / "b"}, capsys
    )
    assert [Path(path).name for path in made["files"]] == [
        Path(path).name for path in returned["files"]
    ]
    short = {"epochs": 1, "methods": ["none"]}
    printed, returned = both(
        "distill",
        ["--student", out, "--out", workplace / "c", "--epochs", 1, "--method", "none"],
        {"student": str(out), "out": workplace / "d", **short},
        capsys,
    )
    assert set(printed) == set(returned)
    assert np.isfinite(printed["best"]["test_accuracy_int8"])


# Options that have the name of another one and mean something else.
OTHER_MEANING = {
    ("answers", "out"), ("bench_kit", "out"), ("calibrate", "device"), ("export", "calibration"),
    ("federated_join", "out"), ("federated_serve", "by"), ("federated_serve", "out"),
    ("federated_serve", "port"), ("generate", "out"), ("listen", "stride"), ("prune", "controls"),
    ("prune", "data"), ("prune", "keep"), ("prune", "top"), ("submit", "data"),
    ("submit", "spaces"), ("submit", "workers"), ("worker", "data"), ("worker", "spaces"),
}  # fmt: skip


def test_an_option_that_several_commands_have_begins_with_one_help():
    seen: dict[str, set[str]] = {}
    for command in BY_NAME.values():
        for option in declared(command.function):
            is_other = (command.function.__name__, option.name) in OTHER_MEANING
            if option.option.metavar is None and not is_other:
                first = option.option.help.removesuffix(".").split(". ")[0]
                seen.setdefault(option.name, set()).add(first)
    assert {name: texts for name, texts in seen.items() if len(texts) > 1} == {}
