"""Time, memory and size of a run of thousands of trials: open, go on, ask, report.

Run: python -m benchmarks.speed.large_runs [--trials 5000] [--reported 20000] [--keep FOLDER]

A search of one candidate makes the folder; trials of random students with true costs and made-up
scores are added to its study. Going on is timed as a user sees it: from the command to the next
student's training, so it holds the start of Python twice, the data and the first choice. The report
is made by the command, in a process of its own, whose largest memory is read at its end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib.made_up_trials import made_up_trials
from benchmarks.lib.search_command import run_search_command, search_environment
from benchmarks.lib.verdict import Target, count, report
from benchmarks.speed.ask_time import time_asks
from hwkd.engine.run.loaded_context import load_context
from hwkd.engine.run.run_folder import RunFolder
from hwkd.io.run_files import STATUS_FOLDER

# A child's largest memory begins with that of its parent, so a small process starts it.
_PEAK_OF_CHILD = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
# Elements of HTML without an end.
_VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5_000, help="of the run that goes on")
    parser.add_argument("--reported", type=int, default=20_000, help="of the run that is reported")
    parser.add_argument("--keep", type=Path, help="folder for the runs; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        run = made_up_run(folder / "resumed", arguments.trials, folder)
        values: dict[str, Any] = {"trials of the run that goes on": arguments.trials}
        values |= {"MB of its journal": round(run.journal_path.stat().st_size / 1e6, 1)}
        open_s = time_opening(run.path)
        resume_s = time_resuming(run.path, arguments.trials, folder)
        first_s, asks_s = time_asks(run.trials, load_context(run), 12, is_profiled=False)
        reported = made_up_run(folder / "reported", arguments.reported, folder)
        values |= {
            "trials of the run that is reported": arguments.reported,
            "MB of its records": round(reported.trials_path.stat().st_size / 1e6, 1),
        }
        report_s, peak_bytes = time_report(reported.path)
        page = (reported.path / "report.html").read_text(encoding="utf-8")
        faults = page_faults(page)
        lines = sum(1 for _ in (reported.path / "trials.csv").open()) - 1
    many, most = f"{arguments.trials:,} trials", f"{arguments.reported:,} trials"
    targets = [
        Target(f"open {many}", open_s, 5.0, scale=1.0, unit=" s"),
        Target(f"from --resume to the next training, {many}", resume_s, 5.0, scale=1.0, unit=" s"),
        Target(f"an ask after {many}", float(np.mean(asks_s)), 0.150, scale=1e3, unit=" ms"),
        Target(f"report of {most}", report_s, 20.0, scale=1.0, unit=" s"),
        Target("memory of the report", peak_bytes, 0.5e9, scale=1e-6, unit=" MB"),
        Target("size of the page", len(page.encode()), 5e6, scale=1e-6, unit=" MB"),
        count("faults of the page's HTML", len(faults), 0),
        count("trials that trials.csv lacks", arguments.reported - lines, 0),
    ]
    return report(targets, values | {"first ask s": round(first_s, 2), "faults": faults})


def made_up_run(path: Path, trials: int, folder: Path) -> RunFolder:
    """Return a run folder of that many trials; one that is there already is taken as it is."""
    store = RunFolder(path)
    if path.exists():
        return store
    random = np.random.default_rng(0)
    data = folder / "data.npz"
    inputs = random.normal(size=(400, 28, 28)).astype(np.float32)
    np.savez(data, x_train=inputs, y_train=np.arange(400) % 10)
    options = ["--device", "cortex-m4", "--data", str(data), "--method", "none", "--no-final"]
    limits = ["--max-latency", "50ms", "--max-ram", "64KiB", "--objective", "pareto"]
    run_search_command(
        [*options, *limits, "--trials", "1", "--workers", "1", "--out", str(path)],
        cache=folder / "cache",
    )
    found = store.trials.records()
    first = 1 + max(record.number for record in found)
    for made in made_up_trials(load_context(store), trials - len(found), first=first):
        store.trials.study.add_trial(made.trial)
    store.trials.rewrite_mirror()
    return RunFolder(path)


def time_opening(path: Path) -> float:
    """Return the seconds in which the study is replayed and every record of it read."""
    begun = time.monotonic()
    RunFolder(path).trials.records()
    return time.monotonic() - begun


def time_resuming(path: Path, trials: int, folder: Path) -> float:
    """Return the seconds from the command until a worker begins the next training."""
    status = path / STATUS_FOLDER / "worker0.json"
    status.unlink(missing_ok=True)
    command = ["search", "--resume", str(path), "--trials", str(trials + 100)]
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "hwkd", *command],
        env=search_environment(folder / "cache"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not status.exists():
            if process.poll() is not None:
                raise SystemExit(f"hwkd {' '.join(command)} ended with {process.returncode}")
            time.sleep(0.01)
        return time.monotonic() - begun
    finally:
        process.terminate()
        process.wait()


def time_report(path: Path) -> tuple[float, float]:
    """Return the seconds of `hwkd report` and the largest memory that it had, in bytes."""
    command = [sys.executable, "-m", "hwkd", "report", str(path)]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _PEAK_OF_CHILD, *command], stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"hwkd report {path} ended with {done.returncode}")
    return time.monotonic() - begun, float(done.stdout) * 1024.0


class _Reader(HTMLParser):
    """Reads a page as a browser does and notes what a browser would have to guess or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._open: list[str] = []
        self._names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name == "id" and value in self._names:
                self.faults.append(f"the id {value} is there twice")
            if name == "id":
                self._names.add(value or "")
            if name in ("src", "href") and not (value or "").startswith(("data:", "#")):
                self.faults.append(f"{tag} fetches {value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"{tag} ends where it is not open, line {self.getpos()[0]}")

    def close(self) -> None:
        super().close()
        self.faults += [f"{tag} never ends" for tag in self._open]


def page_faults(page: str) -> list[str]:
    """Return what is wrong with a page that should open alone, from a file."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.faults[:20]


if __name__ == "__main__":
    sys.exit(main())
