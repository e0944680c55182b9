"""`kill -9` at random moments of whole searches: what is lost, and where the search ends.

usage: python -m benchmarks.robustness.kill_resume [--quick] [--kills 200] [--jobs 1]
    [--rows FILE] [--seed 0]

A small search of handwritten digits, from an empty folder and an empty cache to its report, is
killed again and again, by time or as a file appears, so that every phase has its share: the
folder's creation, the teacher, the writing of caches, trials, the final training, the report. One
kill in four spares the child processes, as when memory ends. Searches have one worker and two in
turn. After each kill `hwkd search --resume`
goes on, or the same command starts again where there is no folder. After the last one the search
runs to its end, and must have the front of one that was never disturbed. A finished trial is lost
when the record that `trials.jsonl` or the journal held at a kill is not, word for word, in the end.

The command is forked from this process, which has imported it: importing again would be half of the
time.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import hwkd.engine.search.run
import hwkd.engine.search.worker  # noqa: F401
from benchmarks.lib.finished_rows import FinishedRows
from benchmarks.lib.verdict import count, report
from hwkd.cli.app import main as hwkd_command
from hwkd.core.pareto import pareto_front
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.run_folder import RunFolder
from hwkd.io.trials_file import read_trials
from hwkd.report.read import read_run

_OPTIONS = (
    "--device", "cortex-m7", "--space", "plain", "--trials", "3", "--brief-epochs", "1",
    "--full-epochs", "1", "--controls", "0", "--calibration", "minmax", "--qat", "off",
    "--seed", "0", "--json",
)  # fmt: skip
_DIGITS = 300
_KILLS_OF_A_SEARCH = 20
_LOOK_S = 0.02
_LONGEST_S = 600.0
PHASES = ("creation", "teacher", "trials", "final training", "report")


@dataclass(kw_only=True)
class KilledSearch:
    """A search that is killed and goes on.

    Attributes:
        folder: with nothing else in it.
        data: NPZ file.
        workers: of the search.
        cache: of teacher and logits.
        finished: every record seen at a kill, by number.
    """

    folder: Path
    data: Path
    workers: int
    cache: Path
    finished: dict[int, TrialRecord] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        """Its run folder."""
        return self.folder / "run"

    def start(self) -> int:
        """Begin, or go on where there is something to go on with; returns the process."""
        if self.run.exists():
            words = ["search", "--resume", str(self.run), "--json"]
        else:
            words = ["search", *_OPTIONS, "--data", str(self.data), "--out", str(self.run)]
            words += ["--workers", str(self.workers)]
        pid = os.fork()
        if pid == 0:
            _become(words, self.cache, self.folder / "said.txt")
        return pid

    @property
    def said(self) -> str:
        """What the last command printed."""
        return (self.folder / "said.txt").read_text(errors="replace").strip()

    @property
    def phase(self) -> str:
        """What was going on, by the files that there are."""
        if not self.run.exists():
            return "creation"
        if not (self.run / "trials.jsonl").exists():
            return "teacher"
        if not (self.run / "final").exists():
            return "trials"
        return "report" if (self.run / "best").exists() else "final training"

    def note(self) -> None:
        """Remember what readers see; the repair of a torn journal is left to the resumed run."""
        if (self.run / "trials.jsonl").is_file():
            self._note(read_trials(self.run / "trials.jsonl").records)
        if (self.run / "journal.log").is_file():
            with tempfile.TemporaryDirectory() as folder:
                shutil.copyfile(self.run / "journal.log", Path(folder) / "journal.log")
                copy = RunFolder(Path(folder))
                copy.check_journal()
                self._note(copy.trials.records())

    def _note(self, records: tuple[TrialRecord, ...]) -> None:
        for record in records:
            self.finished.setdefault(record.number, record)

    def lost(self) -> int:
        """Return how many finished trials are gone or changed."""
        now = {record.number: record for record in read_trials(self.run / "trials.jsonl").records}
        return sum(now.get(number) != record for number, record in self.finished.items())

    def front(self) -> list[tuple[float, ...]]:
        """Return what the best students cost and how often they err."""
        return [point.values for point in pareto_front(read_run(self.run)[1])]


def _become(words: Sequence[str], cache: Path, said: Path) -> None:
    """Be `hwkd`, and end."""
    code = 1
    try:
        os.setsid()
        os.environ["HWKD_CACHE_DIR"] = str(cache)
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        code = hwkd_command(list(words))
        sys.stdout.flush()
    except BaseException:  # as an interpreter would show it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When to kill.

    Attributes:
        seconds: after the start.
        appearing: after so many files have come or gone, if that is earlier.
    """

    seconds: float
    appearing: int


def ended_before(pid: int, search: KilledSearch, moment: Moment) -> int | None:
    """Wait for a moment; returns the exit code of a command that ended before it."""
    started, seen, changes = time.monotonic(), set[str](), 0
    while time.monotonic() - started < moment.seconds and changes < moment.appearing:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        now = {str(path) for root in (search.folder, search.cache) for path in _files(root)}
        changes, seen = changes + (now != seen), now
        time.sleep(_LOOK_S)
    return None


def _files(root: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):  # it went away meanwhile
        yield from root.rglob("*")


def kill(pid: int, *, spares_children: bool) -> None:
    """Kill a command and, unless they are spared, what it started."""
    started = [] if spares_children else list(_descendants(pid))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for child in started:
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.kill(child, signal.SIGKILL)


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def try_search(
    search: KilledSearch, reference: KilledSearch, *, whole_s: float, draw: random.Random
) -> dict[str, Any]:
    """Kill one search again and again and let it end; returns the finished row."""
    kills: Counter[str] = Counter()
    code = None
    for _ in range(_KILLS_OF_A_SEARCH):
        pid = search.start()
        moment = Moment(
            seconds=whole_s * draw.random() ** 3,
            appearing=draw.choice((1, 2, 3, 5, 8, 12, 20, 10**6)),
        )
        code = ended_before(pid, search, moment)
        if code is not None:
            break
        kills[search.phase] += 1
        kill(pid, spares_children=draw.random() < 0.25)
        search.note()
    code = to_the_end(search) if code is None else code
    missing = [name for name in ("report.html", "best") if not (search.run / name).exists()]
    if code or missing:
        return {"kills": kills, "fault": f"exit code {code}, no {missing}: {search.said[-300:]}"}
    differs = search.front() != reference.front()
    return {"kills": kills, "seen": len(search.finished), "lost": search.lost(), "differs": differs}


def to_the_end(search: KilledSearch) -> int:
    """Go on undisturbed; returns the exit code."""
    pid = search.start()
    moment = Moment(seconds=_LONGEST_S, appearing=10**9)
    code = ended_before(pid, search, moment)
    if code is None:
        kill(pid, spares_children=False)
        return -1
    return code


def _job(
    number: int, given: argparse.Namespace, root: Path, reference: KilledSearch, whole_s: float
) -> None:
    """Try searches of its own until there are kills enough."""
    while _kills(rows := _rows(given)) < given.kills:
        name = f"search {number}"
        if rows.find(name) is None:
            folder = root / str(number)
            folder.mkdir()
            workers = 1 + number % 2
            search = KilledSearch(
                folder=folder, data=reference.data, workers=workers, cache=folder / "cache"
            )
            if number % 3:  # in two of three the teacher is there, which leaves time for more
                shutil.copytree(reference.cache, search.cache)
            draw = random.Random(f"{given.seed} {number}")
            row = try_search(search, reference, whole_s=whole_s, draw=draw)
            rows.add(name, {"workers": workers, **row})
            print(f"  {name}, {workers} workers: {row}", flush=True)
            shutil.rmtree(folder)
        number += given.jobs


def _rows(given: argparse.Namespace) -> FinishedRows:
    return FinishedRows(given.rows, {"seed": given.seed})


def _kills(rows: FinishedRows) -> int:
    return sum(sum(row["kills"].values()) for row in rows.all())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="searches side by side")
    parser.add_argument("--rows", type=Path, help="finished searches are kept here")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--quick", action="store_true", help="3 kills")
    given = parser.parse_args()
    if given.quick:
        given.kills = 3
    with tempfile.TemporaryDirectory(prefix="hwkd-kill-") as temporary:
        root = Path(temporary)
        given.rows = given.rows or root / "rows.jsonl"
        if _kills(_rows(given)) < given.kills:
            _try_all(given, root)
        rows = _rows(given).all()
    faults = [row["fault"] for row in rows if "fault" in row]
    phases = sum((Counter(row["kills"]) for row in rows), Counter[str]())
    return report(
        [
            count("kills", phases.total(), given.kills, at_least=True),
            count("finished trials lost", sum(row.get("lost", 0) for row in rows), 0),
            count("fronts that differ", sum(row.get("differs", 0) for row in rows), 0),
            count("runs stuck", len(faults), 0),
            count("phases without a kill", sum(not phases[phase] for phase in PHASES), 0),
        ],
        {
            "searches with 1 worker": sum(row["workers"] == 1 for row in rows),
            "searches with 2 workers": sum(row["workers"] == 2 for row in rows),
            "kills by phase": dict(phases),
            "finished trials seen at kills": sum(row.get("seen", 0) for row in rows),
            "faults": faults,
        },
    )


def _try_all(given: argparse.Namespace, root: Path) -> None:
    digits = load_digits()
    data = root / "digits.npz"
    pixels = (digits.images[:_DIGITS] * 15).astype(np.uint8)
    np.savez(data, x_train=pixels, y_train=digits.target[:_DIGITS])
    (root / "undisturbed").mkdir()
    reference = KilledSearch(
        folder=root / "undisturbed", data=data, workers=1, cache=root / "cache"
    )
    started = time.monotonic()
    if to_the_end(reference):
        sys.exit(f"the undisturbed search failed: {reference.said}")
    whole_s = time.monotonic() - started
    context = multiprocessing.get_context("fork")
    jobs = [
        context.Process(target=_job, args=(number, given, root, reference, whole_s))
        for number in range(given.jobs)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


if __name__ == "__main__":
    sys.exit(main())
