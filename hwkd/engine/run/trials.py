"""The trials of a search in an Optuna study: records filed, counted, taken up again after a kill.

The study is the truth: a trial is finished when it is told there. `trials.jsonl` repeats the
records for people and reports and is rewritten from the study when a run ends or resumes.

Optuna facts (5.0.0): a killed worker leaves its trial RUNNING; `tell(FAIL)` and `enqueue_trial`
work on it afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, Trial
from optuna.trial import TrialState as OptunaState

from hwkd.core.student import ParamValue
from hwkd.core.trial import (
    ProposalRecord,
    TrialRecord,
    read_trial_line,
    read_trial_summary,
)
from hwkd.engine.setup.objective import objective_values
from hwkd.io.run_text import append_line, run_writes, write_lines

__all__ = [
    "ATTR_DEATHS",
    "ATTR_NETWORK_KEY",
    "ATTR_PROPOSAL",
    "ATTR_RECORD",
    "ATTR_SURPLUS",
    "Trials",
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


class Trials:
    """The trials of one search; every process has its own object on the same study."""

    def __init__(self, study: optuna.Study, *, run: Path | str, mirror: Path | None = None) -> None:
        """Nothing is read yet.

        Args:
            study: in any storage.
            run: for messages: the folder, or whatever `--resume` takes.
            mirror: file that repeats the records for people and reports; None keeps none.
        """
        self.study = study
        self._run = run
        self._mirror = mirror
        self._summaries: dict[int, TrialRecord] = {}

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
        with run_writes(self._run):
            if record.state in ("rejected", "duplicate"):
                trial.set_user_attr(ATTR_COUNTS, False)
            trial.set_user_attr(ATTR_RECORD, line)
            self._tell(trial.number, record)
        if self._mirror is not None:
            append_line(self._mirror, line)

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

    def rewrite_mirror(self) -> tuple[TrialRecord, ...]:
        """Write `trials.jsonl` anew from the study, sorted, and return the records."""
        found = self._records_and_lines()
        if self._mirror is not None:
            write_lines(self._mirror, (line for _, line in found))
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
