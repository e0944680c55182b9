"""`hwkd schemes`: every scheme is listed and explained, for people and for programs."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hwkd.cli.app import app
from hwkd.core.catalog import SCHEMES
from hwkd.core.errors import UnknownNameError
from hwkd.io.discovery import discover

discover("hwkd.distill.schemes")


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["schemes", *arguments], env={"COLUMNS": "200"})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_list_shows_every_scheme() -> None:
    listed = _run("list")
    assert all(name in listed for name in SCHEMES.names())
    assert "A student whose logits" in " ".join(listed.split())
    assert "The teacher is trained first and stays as it is" not in " ".join(listed.split())
    assert "The teacher is trained first" in _run("show", "adversarial")


def test_list_of_a_family_is_json_for_programs() -> None:
    found = json.loads(_run("list", "--family", "online", "--json"))["schemes"]
    assert {"dml", "kdcl", "one", "okddip"} <= {each["name"] for each in found}
    assert {each["family"] for each in found} == {"online"}


def test_show_says_who_takes_part_what_ships_and_the_control() -> None:
    shown = " ".join(_run("show", "one").split())
    for text in ("branch2", "gate", "everything else is left behind", "labels alone", "1806.04606"):
        assert text in shown


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean dml"):
        _run("show", "dmll")
    with pytest.raises(UnknownNameError, match="family 'onlin'"):
        _run("list", "--family", "onlin")


def test_an_option_that_is_on_or_off_says_so() -> None:
    facts = json.loads(_run("show", "multi_teacher", "--json"))
    (found,) = [o for o in facts["options"] if o["name"] == "divide_by_teachers"]
    assert (found["default"], found["allowed"]) == (False, "true or false")
    line = next(li for li in _run("show", "multi_teacher").splitlines() if "divide_by" in li)
    assert line.split()[1:5] == ["false", "true", "or", "false"]
