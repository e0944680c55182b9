"""Structural mutants of ONNX files through a command: each is taken or refused in one line.

    python -m benchmarks.robustness.fuzz_onnx --count 3000 --seed 0 FILE.onnx ...
    python -m benchmarks.robustness.fuzz_onnx --through export INT8.onnx ...

`profile` costs a mutant; `export` writes its C, and what passes goes on to the TFLite writer;
`verify` also compiles it and holds every layer against ONNX Runtime's.

A mutant is a parsed file with one to four changes that a broken exporter or a hostile hand could
make: nodes, names, shapes, attributes, types and constants moved, copied, emptied or overdone; some
have bytes changed instead. The mutants run in a child process, so that a crash of a C library, a
hang or a flood of memory is a finding too. Faults are kept as files beside the report.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.lib.verdict import Target, report
from benchmarks.robustness.onnx_mutants import mutant

_DEVICES = ("cortex-m4", "cortex-m7", "esp32-s3", "cortex-m33")
# Of the processor for one mutant; and without any report, which a busy machine may delay.
_MOST_SECONDS = 5
_MOST_SILENT_SECONDS = 120
_MOST_MEMORY_BYTES = 6 * 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants; returns 1 when one of them is neither taken nor refused in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--through", choices=("profile", "export", "verify"), default="profile")
    parser.add_argument("--out", type=Path, default=Path("fuzz"))
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    outcomes: Counter[str] = Counter()
    start = 0
    while start < given.count:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        child = multiprocessing.get_context("fork").Process(
            target=_run,
            args=(given.files, given.seed, start, given.count, given.out, given.through, sender),
        )
        child.start()
        sender.close()
        start = _collect(receiver, start, outcomes, given.out)
        child.kill()
        child.join()
    for outcome, count in outcomes.most_common():
        print(f"{count:6} {outcome}")
    faults = sum(n for outcome, n in outcomes.items() if outcome not in ("taken", "refused"))
    what = f"faults of {given.count:,} mutants of ONNX files through `hwkd {given.through}`"
    return report([Target(what, faults, 0, scale=1, unit="")], dict(outcomes))


def _collect(receiver: Connection, start: int, outcomes: Counter[str], out: Path) -> int:
    """Take reports until the child is done, silent for too long, or dead; return the next index."""
    while True:
        outcome = "hang"
        if receiver.poll(_MOST_SILENT_SECONDS):
            try:
                outcome = receiver.recv()
            except EOFError:
                outcome = "crash"
        if outcome == "done":
            return start
        if outcome in ("hang", "crash"):
            (out / f"{start}.onnx").write_bytes((out / "current.onnx").read_bytes())
        outcomes[outcome] += 1
        start += 1
        if outcome in ("hang", "crash"):
            return start


def _run(
    files: Sequence[Path],
    seed: int,
    start: int,
    count: int,
    out: Path,
    through: str,
    sender: Connection,
) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    faulthandler.enable()
    sources = [path.read_bytes() for path in files]
    for index in range(start, count):
        generator = random.Random(seed * 1_000_003 + index)
        data = mutant(sources[index % len(sources)], generator)
        current = out / "current.onnx"
        current.write_bytes(data)
        started = time.process_time()
        device, as_json = generator.choice(_DEVICES), generator.random() < 0.5
        if through == "profile":
            outcome = _outcome(["profile", str(current), "--device", device], as_json=as_json)
        else:
            outcome = _exported(current, as_json=as_json)
            if outcome == "taken" and through == "verify":
                outcome = _compared(current)
        # The first one also imports everything.
        if index > start and time.process_time() - started > _MOST_SECONDS:
            outcome = f"more than {_MOST_SECONDS} s, {outcome}"
        if outcome not in ("taken", "refused"):
            (out / f"{index}.onnx").write_bytes(data)
        sender.send(outcome)
    sender.send("done")


def _exported(path: Path, *, as_json: bool) -> str:
    from hwkd.core.errors import HwkdError
    from hwkd.deploy.to_tflite import write_tflite
    from hwkd.qgraph.read_qdq import read_qdq

    with tempfile.TemporaryDirectory() as folder:
        words = ["export", str(path), "--target", "c", "--out", f"{folder}/c"]
        outcome = _outcome(words, as_json=as_json)
    if outcome == "taken":
        try:
            write_tflite(read_qdq(path))
        except HwkdError as error:
            return outcome if str(error).isprintable() else f"unprintable: {str(error)[:80]!r}"
        except BaseException as error:  # whatever it is, it is what is looked for
            return _described(error)
    return outcome


def _compared(path: Path) -> str:
    """Return "taken" where the C computes what ONNX Runtime does."""
    from hwkd.deploy.to_c.export import build_project
    from hwkd.deploy.toolchain import find_host_compiler
    from hwkd.deploy.verify import seeded_samples
    from hwkd.deploy.verify_layers import LayerComparison
    from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
    from hwkd.deploy.verify_run import build_host, run_host

    try:
        project = build_project(path)
        samples = seeded_samples(path, 8)
        steps = to_c_inputs(project, samples)
        comparison = LayerComparison(path, project)
        with tempfile.TemporaryDirectory() as folder:
            programs = build_host(project, Path(folder), find_host_compiler())
            ours = run_host(programs.plain, project, steps).outputs
            comparison.add(steps, run_host(programs.traced, project, steps).step_outputs)
        is_same = ours == reference_outputs(path, project, samples)
    except BaseException as error:  # whatever it is, it is what is looked for
        return _described(error)
    if any(step.differing for step in comparison.steps):
        return "layers differ from ONNX Runtime's"
    return "taken" if is_same[~comparison.has_other_tie].all() else "outputs differ"


def _is_answer(text: str) -> bool:
    """Whether a refused command with --json said so as one JSON object."""
    try:
        return bool(text) and set(json.loads(text)) == {"error"}
    except ValueError:
        return False


def _described(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {error}"[:160]


def _outcome(words: list[str], *, as_json: bool) -> str:
    from hwkd.cli.app import main as hwkd

    printed, said = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            code = hwkd([*words, *["--json"] * as_json])
    except BaseException as error:  # whatever it is, it is what is looked for
        return _described(error)
    if code == 0:
        return "taken"
    lines = said.getvalue().splitlines()
    is_one = code == 2 and len(lines) == 1 and lines[0].isprintable()
    if not is_one or _is_answer(printed.getvalue()) != as_json:
        return f"exit code {code}, {len(lines)} lines on stderr: {said.getvalue()[:80]!r}"
    return "refused"


if __name__ == "__main__":
    sys.exit(main())
