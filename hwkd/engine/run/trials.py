"""The run folder and the Optuna study in it: opened, locked, repaired, resumed.

The journal is the truth: a trial is finished when it is told there. `trials.jsonl` repeats the
records for people and reports and is rewritten from the journal when a run ends or resumes.

Optuna facts (5.0.0): a killed worker leaves its trial RUNNING in a journal study; `tell(FAIL)` and
`enqueue_trial` work on it afterwards.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, Trial
from optuna.trial import TrialState as OptunaState

from hwkd.core.errors import RunFolderError, first_line
from hwkd.core.student import ParamValue
from hwkd.core.trial import (
    ProposalRecord,
    TrialRecord,
    read_trial_line,
    read_trial_summary,
)
from hwkd.engine.run.journal import check_journal_file, open_storage
from hwkd.engine.run.run_folder import created_whole, require_free
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.objective import objective_values
from hwkd.io.paths import require_there
from hwkd.io.run_lock import LOCK_FILE
from hwkd.io.run_text import append_line, write_lines

__all__ = [
    "ATTR_DEATHS",
    "ATTR_NETWORK_KEY",
    "ATTR_PROPOSAL",
    "ATTR_RECORD",
    "ATTR_SURPLUS",
    "RunStore",
]

ATTR_RECORD = "hwkd.record"
ATTR_NETWORK_KEY = "hwkd.network_key"
ATTR_PROPOSAL = "hwkd.proposal"
ATTR_REQUEUED_FROM = "hwkd.requeued_from"
# Set by versions that could ask for more trials than wanted; such a trial is no candidate.
ATTR_SURPLUS = "hwkd.surplus"
# A cheap summary of the record, read for every trial at every ask.
ATTR_COUNTS = "hwkd.counts_as_training"
ATTR_DEATHS = "hwkd.worker_deaths"
STUDY_NAME = "hwkd"

_SECONDS_TO_WAIT_FOR_ORPHANS = 30.0
# A reader that looks whether the folder is held (`run_lock.is_held`) holds it for an instant.
_SECONDS_TO_WAIT_FOR_READERS = 0.5


class RunStore:
    """One run folder; every process of a search has its own object on the same folder."""

    def __init__(self, folder: Path) -> None:
        """Name the files; nothing is opened or created yet."""
        self.folder = folder
        self.config_path = folder / "config.toml"
        self.journal_path = folder / "journal.log"
        self.trials_path = folder / "trials.jsonl"
        self._study: optuna.Study | None = None
        self._summaries: dict[int, TrialRecord] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    @property
    def study(self) -> optuna.Study:
        """The study, opened on first use."""
        if self._study is None:
            self._require_journal()
            try:
                self._study = optuna.load_study(
                    study_name=STUDY_NAME,
                    storage=open_storage(self.journal_path),
                    sampler=optuna.samplers.RandomSampler(seed=0),
                )
            except (
                Exception
            ) as error:  # Optuna replays the file; what it raises depends on the damage
                raise RunFolderError(
                    f"{self.journal_path}: does not hold the journal of a search "
                    f"({type(error).__name__}: {first_line(error)})"
                ) from error
        return self._study

    def require_free(self) -> None:
        """Refuse a folder that holds anything or cannot be made, before time is spent.

        Raises:
            RunFolderError: saying which of the two.
        """
        require_free(self.folder, main_file=self.journal_path.name)

    def create(self, config: SearchConfig, documents: Mapping[str, str]) -> None:
        """Make the folder, its configuration, further files and an empty study, all at once.

        Args:
            config: resolved.
            documents: file name -> text.

        Raises:
            RunFolderError: if the folder holds anything already or cannot be written.
        """
        self.require_free()
        texts = {self.config_path.name: config.to_toml(), **documents}
        journal = self.journal_path.name
        objectives = 4 if config.objective.mode == "pareto" else 1
        try:
            with created_whole(self.folder, main_file=journal) as folder:
                for name, text in texts.items():
                    (folder / name).write_text(text, encoding="utf-8")
                optuna.create_study(
                    study_name=STUDY_NAME,
                    storage=open_storage(folder / journal),
                    directions=["minimize"] * objectives,
                )
        except (OSError, RunFolderError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise RunFolderError(
                f"--out {self.folder}: cannot write there: {reason}; choose another folder"
            ) from error

    def remove(self) -> None:
        """Take back a folder that this process has just created; nothing of it is left."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the folder for one search; yields a file descriptor that workers inherit.

        The lock lasts as long as any process that holds the descriptor, so a resumed search waits
        for orphaned workers of a killed one.

        Raises:
            RunFolderError: if it is no run folder or another search holds it.
        """
        self._require_journal()
        with ExitStack() as stack:
            with self.writes():
                handle = stack.enter_context((self.folder / LOCK_FILE).open("a+"))
            asked = time.monotonic()
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    handle.seek(0)
                    owner = handle.read().strip()
                    patience = (
                        _SECONDS_TO_WAIT_FOR_READERS
                        if _is_alive(owner)
                        else (_SECONDS_TO_WAIT_FOR_ORPHANS)
                    )
                    if time.monotonic() - asked > patience:
                        raise RunFolderError(
                            f"{self.folder}: a search is running in it (process {owner}); "
                            "wait for it or choose another folder"
                        ) from None
                    time.sleep(0.1)
            with self.writes():
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
        self._require_journal()
        check_journal_file(self.journal_path)

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
        """Return every finished trial's record, by candidate number.

        In short (`read_trial_summary`), and each is parsed once: a record never changes.
        """
        return tuple(record for record, _ in self._records_and_lines())

    def candidates_started(self) -> int:
        """Return how many candidates were asked for; a repetition of one does not count."""
        trials = self.study.get_trials(deepcopy=False)
        first = _first_numbers(trials)
        interrupted = _requeued_numbers(trials)
        return len(
            {
                first[trial.number]
                for trial in trials
                if trial.state != OptunaState.WAITING
                and trial.number not in interrupted
                and not trial.user_attrs.get(ATTR_SURPLUS)
            }
        )

    def trainings_started(self) -> int:
        """Return how many candidates were trained or may be: rejected and repeated ones are not."""
        trials = self.study.get_trials(deepcopy=False)
        interrupted = _requeued_numbers(trials)
        return sum(
            trial.state != OptunaState.WAITING
            and trial.number not in interrupted
            and not trial.user_attrs.get(ATTR_SURPLUS)
            and trial.user_attrs.get(ATTR_COUNTS, True)
            for trial in trials
        )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Hold the right to choose the next candidate; the kernel frees it when a process dies."""
        with self.writes(), self.config_path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def candidate_number(self, trial: Trial) -> int:
        """Return a trial's place among the candidates, from 0.

        An interrupted trial and its repetition are one candidate, so an interrupted search and
        an undisturbed one number their candidates alike.
        """
        trials = self.study.get_trials(deepcopy=False)
        first = _first_numbers(trials)
        candidates = {
            first[other.number] for other in trials if not other.user_attrs.get(ATTR_SURPLUS)
        }
        return sum(number < first[trial.number] for number in candidates)

    def finish(self, trial: Trial, record: TrialRecord) -> None:
        """File the record, tell the study, append to `trials.jsonl`, in this order."""
        why = trial.user_attrs.get(ATTR_PROPOSAL)
        if why is not None:
            proposal = ProposalRecord.model_validate_json(why)
            record = record.model_copy(update={"proposal": proposal})
        line = record.model_dump_json()
        with self.writes():
            if record.state in ("rejected", "duplicate"):
                trial.set_user_attr(ATTR_COUNTS, False)
            trial.set_user_attr(ATTR_RECORD, line)
            self._tell(trial.number, record)
        append_line(self.trials_path, line)

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
            if trial.number not in queued_before and not trial.user_attrs.get(ATTR_SURPLUS):
                deaths = trial.user_attrs.get(ATTR_DEATHS, 0) + (died_in is not None)
                attributes = {ATTR_REQUEUED_FROM: trial.number, ATTR_DEATHS: deaths}
                if ATTR_NETWORK_KEY in trial.user_attrs and ATTR_PROPOSAL in trial.user_attrs:
                    attributes[ATTR_PROPOSAL] = trial.user_attrs[ATTR_PROPOSAL]
                self.study.enqueue_trial(_params_to_repeat(trial), user_attrs=attributes)
                count += 1
            self.study.tell(trial.number, state=OptunaState.FAIL)
        return count

    @contextmanager
    def writes(self) -> Iterator[None]:
        """Turn a failing write to the run folder into one line that says what to do.

        Raises:
            RunFolderError: if the disk is full or the folder not writable any more.
        """
        try:
            yield
        except OSError as error:
            raise RunFolderError(
                f"{self.folder}: cannot write there: {error.strerror or error}; finished trials "
                f"are safe; free some space and go on with --resume {self.folder}"
            ) from error

    def rewrite_trials_file(self) -> tuple[TrialRecord, ...]:
        """Write `trials.jsonl` anew from the journal, sorted, and return the records."""
        found = self._records_and_lines()
        write_lines(self.trials_path, (line for _, line in found))
        return tuple(record for record, _ in found)

    def _records_and_lines(self) -> list[tuple[TrialRecord, str]]:
        found = []
        for trial in self.finished_trials():
            line: str = trial.user_attrs[ATTR_RECORD]
            if trial.number not in self._summaries:
                where = f"journal trial {trial.number}"
                self._summaries[trial.number] = read_trial_summary(line, where=where)
            found.append((self._summaries[trial.number], line))
        return sorted(found, key=lambda pair: pair[0].number)

    def _require_journal(self) -> None:
        require_there(self.folder, "the run folder of an earlier hwkd search")
        if not self.journal_path.is_file():
            raise RunFolderError(
                f"{self.folder}: no journal.log in it; it is not a run folder of hwkd search"
            )

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


def _record_of(trial: FrozenTrial) -> TrialRecord:
    return read_trial_line(trial.user_attrs[ATTR_RECORD], where=f"journal trial {trial.number}")


def _requeued_numbers(trials: Sequence[FrozenTrial]) -> set[int]:
    attributes = (trial.user_attrs.get(ATTR_REQUEUED_FROM) for trial in trials)
    return {number for number in attributes if number is not None}


def _first_numbers(trials: Sequence[FrozenTrial]) -> dict[int, int]:
    """Return trial -> the trial that it repeats first of all, or itself."""
    first: dict[int, int] = {}
    for trial in trials:
        repeated = trial.user_attrs.get(ATTR_REQUEUED_FROM)
        first[trial.number] = trial.number if repeated is None else first[repeated]
    return first


def _params_to_repeat(trial: FrozenTrial) -> dict[str, ParamValue]:
    """Return the choices that a repetition must make again.

    All of them once sampling was over. A trial that was cut off while it sampled repeats only what
    was fixed beforehand: its sampler draws the rest again, as in an undisturbed search, whereas
    keeping half of the choices would shift the draws of the other half.
    """
    if ATTR_NETWORK_KEY in trial.user_attrs:
        return dict(trial.params)
    return dict(trial.system_attrs.get("fixed_params", {}))


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
