"""Every package folder is shipped, and the built wheel works outside the checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def declared():
    return set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )


def test_every_package_folder_is_declared():
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "hwkd").rglob("__init__.py")
    }
    assert declared() == found | {"hwkd.devices", "hwkd.search_spaces"}


def test_constraints_pin_every_dependency_exactly():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in lines if not line.startswith("#")
    }
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    for requirement in wanted:
        name = requirement.split(">")[0].split("<")[0].split("[")[0].strip().lower()
        assert name.replace("_", "-") in pinned, f"{requirement} is not pinned in constraints.txt"
    assert all("==" in line for line in lines if line and not line.startswith("#"))


@pytest.mark.slow
def test_built_wheel_runs_from_another_folder(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("hwkd-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    # Isolated from the checkout: only the unpacked wheel and the installed dependencies are seen.
    code = (
        "import hwkd, sys; from hwkd.cli import main; "
        f"assert hwkd.__file__.startswith({str(tmp_path)!r}), hwkd.__file__; "
        "raise SystemExit(main(['devices', 'show', 'cortex-m7', '--json']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "cortex-m7" in result.stdout
