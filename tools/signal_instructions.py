"""Counts instructions and code of the steps of signal features on emulated cores.

    python -m tools.signal_instructions [CORE ...]   # writes hwkd/signals/instructions.json
    python -m tools.signal_instructions texts [CORE ...]   # of texts alone
    python -m tools.signal_instructions stacks [CORE ...]   # stack alone, by the compiler's word

Pipelines with different settings run as one program per core. Instructions of each unit of work and
bytes of each kind of step are the non-negative numbers that explain all pipelines best, relative to
their size. Every fourth pipeline takes no part in the fit and gives its error. Those of texts are
fitted by themselves.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmarks.lib.feature_runs import FeatureRun, pipeline_of, run_features
from hwkd.core.core_file import Core
from hwkd.deploy.toolchain import Tools, find_tools, run_tool
from hwkd.io.core_files import core_names, load_core
from hwkd.signals.pipeline import Pipeline, shapes_of
from hwkd.signals.work import BASE, MOTION, PIECES, SPECTRA, TEXTS, kinds_of, work_of

FILE = Path(__file__).parents[1] / "hwkd" / "signals" / "instructions.json"
_SOUND, _MOTION = 16000.0, 50.0
_CASES: tuple[tuple[str, tuple[int, int], float], ...] = (
    ("log-mel", (1, 4800), _SOUND),
    ("log-mel:bins=20,window=16ms,stride=16ms", (1, 3000), _SOUND),
    ("log-mel:bins=8,window=4ms,stride=4ms,low=300Hz", (1, 1200), _SOUND),
    ("log-mel:bins=32,window=32ms,stride=16ms", (1, 4000), _SOUND),
    ("log-mel:bins=64,window=64ms,stride=32ms,low=100Hz", (2, 3000), _SOUND),
    ("log-mel:bins=64,window=128ms,stride=64ms", (1, 4000), _SOUND),
    ("log-mel:bins=12,window=8ms,stride=8ms,low=200Hz,pcen=yes", (1, 1600), _SOUND),
    ("log-mel:bins=40,window=30ms,pcen=yes", (1, 3200), _SOUND),
    ("log-mel:bins=24,pcen=yes,delta=yes", (1, 3200), _SOUND),
    ("log-mel:bins=40,delta=yes,shape=none", (1, 3200), _SOUND),
    ("log-mel:bins=16,window=8ms,stride=8ms,low=200Hz,delta=yes", (2, 1600), _SOUND),
    ("log-mel:bins=40,magnitude=yes", (1, 3200), _SOUND),
    ("log-mel:bins=10,window=8ms,stride=8ms,low=200Hz,magnitude=yes", (1, 1600), _SOUND),
    ("mfcc", (1, 3200), _SOUND),
    ("mfcc:bins=20,coefficients=20", (1, 3200), _SOUND),
    ("mfcc:bins=64,coefficients=13,window=64ms,stride=32ms", (1, 4000), _SOUND),
    ("mfcc:bins=24,coefficients=10,delta=yes,window=16ms,stride=16ms", (1, 2000), _SOUND),
    ("log-mel:bins=24,decimate=2", (1, 3200), _SOUND),
    ("log-mel:bins=16,decimate=4,window=32ms,stride=32ms", (1, 4800), _SOUND),
    ("mfcc:bins=16,coefficients=8,decimate=3", (1, 4800), _SOUND),
    ("imu", (6, 200), _MOTION),
    ("imu:magnitude=no", (3, 300), _MOTION),
    ("imu:window=0.2s,stride=0.2s", (3, 300), _MOTION),
    ("imu:window=1s,stride=0.5s,magnitude=no", (6, 400), _MOTION),
    ("imu:low=0.5Hz,high=20Hz", (3, 200), _MOTION),
    ("imu:high=10Hz,magnitude=no", (6, 200), _MOTION),
    ("imu:statistics=no,low=1Hz", (3, 256), _MOTION),
    ("imu:statistics=no,decimate=2", (3, 256), _MOTION),
    ("imu:statistics=no,decimate=4,magnitude=no", (6, 256), _MOTION),
    ("imu:statistics=no", (6, 128), _MOTION),
    ("imu:statistics=no,high=5Hz,magnitude=no", (1, 256), _MOTION),
    ("imu:decimate=2,window=0.8s,stride=0.4s", (6, 400), _MOTION),
)
_HELD_OUT = 4
STACKS = "stacks"
_TEXT_CASES = tuple(
    (f"{name}:{sizes}", (1, length), 1.0)
    for length in (256, 1024, 3008)
    for name, sizes in (
        ("words", "known=0,buckets=64"),
        ("words", "known=0,buckets=2048"),
        ("word-codes", "count=24,size=64"),
        ("bytes", "count=128,size=16"),
        ("words", "known=800,buckets=200"),
        ("word-codes", "count=96,size=32"),
        ("bytes", "count=250,size=32"),
        ("byte-ids", "count=96"),
        ("pieces", "known=250,count=200"),
        ("byte-ids", "count=256"),
        ("pieces", "known=1000,count=128"),
        ("pieces", "known=3000,count=800"),
        ("pieces", "known=600,count=160"),
    )
)
# A pipeline as a program of its own.
_ALONE = """#include <stdint.h>
extern int16_t out[];
static void put(int32_t i, int32_t value) {{ out[i] = (int16_t)value; }}
{made.text}
void run(const {made.c_type} *raw);
void run(const {made.c_type} *raw) {{ prepare(raw); }}
"""
_LETTERS = np.frombuffer(b"etaoinshrdlu  ", np.uint8)


def _fitted(
    rows: Sequence[Mapping[str, float]], measured: Sequence[float]
) -> tuple[dict[str, float], list[float]]:
    """Return what each unit takes, and the errors of rows that took no part; 0 of the others."""
    names = sorted({name for row in rows for name in row})
    work = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    taken = np.array(measured)
    kept = np.arange(len(rows)) % _HELD_OUT != _HELD_OUT - 1
    used = work / taken[:, None]
    partial, _ = nnls(used[kept], np.ones(kept.sum()))
    off = np.where(kept, 0.0, np.abs(used @ partial - 1))
    whole, _ = nnls(used, np.ones(len(rows)))
    units = {name: round(float(one), 4) for name, one in zip(names, whole, strict=True)}
    return units, off.tolist()


def _counted(runs: Sequence[FeatureRun]) -> dict[str, dict[str, float]]:
    work, code = [], []
    for run in runs:
        steps = run.pipeline.steps
        work.append(work_of(steps, shapes_of(steps, run.pipeline.raw_shape)))
        code.append(dict.fromkeys(kinds_of(steps), 1.0))
    is_of_spectra = [any(step.kind == "rfft" for step in run.pipeline.steps) for run in runs]
    taken = [float(run.instructions.mean()) for run in runs]
    units, off = _fitted(work, taken)
    errors = {
        SPECTRA if is_it else MOTION: max(
            one for one, other in zip(off, is_of_spectra, strict=True) if other is is_it
        )
        for is_it in (True, False)
    }
    bytes_of, code_off = _fitted(code, [float(run.code_bytes) for run in runs])
    return {
        "units": units,
        "code": bytes_of,
        "error": {
            **{name: round(error, 4) for name, error in errors.items()},
            "code": round(max(code_off), 4),
        },
    }


def _counted_texts(
    runs: Sequence[FeatureRun], known: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Return what texts take, their code beside what every pipeline has."""
    work, code, taken, rest_code = [], [], [], []
    for run in runs:
        steps = run.pipeline.steps
        work.append(work_of(steps, shapes_of(steps, run.pipeline.raw_shape)))
        taken.append(float(run.instructions.mean()))
        code.append(dict.fromkeys(kinds_of(steps)[1:], 1.0))
        rest_code.append(max(1.0, run.code_bytes - known["code"][BASE]))
    units, off = _fitted(work, taken)
    return {
        "units": units,
        "code": _fitted(code, rest_code)[0],
        "error": {
            name: round(
                max(
                    one
                    for one, run in zip(off, runs, strict=True)
                    if (run.pipeline.steps[0].kind == PIECES) is (name == PIECES)
                ),
                4,
            )
            for name in (TEXTS, PIECES)
        },
    }


def _texts(count: int, length: int) -> NDArray[np.uint8]:
    """Return letters and spaces as often as in English words, up to the last byte."""
    return np.random.default_rng(0).choice(_LETTERS, (count, 1, length))


def _text_cases() -> list[tuple[Pipeline, NDArray[Any]]]:
    cases = []
    for text, shape, rate_hz in _TEXT_CASES:
        texts = _texts(2, shape[1])
        # Pieces are those of texts like these, as those of a training are.
        given = _texts(50, shape[1]) if text.startswith(PIECES) else None
        cases.append((pipeline_of(text, shape, rate_hz, count=16, given=given)[0], texts))
    return cases


def _stacks(pipelines: Sequence[Pipeline], core: Core, tools: Tools) -> dict[str, int]:
    """Return kind of step -> what the pipeline that needs least with it takes of the stack.

    Most is inlined into one function; loops that need every register have frames of their own.
    """
    frames: dict[str, list[int]] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for pipeline in pipelines:
            made = pipeline.to_c("prepare", put="put")
            for header, text in made.headers.items():
                (folder / header).write_text(text, "utf-8")
            (folder / "stack.c").write_text(_ALONE.format(made=made), "utf-8")
            options = ("-std=gnu99", "-O2", "-fcallgraph-info=su", "-I.", "-c", "stack.c")
            run_tool([tools.compiler, *core.flags, *options], folder=folder)
            deepest = _deepest((folder / "stack.ci").read_text("utf-8"), "run")
            for kind in kinds_of(pipeline.steps):
                frames.setdefault(kind, []).append(deepest)
    return {kind: min(found) for kind, found in sorted(frames.items())}


def _deepest(graph: str, function: str) -> int:
    """Return the stack of a function and of those it calls, by the compiler's graph of calls.

    What libraries take is not in it.
    """
    called = re.findall(r'edge: { sourcename: "([^"]+)" targetname: "([^"]+)"', graph)
    nodes = re.findall(r'node: { title: "([^"]+)" label: "[^"]*?(\d+) bytes', graph)
    frames = {name: int(size) for name, size in nodes}

    def below(name: str) -> int:
        deeper = [below(target) for source, target in called if source == name]
        return frames.get(name, 0) + max(deeper, default=0)

    return below(function)


def main() -> None:
    """Count on every core, or on those named, and write the file."""
    found = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else {}
    random = np.random.default_rng(0)
    cases = []
    for text, shape, rate_hz in _CASES:
        pipeline, _ = pipeline_of(text, shape, rate_hz, count=16)
        signals = np.rint(random.standard_normal((2, *shape)) * 2000).astype(np.int16)
        cases.append((pipeline, signals))
    only = sys.argv[1] if sys.argv[1:2] in ([TEXTS], [STACKS]) else ""
    names, tools = [name for name in sys.argv[1:] if name != only], find_tools()
    texts = _text_cases()
    for name in names or core_names():
        core = load_core(name)
        if not only:
            found[name] = _counted(run_features(cases, core, tools))
        if only != STACKS:
            added = _counted_texts(run_features(texts, core, tools), found[name])
            for part, values in added.items():
                found[name][part] = dict(sorted({**found[name][part], **values}.items()))
        found[name]["stack"] = _stacks([pipeline for pipeline, _ in (*cases, *texts)], core, tools)
        print(name, found[name]["error"], flush=True)
        FILE.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
