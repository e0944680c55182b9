"""`--help`: every option with its meaning, readable at 80 columns, nothing of it cut."""

import re

import pytest

from hwkd.cli.app import COMMANDS, main
from hwkd.cli.help_page import meaning_of, words_of

BY_NAME = {command.name: command for command in COMMANDS}


def page(words, capsys):
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


def sentence(text):
    """Words alone: a page breaks lines where it must."""
    return "".join(text.split())


@pytest.mark.parametrize("name", BY_NAME)
def test_every_option_stands_there_whole_at_eighty_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    printed = page(name.split(), capsys)
    examples = {f"  {line}" for line in BY_NAME[name].examples}
    lines = [line.rstrip() for line in printed.splitlines()]
    assert examples <= set(lines), "an example is one line, so that it can be copied"
    assert max(len(line) for line in lines if line not in examples) <= 80
    assert "\N{HORIZONTAL ELLIPSIS}" not in printed
    together = sentence(printed)
    for option in BY_NAME[name].options:
        assert sentence(words_of(option) + meaning_of(option)) in together, option.label


@pytest.mark.parametrize("name", BY_NAME)
def test_what_an_option_does_has_two_thirds_of_the_width(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = page(name.split(), capsys).splitlines()
    begins = [re.search(r"^  -\S.*?  +(?=\S)", line) for line in lines]
    assert max(found.end() for found in begins if found) <= 80 / 3 + 3


def test_choices_ranges_and_defaults_are_sentences(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    together = " ".join(page(["search"], capsys).split())
    assert "--layout CHOICE Order of the axes" in together
    assert "One of auto, nf, nhw, nhwc, nchw, nct, ntc. Default: auto." in together
    assert "--final, --no-final" in together
    assert re.search(r"--controls NUMBER Seeds .* Default: 1\.", together)
    assert "Must be given, unless --resume is." in together
    assert "Must be given." in page(["finetune"], capsys)


def test_the_first_page_names_every_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    printed = page([], capsys)
    assert max(map(len, printed.splitlines())) <= 80
    for name in BY_NAME:
        assert re.search(rf"^  {name.split()[0]}  +\S", printed, flags=re.M), name
    for group in {name.split()[0] for name in BY_NAME if " " in name}:
        inside = page([group], capsys)
        for name in BY_NAME:
            if name.startswith(f"{group} "):
                assert re.search(rf"^  {name.split()[1]}  +\S", inside, flags=re.M), name
