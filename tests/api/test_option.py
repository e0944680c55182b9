"""An option is declared once, in a signature: checks, documentation and files come from it."""

import inspect
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from hwkd.api.option import Option, command_line, declared, declares_options
from hwkd.cli.config_file import with_config
from hwkd.core.errors import ConfigError
from hwkd.core.units import Duration


def cook(
    dish: Annotated[str, Option("What is cooked.", metavar="DISH")],
    *,
    minutes: Annotated[int | None, Option("How long.", minimum=1)] = None,
    salt: Annotated[float, Option("Grams.", minimum=0, maximum=9)] = 2.0,
    heat: Annotated[Literal["low", "high"], Option("Of the flame.")] = "low",
    recipe: Annotated[str | Path | None, Option("File to follow.")] = None,
    herbs: Annotated[Sequence[str], Option("May be repeated.", flag="herb")] = (),
    is_hot: Annotated[bool, Option("Serve at once.")] = False,
    rest: Annotated[Duration | None, Option("Before it is served.", amount="5min")] = None,
    water: Annotated[str | None, Option("Amount.", amount="1kB")] = None,
    taster: object = None,
):
    """Cook a dish.

    Returns:
        What was given.
    """
    return dish, minutes, salt, heat, recipe, tuple(herbs), is_hot, rest, water, taster


def test_parameters_with_an_option_are_declared_and_others_are_for_python_alone():
    found = {option.name: option for option in declared(cook)}
    assert list(found) == [
        "dish", "minutes", "salt", "heat", "recipe", "herbs", "is_hot", "rest", "water",
    ]  # fmt: skip
    assert found["dish"].is_required
    assert found["dish"].label == "DISH"
    assert (found["herbs"].word, found["is_hot"].label) == ("herb", "--is-hot")
    assert found["recipe"].is_path
    assert found["herbs"].is_repeated
    assert found["salt"].default == 2.0


@pytest.mark.parametrize(
    "given",
    [
        {}, {"minutes": 3}, {"minutes": None}, {"salt": 1}, {"heat": "high"}, {"recipe": Path("x")},
        {"recipe": "x"}, {"herbs": ["dill"]}, {"herbs": ("dill", "mint")}, {"is_hot": True},
        {"taster": object()}, {"rest": "5min"}, {"rest": timedelta(minutes=5)}, {"water": "2kB"},
    ],
)  # fmt: skip
def test_values_of_the_declared_type_pass_unchanged(given):
    found = declares_options(cook)("soup", **given)
    names = ("minutes", "salt", "heat", "recipe", "herbs", "is_hot", "rest", "water", "taster")
    defaults = dict(zip(names, cook("soup")[1:], strict=True))
    expected = {**defaults, **given}
    assert found[1:] == tuple(tuple(v) if n == "herbs" else v for n, v in expected.items())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"minutes": "3"}, r"--minutes: '3' should be a valid integer"),
        ({"minutes": 2.5}, r"--minutes: 2\.5 should be a valid integer"),
        ({"minutes": 0}, r"--minutes: 0 should be greater than or equal to 1"),
        ({"salt": 10.0}, r"--salt: 10\.0 should be less than or equal to 9"),
        ({"salt": True}, r"--salt: True should be a valid number"),
        ({"salt": None}, r"--salt: None should be a valid number"),
        ({"heat": "medium"}, r"--heat: 'medium' should be 'low' or 'high'"),
        ({"herbs": [1]}, r"--herb: \[1\] should be a valid string"),
        ({"recipe": 3}, r"--recipe: 3 should be a valid string"),
        ({"is_hot": "yes"}, r"--is-hot: 'yes' should be a valid boolean"),
        (
            {"rest": 5},
            r"--rest: 5 has no unit; write text, as \"5min\", or give a datetime\.timede",
        ),
        ({"rest": np.float32(5)}, r"--rest: .*5\.0.* has no unit"),
        ({"water": np.ones((2, 3))}, r"--water: ndarray of shape \(2, 3\) has no unit"),
        ({"water": 0.5}, r"--water: 0\.5 has no unit; write text, as \"1kB\"$"),
    ],
)
def test_other_values_are_refused_by_name(given, message):
    with pytest.raises(ConfigError, match=message):
        declares_options(cook)("soup", **given)


@pytest.mark.parametrize("one", ["dill", {"dill": 1}], ids=str)
def test_one_value_of_an_option_that_takes_several_is_a_list_of_it_and_not_of_its_letters(one):
    listed = Annotated[Sequence[Any], Option("May be repeated.")]

    def season(herbs: listed, *, more: listed = ()):
        return herbs, more

    checked: Any = declares_options(season)
    assert checked(one, more=one) == ([one], [one])
    assert checked(herbs=[one]) == ([one], ())


def test_a_timedelta_is_recorded_as_it_is_typed():
    line = command_line("cook", cook, {"dish": "soup", "rest": timedelta(milliseconds=20)})
    assert line == ("cook", "soup", "--rest", "0.02s")


def test_an_argument_that_does_not_exist_is_said_by_the_function_itself():
    with pytest.raises(TypeError, match=r"cook\(\) got an unexpected keyword argument 'minuets'"):
        declares_options(cook)("soup", **{"minuets": 3})


def test_an_argument_by_place_that_has_none_is_said_by_the_function_itself():
    checked: Any = declares_options(cook)
    with pytest.raises(TypeError, match="positional argument"):
        checked("soup", 3.5)


def test_the_docstring_lists_the_options_before_what_is_returned():
    text = inspect.getdoc(declares_options(cook))
    assert text.startswith(
        "Cook a dish.\n\nArgs:\n    dish: What is cooked.\n    minutes: How long."
    )
    assert text.endswith("Returns:\n    What was given.")


def options_of(text: str, tmp_path: Path, **given: object) -> dict[str, object]:
    path = tmp_path / "kitchen.toml"
    path.write_text(text)
    return with_config(path, given, declared(cook))


@pytest.mark.parametrize("key", ["is-hot", "is_hot"])
def test_a_file_names_options_with_dashes_or_underscores(key, tmp_path):
    assert options_of(f"{key} = true", tmp_path) == {"is_hot": True}


@pytest.mark.parametrize("key", ["herb", "herbs"])
def test_a_file_names_options_as_the_command_line_or_as_python(key, tmp_path):
    assert options_of(f'{key} = ["dill"]', tmp_path) == {"herbs": ["dill"]}


def test_the_command_line_holds_against_the_file_and_that_is_said(tmp_path, capsys):
    found = options_of('minutes = 3\nheat = "high"\nsalt = 1', tmp_path, minutes=4, heat="high")
    assert found == {"minutes": 4, "heat": "high", "salt": 1}
    lines = capsys.readouterr().err.splitlines()
    path = tmp_path / "kitchen.toml"
    assert lines == [f"note: --config {path} says minutes = 3; --minutes 4 holds"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minuets = 3", r"kitchen\.toml: unknown option 'minuets'; did you mean minutes"),
        ('minutes = "3"', r"kitchen\.toml: minutes: '3' should be a valid integer"),
        ('heat = "medium"', r"kitchen\.toml: heat: 'medium' should be 'low' or 'high'"),
        ("taster = 1", r"kitchen\.toml: unknown option 'taster'"),
        ('herb = []\nherbs = ["dill"]', r"kitchen\.toml: herb and herbs are one option"),
        ("minutes =", r"kitchen\.toml: cannot be read"),
        ("[minutes]\na = 1", r"kitchen\.toml: minutes: \{'a': 1\} should be a valid integer"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        options_of(text, tmp_path)


@pytest.mark.slow
def test_functions_keep_their_names_when_packages_of_the_same_name_are_imported():
    code = """if True:
        import importlib, hwkd
        for name in ("distill", "report", "tasks", "devices"):
            importlib.import_module("hwkd." + name)
        import hwkd.distill.spec
        from hwkd.distill import spec
        public = [name for name in hwkd.__all__ if name[0] != "_"]
        print([name for name in public if not callable(getattr(hwkd, name))])
    """
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_module_with_postponed_annotations_is_a_mistake_of_ours():
    def late(dish: 'Annotated[str, Option("What is cooked.")]'):
        return dish

    with pytest.raises(ValueError, match="late: dish is a text, not a type; leave out"):
        declared(late)
