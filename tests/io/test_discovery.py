from __future__ import annotations

from pathlib import Path

import pytest
from support.user_space import USER_SPACE

from hwkd.core import catalog
from hwkd.core.errors import ConfigError
from hwkd.io import discovery


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_users_own_file_gives_its_space(tmp_path):
    space = discovery.load_user_space(write(tmp_path / "mine.py", USER_SPACE.format(name="mine")))
    assert (space.name, space.summary) == ("mine", "one convolution")


def test_a_users_space_does_not_join_the_catalogue(tmp_path):
    path = write(tmp_path / "mine.py", USER_SPACE.format(name="not_in_catalogue"))
    discovery.load_user_space(path)
    assert "not_in_catalogue" not in catalog.SEARCH_SPACES.names()
    assert discovery.load_user_space(path) is discovery.load_user_space(path)


def test_two_files_of_one_name_are_two_spaces(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = write(tmp_path / folder / "mine.py", USER_SPACE.format(name=f"space_{folder}"))
        assert discovery.load_user_space(path).name == f"space_{folder}"


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"--space .*none\.py: no such file; give a Python file"):
        discovery.load_user_space(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module_here\n", "ModuleNotFoundError: No module named"),
        ("def broken(:\n", "SyntaxError"),
        ("raise ValueError('first\\nsecond')\n", "ValueError: first$"),
        ("x = 1\n", "registers 0 search spaces, expected one"),
        (
            USER_SPACE.format(name="one") + "SEARCH_SPACES.register('two')(MySpace())\n",
            "registers 2 search spaces, expected one",
        ),
        (USER_SPACE.format(name="depthwise"), "'depthwise' is registered twice"),
        (USER_SPACE.format(name="late") + "1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_a_file_that_gives_no_space_is_one_line_and_leaves_nothing(tmp_path, text, message):
    discovery.discover("hwkd.search_spaces")
    before = catalog.SEARCH_SPACES.names()
    with pytest.raises(ConfigError, match=message):
        discovery.load_user_space(write(tmp_path / "mine.py", text))
    assert catalog.SEARCH_SPACES.names() == before
    assert "depthwise" in before


def test_every_catalogue_package_registers_something():
    for package, registry in (
        ("hwkd.search_spaces", catalog.SEARCH_SPACES),
        ("hwkd.tasks", catalog.TASKS),
        ("hwkd.distill.losses", catalog.METHODS),
    ):
        discovery.discover(package)
        assert registry.names()
