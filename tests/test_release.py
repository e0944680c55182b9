"""What a release and its workflows name exists, and a tag that does not fit is refused."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from hwkd.cli import main
from tools.check_release import fault_of
from tools.oldest_libraries import oldest

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture
def release(tmp_path) -> Path:
    """Return a folder that is ready to be released."""
    for name in ("pyproject.toml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## {VERSION}\n\n- It works.\n\n## 0.0.1\n\n- x\n"
    )
    return tmp_path


def test_what_agrees_may_be_released(release):
    assert fault_of(f"v{VERSION}", release) is None


def test_another_tag_is_refused(release):
    assert fault_of("v9.9.9", release) == (
        f"the tag is v9.9.9, pyproject.toml says {VERSION}; expected v{VERSION}"
    )


@pytest.mark.parametrize(
    "text", ["# Changelog\n\n## Unreleased\n\n- x\n", f"## {VERSION}\n\n## 0.0.1\n"]
)
def test_a_version_without_changes_is_refused(release, text):
    (release / "CHANGELOG.md").write_text(text)
    assert "CHANGELOG.md" in (fault_of(f"v{VERSION}", release) or "")


def test_another_version_in_the_citation_is_refused(release):
    (release / "CITATION.cff").write_text("version: 0.0.1\n")
    assert "CITATION.cff" in (fault_of(f"v{VERSION}", release) or "")


def test_the_citation_names_the_version_of_the_project():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION


def test_every_library_has_an_oldest_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[^\w.-]", text)[0] for text in wanted}
    found = oldest(["dev"])
    assert {line.split("==")[0] for line in found} == names
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+(post\d+)?", line) for line in found)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_what_exists(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    commands = "\n".join(
        step["run"] for job in jobs.values() for step in job["steps"] if "run" in step
    )
    modules = re.findall(r"-m (tools\.\w+)", commands)
    assert all((ROOT / f"{name.replace('.', '/')}.py").is_file() for name in modules)
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{goal}:" in makefile for goal in re.findall(r"make (\w+)", commands))
    assert ".ci/run" in commands


def test_the_matrix_holds_every_python_that_the_package_names():
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    pythons = {name.rpartition(" ")[2] for name in names if re.search(r":: 3\.\d+$", name)}
    matrix = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())
    assert pythons <= set(matrix["jobs"]["tests"]["strategy"]["matrix"]["python"])


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda p: p.stem
)
def test_issue_forms_ask_something(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids) > 1


def test_the_image_holds_all_that_is_packaged():
    text = (ROOT / "Dockerfile").read_text()
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-dir"
    ]
    assert all(f"COPY {folder} {folder}" in text for folder in folders.values())


def test_windows_is_refused_in_one_line(monkeypatch, capsys):
    # Of the module alone: the standard library would import what Windows has.
    there = SimpleNamespace(platform="win32", stderr=sys.stderr)
    monkeypatch.setattr("hwkd.cli.app.sys", there)
    assert main(["devices", "list"]) == 2
    error = capsys.readouterr().err
    assert "WSL" in error
    assert error.count("\n") == 1
