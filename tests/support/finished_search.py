"""A whole search on a small data set, from candidates to a best student, that tests read."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from hwkd.cli.app import main
from hwkd.core.trial import TrialRecord
from support.made_once import MadeOnce
from support.tiny_search import write_npz, write_teacher

TRIALS = 8
TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm", "cc")
VERIFIES = all(map(shutil.which, TOOLS))


@dataclass(frozen=True, kw_only=True)
class FinishedSearch:
    """What `hwkd search` left; a test that changes it takes a copy.

    Attributes:
        inputs: folder with `data.npz` and `teacher.onnx`.
        run: its folder.
        printed: what `--json` told.
    """

    inputs: Path
    run: Path
    printed: dict[str, Any]


def search_arguments(inputs: Path, out: Path, *more: object, trials: int = TRIALS) -> list[str]:
    """Return the words of a search on a folder of inputs."""
    given = [
        "search", "--device", "cortex-m7", "--data", inputs / "data.npz",
        "--teacher", inputs / "teacher.onnx", "--space", "narrow_deep", "--space", "depthwise",
        "--max-latency", "2ms", "--workers", 1, "--seed", 3, "--trials", trials,
        "--brief-epochs", 1, "--full-epochs", 1, "--out", out, *more,
    ]  # fmt: skip
    return [str(argument) for argument in given]


def _search(folder: Path) -> None:
    write_npz(folder / "data.npz")
    write_teacher(folder / "teacher.onnx")
    verify = ("--verify",) if VERIFIES else ()
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("typer.echo", lambda text, **options: printed.append(text))
        assert main(search_arguments(folder, folder / "run", "--json", *verify)) == 0
    (text,) = printed
    (folder / "printed.json").write_text(text)


def finished_search(made_once: MadeOnce) -> FinishedSearch:
    """Return a search that ran undisturbed."""
    folder = made_once("search", _search)
    return FinishedSearch(
        inputs=folder, run=folder / "run", printed=json.loads((folder / "printed.json").read_text())
    )


def records(run: Path) -> list[TrialRecord]:
    lines = (run / "trials.jsonl").read_text().splitlines()
    return [TrialRecord.model_validate_json(line) for line in lines]


def outcome(run: Path) -> list[tuple[object, ...]]:
    """Return what must not depend on when or how often a search was interrupted."""
    return [
        (r.number, r.state, r.reason, r.spec, r.scores, r.objective, r.epochs) for r in records(run)
    ]


def load_exported(folder: Path) -> torch.nn.Module:
    spec = importlib.util.spec_from_file_location("load_student", folder / "load_student.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()
