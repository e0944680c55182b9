"""A valid file of each kind that hwkd reads, and how one is damaged."""

from __future__ import annotations

import json
import random
import shutil
import tomllib
import wave
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks.robustness.data_mutants import NUMBERS, damaged

ROOT = Path(__file__).parents[2]


def make_run(folder: Path) -> None:
    """Search, so that there is a run with a best student."""
    import hwkd

    hwkd.search(
        "cortex-m4", spaces=["plain"], trials=2, full_epochs=1, brief_epochs=1, workers=1,
        controls=1, teacher_time="2s", out=folder / "run",
    )  # fmt: skip


def fill_folder(folder: Path) -> None:
    """Write one valid file of each kind beside a run in the folder `run`."""
    import numpy as np

    import hwkd
    from hwkd.io.cached_array import ArrayFacts, store_array
    from hwkd.io.run_log import LogLine, StageAt, note_line, note_stage

    at = "2026-01-01T00:00:00+00:00"
    note_line(folder / "run", LogLine(at=at, text="a candidate"))
    note_stage(folder / "run", StageAt(stage="search", done=1, total=2, note="", since=at))
    hwkd.export(folder / "run", target="c", out=folder / "firmware")
    for kind, name in (("", "cortex-m4"), ("runtimes", "x-cube-ai-8"), ("cores", "cortex-m4")):
        target = {"": "device", "runtimes": "runtime", "cores": "core"}[kind]
        shutil.copyfile(ROOT / "devices" / kind / f"{name}.toml", folder / f"{target}.toml")
    (folder / "measured.csv").write_text("model,op,cycles\nkws01,conv_1,12345\nkws01,conv_2,999\n")
    rows = [f"{i},{i % 7 / 3:.2f},{i * 2}" for i in range(40)]
    (folder / "table.csv").write_text("\n".join(["a,b,target", *rows]) + "\n")
    store_array(folder / "array", np.arange(12, dtype=np.float32).reshape(3, 4), ArrayFacts())
    rows = [f"{i / 10},{i % 5},{'ab'[i // 30]}" for i in range(60)]
    (folder / "recordings.csv").write_text("\n".join(["time,x,label", *rows]) + "\n")
    np.savez(
        folder / "recordings.npz", x=np.zeros((60, 2)), y=np.arange(60) // 30, rate=np.array(10.0)
    )
    with wave.open(str(folder / "clip.wav"), "wb") as clip:
        clip.setparams((1, 2, 8000, 0, "NONE", ""))
        clip.writeframes(bytes(1600))
    np.save(folder / "unlabelled.npy", np.zeros((3, 1, 8, 8), np.float32))


def mutate(path: Path, rng: random.Random) -> None:
    """Damage a file: bytes anywhere, or one value of its JSON or TOML."""
    content = path.read_bytes()
    if path.suffix in (".json", ".jsonl", ".log", ".toml") and rng.random() < 0.6:
        try:
            content = _restructured(content, path.suffix, rng)
        except (ValueError, TypeError, tomllib.TOMLDecodeError):
            content = damaged(content, rng)
    else:
        content = damaged(content, rng)
    path.write_bytes(content)


def _restructured(content: bytes, suffix: str, rng: random.Random) -> bytes:
    if suffix == ".toml":
        table = _changed(tomllib.loads(content.decode()), rng)
        if not isinstance(table, dict):
            raise TypeError("TOML is a table")
        return tomli_w.dumps(table).encode()
    if suffix == ".json":
        return json.dumps(_changed(json.loads(content), rng)).encode()
    lines = content.splitlines()
    at = rng.randrange(len(lines))
    lines[at] = json.dumps(_changed(json.loads(lines[at]), rng)).encode()
    return b"\n".join(lines) + b"\n"


def _changed(value: Any, rng: random.Random) -> Any:
    """Return a document with one value, somewhere in it, replaced, left out or repeated."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        at = rng.choice(keys)
        if rng.random() < 0.1:
            if isinstance(value, dict):
                return {key: item for key, item in value.items() if key != at}
            return [item for index, item in enumerate(value) if index != at]
        if rng.random() < 0.03 and isinstance(value, dict):
            return {**value, "unheard of": 1}
        changed = _changed(value[at], rng)
        if isinstance(value, dict):
            return {**value, at: changed}
        return [changed if index == at else item for index, item in enumerate(value)]
    if isinstance(value, str) and rng.random() < 0.5:
        return rng.choice(
            (value[:-1], value + "x", value * 50, "\x00", "[/0]", "../../x", "é\u202e")
        )
    return rng.choice(
        (None, True, "", "x", [], {}, [[]], -1, 0, 1.5, float("nan"), 1e308, *NUMBERS, 10**400)
    )
