"""`hwkd methods`: every method is listed and explained, for people and for programs."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hwkd.cli.app import app
from hwkd.core.catalog import METHODS
from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.io.discovery import discover

discover("hwkd.distill.losses")


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["methods", *arguments], env={"COLUMNS": "200"})
    if result.exception is not None:
        raise result.exception
    return result.stdout


# Students have no softmax attention, so these are explained by name and not listed.
NEED_ATTENTION = {"attention_maps", "value_relations"}
LISTED = [name for name in METHODS.names() if name not in NEED_ATTENTION]


def test_list_shows_every_method_that_a_student_can_learn_by() -> None:
    shown = _run("list")
    assert all(name in shown for name in LISTED)
    assert not any(name in shown for name in NEED_ATTENTION)


def test_list_json_holds_what_a_program_needs() -> None:
    rows = json.loads(_run("list", "--json"))["methods"]
    assert [row["name"] for row in rows] == LISTED
    for row in rows:
        assert row["formula"]
        assert row["needs"]
        assert row["cost_steps"] is None or row["cost_steps"] >= 0


def test_every_registered_method_but_those_about_boxes_has_a_stored_cost() -> None:
    rows = json.loads(_run("list", "--json"))["methods"]
    # That of mgd waits for a quiet machine.
    about_things = [name for name in METHODS.names() if METHODS.get(name).of_things]
    assert [row["name"] for row in rows if row["cost_steps"] is None] == sorted(
        [*about_things, "mgd"]
    )


def test_a_method_about_boxes_is_not_timed_on_a_network_of_classes() -> None:
    with pytest.raises(ConfigError, match=r"method bounded: .* has no boxes; leave --measure out"):
        _run("show", "bounded", "--measure")


def test_soft_targets_cost_at_most_a_twentieth_of_a_step() -> None:
    rows = {row["name"]: row for row in json.loads(_run("list", "--json"))["methods"]}
    assert rows["kd"]["cost_steps"] <= 0.05


def test_list_of_a_family() -> None:
    shown = _run("list", "--family", "gradient")
    assert "jacobian" in shown
    assert "fitnet" not in shown
    with pytest.raises(UnknownNameError, match="unknown family 'featur'; did you mean feature"):
        _run("list", "--family", "featur")


@pytest.mark.parametrize("name", METHODS.names())
def test_show_explains_a_method(name: str) -> None:
    shown = " ".join(_run("show", name).split())
    assert METHODS.get(name).paper.split(",")[0] in shown
    assert "smallest batch" in shown
    assert f"--method {name}:" in shown


def test_show_json_lists_options_with_their_ranges() -> None:
    row = json.loads(_run("show", "kd", "--json"))
    (temperature,) = row["options"]
    assert temperature["allowed"] == "> 0"
    assert temperature["default"] == 4.0
    assert row["no_teacher_control"] == "kd-from-labels"


@pytest.mark.slow
def test_show_measures_when_asked() -> None:
    row = json.loads(_run("show", "kd", "--measure", "--json"))
    assert row["cost_steps"] > 0
    assert row["measured_on"].startswith("here and now")


def test_unknown_method_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean fitnet"):
        _run("show", "fitnets")
