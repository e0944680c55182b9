"""What a package adds through `hwkd.plugins` serves a whole search, with no file of hwkd edited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.processes import Processes
from support.user_space import USER_SPACE

PAGE = Path(__file__).parents[2] / "docs/extending.md"
PLUGIN = (
    USER_SPACE.format(name="my-space")
    + PAGE.read_text().partition("```python\n")[2].partition("```")[0]
)
SEARCH = (
    "search --device cortex-m7 --task my-task --space my-space --method my-method --sampler "
    "my-sampler --trials 2 --brief-epochs 1 --full-epochs 1 --controls 0 --teacher-time 1s "
    "--workers 1 --out run --json"
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder as pip leaves one: a module, and its entry point."""
    facts = tmp_path / "site" / "mine-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[hwkd.plugins]\nmine = mine\n")
    (facts.parent / "mine.py").write_text(PLUGIN)
    return facts.parent


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_task_space_method_sampler_and_target_of_a_package_serve_a_search(
    package: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(package.parent)
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.delenv("HWKD_NO_PLUGINS")
    found = processes.start(SEARCH.split()).told()
    assert found["trials"] == 2
    run = json.loads((package.parent / "run" / "run.json").read_text())
    assert run["data"]["task"] == "my-task"
    assert run["final"]["spec"]["space"] == "my-space"
    assert "my-method" in json.dumps(run["final"]["verdict"])
    processes.start(["export", "run", "--target", "my-target", "--out", "out", "--json"]).told()
    int8 = package.parent / "run" / "best" / "student_int8.onnx"
    assert (package.parent / "out" / "bytes.txt").read_text() == str(int8.stat().st_size)
