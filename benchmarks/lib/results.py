"""What benchmarks reached: one JSON file each in `benchmarks/results/`, and how it came about."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue

Json: TypeAlias = JsonValue

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "results"
# A test that runs a benchmark points this at a folder of its own.
VARIABLE = "HWKD_BENCHMARK_RESULTS"
_PACKAGES = ("numpy", "onnx", "onnxruntime", "optuna", "torch")


class Reached(BaseModel):
    """One target, in the units that are printed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str
    reached: float
    limit: float
    relation: Literal["at least", "at most"]
    unit: str
    is_met: bool


class Result(BaseModel):
    """One whole run of a benchmark.

    Attributes:
        name: of the program, without `benchmarks.`, for example "speed.screening".
        targets: none for a program that only informs.
        values: further numbers.
        command: that repeats it.
        commit: of the checkout; "+" at the end when files differed from it.
        versions: of Python and of what results depend on.
        machine: processor, cores and memory.
        date: UTC, of its end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    name: str
    targets: tuple[Reached, ...]
    values: dict[str, Json]
    command: str
    commit: str
    versions: dict[str, str]
    machine: str
    date: str


def program_name() -> str | None:
    """Return the name of the benchmark that is running; None in a test or another program."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = "" if spec is None else spec.name
    return name.removeprefix("benchmarks.") if name.startswith("benchmarks.") else None


def record_result(name: str, targets: Sequence[Reached], values: Mapping[str, Any]) -> Path:
    """Write the result of the run that ends, in place of the one before.

    Args:
        name: of the program.
        targets: what was reached.
        values: further numbers.
    """
    result = Result(
        name=name,
        targets=tuple(targets),
        values=json.loads(json.dumps(values)),  # tuples become lists
        command=_without_paths(shlex.join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]])),
        commit=_commit(),
        versions={"python": platform.python_version(), **_versions()},
        machine=_machine(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    folder = Path(os.environ.get(VARIABLE, FOLDER))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return path


def read_results(folder: Path = FOLDER) -> tuple[Result, ...]:
    """Return all results, by name."""
    return tuple(
        Result.model_validate_json(path.read_bytes()) for path in sorted(folder.glob("*.json"))
    )


def _without_paths(command: str) -> str:
    """Name files of the machine by their last part: the page is for other machines."""
    return re.sub(r"(?<!\S)/\S*/(\S+)", r"\1", command)


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "hwkd", "search_spaces", "devices", "benchmarks")
    other = [line for line in changed.splitlines() if "benchmarks/results/" not in line]
    return git("rev-parse", "--short", "HEAD") + ("+" if other else "")


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        match = re.search(r"model name\s*:\s*(.+)", info.read_text())
        model = match.group(1) if match else model
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{model}, {os.cpu_count()} cores, {gigabytes:.0f} GB"
