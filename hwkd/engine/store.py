"""The run folder and the Optuna study in it: opened, locked, repaired, resumed.

The journal is the truth: a trial is finished when it is told there. `trials.jsonl` repeats the
records for people and reports and is rewritten from the journal when a run ends or resumes.

Optuna facts (5.0.0): a killed worker leaves its trial RUNNING in a journal study; `tell(FAIL)` and
`enqueue_trial` work on it afterwards; a torn last line makes the next reader fail, and a line
appended behind it corrupts the file, so the lock below cuts a torn tail before anything is added.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, Trial
from optuna.trial import TrialState as OptunaState

from hwkd.core.errors import RunFolderError
from hwkd.core.paths import written_atomically
from hwkd.core.trial import TrialRecord, read_trial_line
from hwkd.engine.config import SearchConfig

__all__ = ["ATTR_DEATHS", "ATTR_RECORD", "ATTR_NETWORK_KEY", "RunStore"]

ATTR_RECORD = "hwkd.record"
ATTR_NETWORK_KEY = "hwkd.network_key"
ATTR_REQUEUED_FROM = "hwkd.requeued_from"
ATTR_SURPLUS = "hwkd.surplus"
ATTR_DEATHS = "hwkd.worker_deaths"
STUDY_NAME = "hwkd"

_SECONDS_TO_WAIT_FOR_ORPHANS = 30.0


class _TailRepairingLock(BaseJournalFileLock):
    """A kernel lock, released by the kernel when its holder is killed."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._handle: IO[bytes] | None = None

    def acquire(self) -> bool:
        self._handle = self._journal.with_suffix(".lock").open("ab")
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        _cut_torn_tail(self._journal)
        return True

    def release(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class RunStore:
    """One run folder; every process of a search has its own object on the same folder."""

    def __init__(self, folder: Path) -> None:
        """Name the files; nothing is opened or created yet."""
        self.folder = folder
        self.config_path = folder / "config.toml"
        self.journal_path = folder / "journal.log"
        self.trials_path = folder / "trials.jsonl"
        self._study: optuna.Study | None = None
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    @property
    def study(self) -> optuna.Study:
        """The study, opened on first use."""
        if self._study is None:
            backend = JournalFileBackend(
                str(self.journal_path), lock_obj=_TailRepairingLock(self.journal_path)
            )
            self._study = optuna.load_study(
                study_name=STUDY_NAME,
                storage=JournalStorage(backend),
                sampler=optuna.samplers.RandomSampler(seed=0),
            )
        return self._study

    def require_free(self) -> None:
        """Refuse a folder that holds anything or cannot be made, before time is spent.

        Raises:
            RunFolderError: saying which of the two.
        """
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            what = "another run" if self.config_path.exists() else "other files"
            raise RunFolderError(
                f"--out {self.folder}: holds {what}; choose a new folder"
                + (f" or continue it with --resume {self.folder}" if what == "another run" else "")
            )
        existing = next(parent for parent in (self.folder, *self.folder.parents) if parent.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise RunFolderError(
                f"--out {self.folder}: {existing} is not a folder that can be written; "
                "choose another one"
            )

    def create(self, config: SearchConfig) -> None:
        """Make the folder, its configuration and an empty study.

        Raises:
            RunFolderError: if the folder holds anything already or cannot be written.
        """
        self.require_free()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.config_path, config.to_toml())
            backend = JournalFileBackend(
                str(self.journal_path), lock_obj=_TailRepairingLock(self.journal_path)
            )
            objectives = 4 if config.objective.mode == "pareto" else 1
            optuna.create_study(
                study_name=STUDY_NAME,
                storage=JournalStorage(backend),
                directions=["minimize"] * objectives,
            )
        except OSError as error:
            raise RunFolderError(
                f"--out {self.folder}: cannot write there: {error.strerror}; choose another folder"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the folder for one search; yields a file descriptor that workers inherit.

        The lock lasts as long as any process that holds the descriptor, so a resumed search waits
        for orphaned workers of a killed one.

        Raises:
            RunFolderError: if another search holds it.
        """
        path = self.folder / "run.lock"
        with path.open("a+") as handle:
            deadline = time.monotonic() + _SECONDS_TO_WAIT_FOR_ORPHANS
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    handle.seek(0)
                    owner = handle.read().strip()
                    if _is_alive(owner) or time.monotonic() > deadline:
                        raise RunFolderError(
                            f"{self.folder}: a search is running in it (process {owner}); "
                            "wait for it or choose another folder"
                        ) from None
                    time.sleep(0.1)
            handle.seek(0)
            handle.truncate()
            handle.write(str(os.getpid()))
            handle.flush()
            yield handle.fileno()

    def check_journal(self) -> None:
        """Cut a torn last line; refuse a journal that is damaged in any other way.

        Raises:
            RunFolderError: naming the first line that is not JSON; nothing is changed.
        """
        if not self.journal_path.is_file():
            raise RunFolderError(
                f"{self.folder}: no journal.log in it; it is not a run folder of hwkd search"
            )
        with self.journal_path.open("rb") as handle:
            for number, line in enumerate(handle, start=1):
                if not line.endswith(b"\n"):
                    break  # torn by a kill in the middle of a write; cut below
                try:
                    json.loads(line)
                except ValueError:
                    raise RunFolderError(
                        f"{self.journal_path}: line {number} is damaged (not JSON); nothing was "
                        f"changed; keep the first {number - 1} lines in a copy of the folder "
                        "and resume that one"
                    ) from None
        _cut_torn_tail(self.journal_path)

    def finished_trials(self) -> list[FrozenTrial]:
        """Return trials with a record, by number; cheap enough to call per trial."""
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if ATTR_RECORD in trial.user_attrs]

    def has_queued(self) -> bool:
        """Tell whether a trial waits in the queue."""
        trials = self.study.get_trials(deepcopy=False)
        return any(trial.state == OptunaState.WAITING for trial in trials)

    def find_record(self, network_key: str) -> TrialRecord | None:
        """Return the first record of a network (`Layers.key`) that was trained or rejected."""
        for trial in self.finished_trials():
            if trial.user_attrs.get(ATTR_NETWORK_KEY) == network_key:
                record = _record_of(trial)
                if record.state in ("completed", "rejected"):
                    return record
        return None

    def records(self) -> tuple[TrialRecord, ...]:
        """Return every finished trial's record, by candidate number."""
        records = [_record_of(trial) for trial in self.finished_trials()]
        return tuple(sorted(records, key=lambda record: record.number))

    def candidates_started(self) -> int:
        """Return how many candidates were asked for; a repetition of one does not count."""
        return len(_candidates(self.study.get_trials(deepcopy=False)))

    def candidate_number(self, trial: Trial) -> int:
        """Return a trial's place among the candidates, from 0.

        An interrupted trial and its repetition are one candidate, so an interrupted search and
        an undisturbed one number their candidates alike.
        """
        candidates = _candidates(self.study.get_trials(deepcopy=False))
        return sum(other.number < trial.number for other in candidates)

    def finish(self, trial: Trial, record: TrialRecord) -> None:
        """File the record, tell the study, append to `trials.jsonl`, in this order."""
        line = record.model_dump_json()
        trial.set_user_attr(ATTR_RECORD, line)
        self._tell(trial.number, record)
        append_line(self.trials_path, line)

    def discard(self, trial: Trial) -> None:
        """Take back a trial that was asked for beyond the number of trials wanted."""
        trial.set_user_attr(ATTR_SURPLUS, True)
        self.study.tell(trial, state=OptunaState.FAIL)

    def requeue_interrupted(self, *, died_in: int | None = None) -> int:
        """Queue cut-off trials again; finish those that only lacked the last step.

        Args:
            died_in: Optuna number of the one trial whose worker died while the search goes on. None
                is for a search that starts again: no worker is alive and every open trial counts.

        Returns:
            How many were queued again.
        """
        trials = self.study.get_trials(deepcopy=False)
        queued_before = _requeued_numbers(trials)
        count = 0
        for trial in trials:
            if trial.state != OptunaState.RUNNING:
                continue
            if died_in is not None and trial.number != died_in:
                continue
            if ATTR_RECORD in trial.user_attrs:
                self._tell(trial.number, _record_of(trial))
                continue
            if trial.number not in queued_before:
                deaths = trial.user_attrs.get(ATTR_DEATHS, 0) + (died_in is not None)
                self.study.enqueue_trial(
                    dict(trial.params),
                    user_attrs={ATTR_REQUEUED_FROM: trial.number, ATTR_DEATHS: deaths},
                )
                count += 1
            self.study.tell(trial.number, state=OptunaState.FAIL)
        return count

    def rewrite_trials_file(self) -> tuple[TrialRecord, ...]:
        """Write `trials.jsonl` anew from the journal, sorted, and return the records."""
        records = self.records()
        write_text(self.trials_path, "".join(f"{r.model_dump_json()}\n" for r in records))
        return records

    def _tell(self, trial_number: int, record: TrialRecord) -> None:
        directions = len(self.study.directions)
        values = objective_values(record, directions)
        if values:
            self.study.tell(trial_number, list(values))
        elif record.state == "failed" or directions > 1:
            # Optuna's samplers cannot rank pruned trials of several objectives.
            self.study.tell(trial_number, state=OptunaState.FAIL)
        else:
            self.study.tell(trial_number, state=OptunaState.PRUNED)


def objective_values(record: TrialRecord, directions: int) -> tuple[float, ...]:
    """Return what the study is told for a record; empty when it has no values."""
    if record.objective is None or record.cost is None:
        return ()
    if directions == 1:
        return (record.objective.value,)
    return (
        record.objective.task_error,
        record.latency_s or 0.0,
        float(record.cost.peak_ram_bytes),
        float(record.cost.flash_bytes),
    )


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing."""
    try:
        with written_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"{path}: cannot write it: {error.strerror}") from error


def append_line(path: Path, line: str) -> None:
    """Append one line in one write, so that lines of several processes never mix."""
    try:
        with path.open("ab", buffering=0) as handle:
            handle.write(f"{line}\n".encode())
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot write it: {error.strerror}; finished trials are safe in the journal"
        ) from error


def _record_of(trial: FrozenTrial) -> TrialRecord:
    return read_trial_line(trial.user_attrs[ATTR_RECORD], where=f"journal trial {trial.number}")


def _requeued_numbers(trials: Sequence[FrozenTrial]) -> set[int]:
    attributes = (trial.user_attrs.get(ATTR_REQUEUED_FROM) for trial in trials)
    return {number for number in attributes if number is not None}


def _candidates(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    interrupted = _requeued_numbers(trials)
    return [
        trial
        for trial in trials
        if trial.state != OptunaState.WAITING
        and trial.number not in interrupted
        and not trial.user_attrs.get(ATTR_SURPLUS)
    ]


def _cut_torn_tail(journal: Path) -> None:
    if not journal.is_file():
        return
    with journal.open("r+b") as handle:
        size = handle.seek(0, os.SEEK_END)
        if size == 0:
            return
        handle.seek(size - 1)
        if handle.read(1) == b"\n":
            return
        handle.seek(0)
        kept = handle.read().rfind(b"\n") + 1
        shutil.copyfile(journal, journal.with_suffix(".torn"))
        handle.truncate(kept)


def _is_alive(owner: str) -> bool:
    if not owner.isdigit() or int(owner) == os.getpid():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
