"""`kill -9` at random moments: what is lost, and whether the search ends where it would have.

usage: python -m benchmarks.robustness.kill_resume [--quick] [--kills 20] [--trials 40]
    [--what everything]

An undisturbed search and one that is killed again and again and resumed, same seed, one worker.
`--what everything` kills the command and its worker, so that each time `hwkd search --resume` goes
on; `--what worker` kills the worker alone and the command has to replace it. The moments are drawn
over start-up and trials, as time is spent. A finished trial counts as lost when the record that
was in `trials.jsonl` or in the journal at the moment of a kill is not, word for word, in the end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.lib.search_command import run_search_command, search_arguments, search_environment
from benchmarks.lib.verdict import count, report
from hwkd.core.pareto import pareto_front
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.run_folder import RunFolder
from hwkd.io.trials_file import read_trials
from hwkd.report.read import read_run


@dataclass
class KilledSearch:
    """A search that is killed and resumed.

    Attributes:
        run: its folder.
        options: of `hwkd search`, without --out.
        cache: of data, teacher and logits.
        finished: every record seen at a kill, by number.
        kills: so far.
    """

    run: Path
    options: list[str]
    cache: Path
    finished: dict[int, TrialRecord] = field(default_factory=dict)
    kills: int = 0

    def start(self) -> subprocess.Popen[bytes]:
        """Begin, or go on where there is something to go on with."""
        if (self.run / "run.json").is_file():
            options = ["--resume", str(self.run)]
        else:  # killed before the first trial could begin: nothing to lose
            shutil.rmtree(self.run, ignore_errors=True)
            options = [*self.options, "--out", str(self.run)]
        return subprocess.Popen(
            search_arguments(options),
            env=search_environment(self.cache),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def note_written(self) -> None:
        """Remember what a reader of `trials.jsonl` sees at this moment."""
        if (self.run / "trials.jsonl").is_file():
            self._note(read_trials(self.run / "trials.jsonl").records)

    def note_journal(self) -> None:
        """Remember what the journal holds after a kill; its repair is left to the resumed run."""
        if not (self.run / "run.json").is_file():
            return
        with tempfile.TemporaryDirectory() as folder:
            shutil.copyfile(self.run / "journal.log", Path(folder) / "journal.log")
            copy = RunFolder(Path(folder))
            copy.check_journal()
            self._note(copy.trials.records())

    def _note(self, records: tuple[TrialRecord, ...]) -> None:
        for record in records:
            self.finished.setdefault(record.number, record)

    def lost(self, records: tuple[TrialRecord, ...]) -> list[int]:
        """Return the numbers of finished trials that are gone or changed."""
        now = {record.number: record for record in records}
        return [number for number, record in self.finished.items() if now.get(number) != record]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--brief-epochs", type=int, default=4)
    parser.add_argument("--what", choices=("everything", "worker"), default="everything")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--quick", action="store_true", help="3 kills in 6 trials of one epoch")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.kills, arguments.trials, arguments.brief_epochs = 3, 6, 1
    options = [
        "--device", "cortex-m7", "--workers", "1", "--no-final", "--seed", "0",
        "--trials", str(arguments.trials), "--brief-epochs", str(arguments.brief_epochs),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="hwkd-kill-") as folder:
        root = Path(folder)
        cache = root / "cache"
        run_search_command([*options, "--trials", "1", "--out", str(root / "warm-up")], cache=cache)
        started = time.monotonic()
        run_search_command([*options, "--out", str(root / "undisturbed")], cache=cache)
        undisturbed_s = time.monotonic() - started
        record, wanted = read_run(root / "undisturbed")
        trials_s = record.phase_seconds["search"]
        search = KilledSearch(run=root / "killed", options=options, cache=cache)
        kill_again_and_again(
            search,
            arguments.kills,
            what=arguments.what,
            startup_s=undisturbed_s - trials_s,
            trial_s=trials_s / arguments.trials,
            trials=arguments.trials,
            draw=random.Random(arguments.seed),
        )
        records = read_trials(search.run / "trials.jsonl").records
    front, wanted_front = pareto_front(records), pareto_front(wanted)
    same_trials = [r.spec for r in records] == [r.spec for r in wanted]
    print(
        f"{search.kills} kills of {arguments.what}; {len(search.finished)} finished trials seen at "
        f"kills, {len(search.lost(records))} of them lost; {len(records)} trials in the end "
        f"(undisturbed {len(wanted)}), same students in the same order: {same_trials}; "
        f"front of {len(front)} points, equal: {front == wanted_front}"
    )
    return report(
        [
            count("kills", search.kills, arguments.kills, at_least=True),
            count("finished trials lost", len(search.lost(records)), 0),
            count("fronts that differ", float(front != wanted_front), 0),
        ]
    )


def kill_again_and_again(
    search: KilledSearch,
    kills: int,
    *,
    what: str,
    startup_s: float,
    trial_s: float,
    trials: int,
    draw: random.Random,
) -> None:
    """Kill until `kills` are done or the search is over, then let it end.

    A moment is drawn from half of the start-up to one and a half shares of the trials that are
    left, so kills hit start-up, training, export and the moment between trials.
    """
    process = search.start()
    while search.kills < kills:
        left_s = trial_s * (trials - len(search.finished))
        spread_s = left_s / (kills - search.kills + 1)
        earliest_s, start_s = (startup_s / 2, startup_s) if what == "everything" else (0.0, 0.0)
        if wait(process, draw.uniform(earliest_s, start_s + 1.5 * spread_s)):
            break
        search.note_written()
        workers = children(process.pid)
        if what == "everything":
            process.kill()
            process.wait()
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(worker, signal.SIGKILL)
        search.kills += 1
        if what == "everything":
            search.note_journal()
            process = search.start()
        print(f"  kill {search.kills}: {len(search.finished)} trials finished", flush=True)
    _, message = process.communicate()
    if process.returncode:
        sys.exit(f"the resumed search failed: {message.decode().strip()}")


def wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait; return True when the process ended by itself meanwhile."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def children(parent: int) -> list[int]:
    """Return the processes that a process started and that still run (Linux)."""
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(child) for child in listed.split()]


if __name__ == "__main__":
    sys.exit(main())
