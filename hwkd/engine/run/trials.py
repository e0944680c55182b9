"""The trials of a search in an Optuna study: proposals queued and taken, records filed and read.

The study is the truth: a trial is finished when it is told there. `trials.jsonl` repeats the
records for people and reports and is rewritten from the study when a run ends or resumes.

A proposal enters the study whole, waiting, in one write. What a worker takes runs; when it dies the
trial stays RUNNING (Optuna 5.0.0), and is queued again as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from hwkd.core.errors import LostLeaseError
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.trial import FidelityRecord, TrialRecord, read_trial_line, read_trial_summary
from hwkd.engine.run.lease import Lease
from hwkd.engine.run.proposal import History, Proposal, Tried
from hwkd.engine.run.trial_index import (
    COUNTS,
    NETWORK_KEY,
    PROPOSAL,
    RECORD,
    REQUEUED_FROM,
    TrialIndex,
)
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.objective import objective_values
from hwkd.io.run_text import append_line, run_writes, write_lines

_FIDELITY = "hwkd.fidelity"
_MEMORY = "hwkd.proposer_memory"
_DEATHS = "hwkd.worker_deaths"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenProposal:
    """A proposal that a worker has taken.

    Attributes:
        number: its place among the candidates, from 0. An interrupted trial and its repetition are
            one candidate, so an interrupted search and an undisturbed one number them alike.
        deaths: how many workers died while they ran it.
        note: keeps a value by its name beside the trial.
    """

    trial: int
    number: int
    proposal: Proposal
    deaths: int
    note: Callable[[str, Any], None]

    def name_network(self, key: str) -> None:
        """Note `Layers.key` of the student, once it was built."""
        if self.proposal.network_key != key:
            self.note(NETWORK_KEY, key)


class Trials:
    """The trials of one search; every process has its own object on the same study."""

    def __init__(
        self,
        study: optuna.Study,
        *,
        run: Path | str,
        mirror: Path | None = None,
        appends: bool = True,
    ) -> None:
        """Nothing is read yet.

        Args:
            run: for messages: the folder, or whatever `--resume` takes.
            mirror: file that repeats the records for people and reports; None keeps none.
            appends: whether each record goes there as it is filed; False leaves it to
                `mirror_news`, where processes on other machines file records, too.
        """
        self.study = study
        # `Study.ask` and `Study.tell` read a trial whole that is known here, which costs a database
        # more than what they write.
        self._storage = study._storage
        self._run = run
        self._mirror = mirror
        self._appends = appends
        self._mirrored: set[int] = set()
        self._summaries: dict[int, TrialRecord] = {}
        self._finished: list[Tried] = []
        self._index = TrialIndex()
        self._looks_once = False
        self._looked: list[FrozenTrial] | None = None

    @contextmanager
    def looking_once(self) -> Iterator[None]:
        """Answer everything from one reading of the study, until something is queued or taken.

        For the process that has the right to choose: what others file meanwhile can wait.
        """
        self._looks_once, self._looked = True, None
        try:
            yield
        finally:
            self._looks_once, self._looked = False, None

    def queue(self, proposals: Sequence[Proposal]) -> None:
        """Add proposals to what waits; each is there whole or not at all."""
        for proposal in proposals:
            attributes: dict[str, Any] = {
                PROPOSAL: proposal.stored(),
                _FIDELITY: proposal.fidelity.model_dump_json(),
            }
            if proposal.network_key is not None:
                attributes[NETWORK_KEY] = proposal.network_key
            if proposal.memory:
                attributes[_MEMORY] = dict(proposal.memory)
            with run_writes(self._run):
                self._add_waiting(dict(proposal.params), dict(proposal.domains), attributes)

    def has_finished(self) -> bool:
        """Tell whether any candidate has a record."""
        return bool(self._updated().finished)

    def has_queued(self) -> bool:
        """Tell whether a proposal waits."""
        return self._updated().has_queued

    def take(self) -> TakenProposal | None:
        """Take the proposal that has waited longest; None where none waits any more."""
        trial = self._started()
        if trial is None:
            return None
        attributes = trial.user_attrs
        proposal = Proposal.read(
            attributes[PROPOSAL],
            params=trial.params,
            domains=trial.distributions,
            network_key=attributes.get(NETWORK_KEY),
            where=f"{self._run}, trial {trial.number} of the study",
        )
        return TakenProposal(
            trial=trial.number,
            number=self._index.places[trial.number],
            proposal=proposal,
            deaths=attributes.get(_DEATHS, 0),
            note=partial(self._note, trial._trial_id),
        )

    def _started(self) -> FrozenTrial | None:
        for trial in self._updated().open:
            if trial.state == OptunaState.WAITING:
                with suppress(UpdateFinishedTrialError), run_writes(self._run):
                    self._looked = None
                    if self._storage.set_trial_state_values(trial._trial_id, OptunaState.RUNNING):
                        return trial
        return None

    def _note(self, trial_id: int, name: str, value: Any) -> None:
        with run_writes(self._run):
            self._storage.set_trial_user_attr(trial_id, name, value)

    def file(self, candidate: TakenProposal, record: TrialRecord) -> None:
        """File the record, tell the study, append to `trials.jsonl`, in this order.

        Filing the same record twice is filing it once: a database may lose its answer.

        Raises:
            LostLeaseError: if the trial was finished otherwise meanwhile.
        """
        line = record.model_dump_json()
        try:
            if record.state in ("rejected", "duplicate"):
                candidate.note(COUNTS, False)
            candidate.note(RECORD, line)
            self._tell(candidate.trial, record)
        except UpdateFinishedTrialError:
            stored = next(trial for trial in self._all() if trial.number == candidate.trial)
            if stored.user_attrs.get(RECORD) != line:
                raise LostLeaseError(f"trial {candidate.trial} was taken over") from None
        if self._mirror is not None and self._appends:
            append_line(self._mirror, line)

    def running(self) -> list[int]:
        """Return Optuna's numbers of the trials that were taken and are not finished."""
        return [trial.number for trial in self._all() if trial.state == OptunaState.RUNNING]

    def requeue_interrupted(
        self, *, only: Collection[int] | None = None, died: bool = False
    ) -> int:
        """Queue cut-off trials again; finish those that only lacked the last step.

        Args:
            only: Optuna's numbers of trials that nobody works on while the search goes on. None is
                for a search that starts again: no worker is alive and every open trial counts.

        Returns:
            How many were queued again.
        """
        trials = self._all()
        queued_before = self._updated().interrupted
        count = 0
        with run_writes(self._run):
            for trial in trials:
                if trial.state != OptunaState.RUNNING or (
                    only is not None and trial.number not in only
                ):
                    continue
                # What its worker noted last is not among what was read with the others.
                trial = self._storage.get_trial(trial._trial_id)
                if trial.state != OptunaState.RUNNING:
                    continue
                attributes = dict(trial.user_attrs)
                if RECORD in attributes:
                    self._tell(trial.number, _record_of(trial))
                    continue
                if PROPOSAL in attributes and trial.number not in queued_before:
                    deaths = attributes.get(_DEATHS, 0) + died
                    attributes |= {REQUEUED_FROM: trial.number, _DEATHS: deaths}
                    self._add_waiting(trial.params, trial.distributions, attributes)
                    count += 1
                self._finish(trial.number, OptunaState.FAIL)
        return count

    def requeue_lost(self, lease: Lease) -> None:
        """Queue again what processes elsewhere worked on that are gone."""
        for trial, died in lease.lost(self.running).items():
            self.requeue_interrupted(only={trial}, died=died)
            lease.settle(trial)

    def find_record(self, network_key: str, fidelity: FidelityRecord) -> TrialRecord | None:
        """Return the first record of a network that was trained so long, or was rejected."""
        wanted = fidelity.model_dump_json()
        for trial in self._updated().by_network.get(network_key, ()):
            # Older versions knew one fidelity.
            if trial.user_attrs.get(_FIDELITY, wanted) == wanted:
                record = _record_of(trial)
                if record.state in ("completed", "rejected"):
                    return record
        return None

    def history(self, goal: ObjectiveConfig) -> History:
        """Return what was tried; each record is read once."""
        index = self._updated()
        for trial in index.finished[len(self._finished) :]:
            record = self._summary(trial)
            self._finished.append(_tried(trial, record.number, record))
        return History(
            finished=self._finished,
            pending=[_tried(trial, index.places[trial.number], None) for trial in index.open],
            candidates=index.candidates,
            goal=goal,
        )

    def records(self) -> tuple[TrialRecord, ...]:
        """Return every finished trial's record, by candidate number.

        In short (`read_trial_summary`), and each is parsed once: a record never changes.
        """
        return tuple(record for record, _ in self._records_and_lines())

    def rewrite_mirror(self) -> tuple[TrialRecord, ...]:
        """Write `trials.jsonl` anew from the study, sorted, and return the records."""
        found = self._records_and_lines()
        if self._mirror is not None:
            write_lines(self._mirror, (line for _, line in found))
            self._mirrored = {record.number for record, _ in found}
        return tuple(record for record, _ in found)

    def mirror_news(self) -> list[TrialRecord]:
        """Append to `trials.jsonl` what was filed since it was written, and return the records."""
        news = []
        for record, line in self._records_and_lines():
            if record.number not in self._mirrored:
                self._mirrored.add(record.number)
                news.append(record)
                if self._mirror is not None:
                    append_line(self._mirror, line)
        return news

    def candidates_started(self) -> int:
        """Return how many candidates were taken; a repetition of one does not count."""
        return self._updated().started

    def trainings_started(self) -> int:
        """Return how many candidates were trained or may be: rejected and repeated ones are not."""
        return self._updated().trainings

    def is_complete(self, config: SearchConfig) -> bool:
        """Tell whether as many candidates were trained, or tried at all, as was asked for."""
        wanted, most = config.most_trials, config.most_candidates
        return (wanted is not None and self.trainings_started() >= wanted) or (
            most is not None and self.candidates_started() >= most
        )

    def _updated(self) -> TrialIndex:
        self._index.update(self._all())
        return self._index

    def _all(self) -> list[FrozenTrial]:
        found = self._looked
        if found is None:
            found = self.study.get_trials(deepcopy=False)
            self._looked = found if self._looks_once else None
        return found

    def _add_waiting(
        self, params: dict[str, Any], domains: dict[str, Any], attributes: dict[str, Any]
    ) -> None:
        self._looked = None
        self.study.add_trial(
            create_trial(
                state=OptunaState.WAITING,
                params=params,
                distributions=domains,
                user_attrs=attributes,
            )
        )

    def _summary(self, trial: FrozenTrial) -> TrialRecord:
        found = self._summaries.get(trial.number)
        if found is None:
            where = f"{self._run}, trial {trial.number} of the study"
            found = read_trial_summary(str(trial.user_attrs[RECORD]), where=where)
            self._summaries[trial.number] = found
        return found

    def _records_and_lines(self) -> list[tuple[TrialRecord, str]]:
        found = [
            (self._summary(trial), trial.user_attrs[RECORD])
            for trial in self._all()
            if RECORD in trial.user_attrs
        ]
        return sorted(found, key=lambda pair: pair[0].number)

    def _tell(self, number: int, record: TrialRecord) -> None:
        values = objective_values(record, len(self.study.directions))
        if values:
            self._finish(number, OptunaState.COMPLETE, values)
        elif record.state == "failed" or len(self.study.directions) > 1:
            # Optuna's samplers cannot rank pruned trials of several objectives.
            self._finish(number, OptunaState.FAIL)
        else:
            self._finish(number, OptunaState.PRUNED)

    def _finish(
        self, number: int, state: OptunaState, values: Sequence[float] | None = None
    ) -> None:
        self._looked = None
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(
            self.study._study_id, number
        )
        with run_writes(self._run):
            self._storage.set_trial_state_values(trial_id, state, values)


def _record_of(trial: FrozenTrial) -> TrialRecord:
    return read_trial_line(trial.user_attrs[RECORD], where=f"trial {trial.number} of the study")


def _tried(trial: FrozenTrial, number: int, record: TrialRecord | None) -> Tried:
    return Tried(
        number=number,
        params=trial.params,
        domains=trial.distributions,
        network_key=trial.user_attrs.get(NETWORK_KEY),
        record=record,
        memory=trial.user_attrs.get(_MEMORY, {}),
    )
