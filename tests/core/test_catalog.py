from __future__ import annotations

from pathlib import Path

import pytest

from hwkd.core import catalog
from hwkd.core.errors import ConfigError

USER_SPACE = """
from __future__ import annotations
from dataclasses import dataclass, field
from typing import ClassVar

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import StudentSpec


@dataclass(frozen=True)
class MySpace:
    name: str = "{name}"
    summary: str = "one convolution"
    widths: ClassVar[tuple[int, ...]] = (4, 8)

    def suggest(self, chooser, *, input_shape, num_outputs):
        params = {{"width": chooser.categorical("width", self.widths)}}
        return StudentSpec(
            space=self.name, params=params, input_shape=input_shape, num_outputs=num_outputs
        )

    def layers(self, spec):
        builder = LayersBuilder(spec.input_shape)
        x = builder.conv(builder.image, "conv", spec.params["width"], kernel=3, activation="relu")
        builder.classifier(x, spec.num_outputs)
        return builder.build()


SEARCH_SPACES.register("{name}")(MySpace())
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_users_own_file_gives_its_space(tmp_path):
    space = catalog.load_user_space(write(tmp_path / "mine.py", USER_SPACE.format(name="mine")))
    assert (space.name, space.summary) == ("mine", "one convolution")


def test_a_users_space_does_not_join_the_catalogue(tmp_path):
    path = write(tmp_path / "mine.py", USER_SPACE.format(name="not_in_catalogue"))
    catalog.load_user_space(path)
    assert "not_in_catalogue" not in catalog.SEARCH_SPACES.names()
    assert catalog.load_user_space(path) is catalog.load_user_space(path)


def test_two_files_of_one_name_are_two_spaces(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = write(tmp_path / folder / "mine.py", USER_SPACE.format(name=f"space_{folder}"))
        assert catalog.load_user_space(path).name == f"space_{folder}"


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"--space .*none\.py: no such file; give a Python file"):
        catalog.load_user_space(tmp_path / "none.py")


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
    catalog.discover("hwkd.search_spaces")
    before = catalog.SEARCH_SPACES.names()
    with pytest.raises(ConfigError, match=message):
        catalog.load_user_space(write(tmp_path / "mine.py", text))
    assert catalog.SEARCH_SPACES.names() == before
    assert "depthwise" in before


def test_every_catalogue_package_registers_something():
    for package, registry in (
        ("hwkd.search_spaces", catalog.SEARCH_SPACES),
        ("hwkd.tasks", catalog.TASKS),
        ("hwkd.distill.losses", catalog.METHODS),
    ):
        catalog.discover(package)
        assert registry.names()
