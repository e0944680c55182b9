"""`kill -9` at random moments of whole searches: what is lost, and where the search ends.

usage: python -m benchmarks.robustness.kill_resume [--quick] [--kills 200] [--workers 1 2]
    [--seed 0]

A small search of handwritten digits, from an empty folder and an empty cache to its report, is
killed again and again, by time or as a file appears, so that every phase has its share: the
folder's creation, the teacher, the writing of caches, trials, the final training, the report. One
kill in four spares the child processes, as when memory ends. After each kill `hwkd search --resume`
goes on, or the same command starts again where there is no folder. After the last one the search
runs to its end, and must have the front of one that was never disturbed. A finished trial is lost
when the record that `trials.jsonl` or the journal held at a kill is not, word for word, in the end.

The command is forked from this process, which has imported it: importing again would be half of the
time.
"""

from __future__ import annotations

import argparse
import contextlib
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

import numpy as np
from sklearn.datasets import load_digits

import hwkd.engine.search.run
import hwkd.engine.search.worker  # noqa: F401
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


@dataclass(kw_only=True)
class Tally:
    """What many kills came to.

    Attributes:
        kills: by phase.
        searches: that ran to their end.
        lost: finished trials.
        other_fronts: searches that ended elsewhere.
        faults: what a command said that did not go on.
    """

    kills: Counter[str] = field(default_factory=Counter)
    searches: int = 0
    lost: int = 0
    other_fronts: int = 0
    faults: list[str] = field(default_factory=list)


def kill_searches(
    root: Path, data: Path, *, workers: int, kills: int, draw: random.Random
) -> Tally:
    """Kill searches until `kills` are done, each to its end."""
    warm = root / "warm"
    undisturbed = KilledSearch(folder=root / "undisturbed", data=data, workers=workers, cache=warm)
    undisturbed.folder.mkdir(parents=True)
    started = time.monotonic()
    if to_the_end(undisturbed):
        sys.exit(f"the undisturbed search failed: {undisturbed.said}")
    whole_s = time.monotonic() - started
    tally, front = Tally(), undisturbed.front()
    number = 0
    while tally.kills.total() < kills:
        folder = root / f"search{number}"
        folder.mkdir()
        search = KilledSearch(folder=folder, data=data, workers=workers, cache=folder / "cache")
        if number % 3:  # in two of three the teacher is there already, which leaves time for more
            shutil.copytree(warm, search.cache)
        number += 1
        left = min(_KILLS_OF_A_SEARCH, kills - tally.kills.total())
        if not _killed_to_the_end(search, tally, kills=left, whole_s=whole_s, draw=draw):
            continue
        tally.searches += 1
        tally.lost += search.lost()
        tally.other_fronts += search.front() != front
        shutil.rmtree(folder)
        print(f"  {workers} workers: {tally}", flush=True)
    return tally


def _killed_to_the_end(
    search: KilledSearch, tally: Tally, *, kills: int, whole_s: float, draw: random.Random
) -> bool:
    for _ in range(kills):
        pid = search.start()
        moment = Moment(
            seconds=whole_s * draw.random() ** 3,
            appearing=draw.choice((1, 2, 3, 5, 8, 12, 20, 10**6)),
        )
        code = ended_before(pid, search, moment)
        if code is not None:
            return _ended_well(search, code, tally)
        tally.kills[search.phase] += 1
        kill(pid, spares_children=draw.random() < 0.25)
        search.note()
    return _ended_well(search, to_the_end(search), tally)


def to_the_end(search: KilledSearch) -> int:
    """Go on undisturbed; returns the exit code."""
    pid = search.start()
    moment = Moment(seconds=_LONGEST_S, appearing=10**9)
    code = ended_before(pid, search, moment)
    if code is None:
        kill(pid, spares_children=False)
        return -1
    return code


def _ended_well(search: KilledSearch, code: int, tally: Tally) -> bool:
    missing = [name for name in ("report.html", "best") if not (search.run / name).exists()]
    if code == 0 and not missing:
        return True
    tally.faults.append(f"exit code {code}, without {missing}: {search.said[-300:]}")
    print(f"  fault: {tally.faults[-1]}", flush=True)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="shared by the numbers of workers")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--quick", action="store_true", help="3 kills")
    given = parser.parse_args()
    kills = 3 if given.quick else given.kills
    digits = load_digits()
    tallies = {}
    with tempfile.TemporaryDirectory(prefix="hwkd-kill-") as temporary:
        data = Path(temporary) / "digits.npz"
        pixels = (digits.images[:_DIGITS] * 15).astype(np.uint8)
        np.savez(data, x_train=pixels, y_train=digits.target[:_DIGITS])
        for index, workers in enumerate(given.workers):
            share = (kills + index) // len(given.workers)
            tallies[workers] = kill_searches(
                Path(temporary) / str(workers), data,
                workers=workers, kills=share, draw=random.Random(f"{given.seed} {workers}"),
            )  # fmt: skip
    phases = sum((tally.kills for tally in tallies.values()), Counter[str]())
    return report(
        [
            count("kills", phases.total(), kills, at_least=True),
            count("finished trials lost", sum(tally.lost for tally in tallies.values()), 0),
            count("fronts that differ", sum(tally.other_fronts for tally in tallies.values()), 0),
            count("runs stuck", sum(len(tally.faults) for tally in tallies.values()), 0),
            count("phases without a kill", sum(not phases[phase] for phase in PHASES), 0),
        ],
        {
            "searches": {str(workers): tally.searches for workers, tally in tallies.items()},
            "kills": dict(phases),
            "faults": [fault for tally in tallies.values() for fault in tally.faults],
        },
    )


if __name__ == "__main__":
    sys.exit(main())
