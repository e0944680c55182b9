"""The search from the first byte of data to `best/`: what `hwkd search` and `hwkd.search` run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.best import ranked_trials
from hwkd.core.device_catalog import load_device
from hwkd.core.errors import ConfigError, HwkdError, RunFolderError
from hwkd.core.pareto import FrontPoint, pareto_front
from hwkd.core.run_files import RUN_FILE, RunRecord, RunStatus, read_run_record
from hwkd.core.trial import TrialRecord
from hwkd.engine.config import SearchConfig
from hwkd.engine.context import SearchContext
from hwkd.engine.feasibility import require_feasible
from hwkd.engine.final import Ending, finish_students, require_student
from hwkd.engine.listener import SearchListener
from hwkd.engine.prepare import (
    PREPARED_FILE,
    Prepared,
    check_data_unchanged,
    check_teacher_unchanged,
    load_context,
    named_teacher,
    prepare_data,
    prepared_json,
    teacher_is_settled,
)
from hwkd.engine.publish import BEST_FOLDER
from hwkd.engine.run_record import make_run_record, search_caveats
from hwkd.engine.store import RunStore, write_text
from hwkd.engine.teacher_stage import TeacherStage, beaten_by, measure_teacher, prepare_teacher
from hwkd.engine.time_plan import TimeLimit
from hwkd.engine.trial_stage import run_trial_stage
from hwkd.engine.verify_best import require_verifiable, verify_best

__all__ = ["SearchResult", "finish_run", "resume_search", "run_search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a finished search leaves.

    Attributes:
        folder: the run folder.
        run: facts of the search; `run.final` is the best student.
        records: every trial, by number.
        front: undominated trials.
        seconds: wall time of this call.
    """

    folder: Path
    run: RunRecord
    records: tuple[TrialRecord, ...]
    front: tuple[FrontPoint, ...]
    seconds: float


def run_search(
    config: SearchConfig,
    folder: Path,
    *,
    limit: TimeLimit,
    listener: SearchListener,
    command: Sequence[str],
    write_report: Callable[[Path], None],
) -> SearchResult:
    """Search from the beginning.

    Args:
        config: what was asked for; open choices are filled from the device and the data.
        folder: run folder to create.
        limit: of the wall time of it all.
        listener: hears how it goes.
        command: the command line, for the record.
        write_report: writes the report of a run folder; called after the search and at the end.

    Raises:
        HwkdError: if anything asked for is wrong; nothing is left behind then.
        KeyboardInterrupt: after finished trials were saved.
    """
    store = RunStore(folder)
    store.require_free()
    _require_what_verifying_needs(config)
    prepared = prepare_data(config, progress=listener)
    listener.on_data(prepared.data)
    run = make_run_record(
        requested=config,
        resolved=prepared.config,
        device=prepared.screen.device,
        data=prepared.data,
        feasibility=prepared.feasibility,
        accelerator=prepared.accelerator,
        command=command,
    )
    listener.on_feasibility(run)
    require_feasible(prepared.feasibility)
    limit.data_is_read()
    limit.require_enough(verifies=config.verify_best)
    run = _with_phase(run, "prepare", limit.spent_s())
    unsettled = prepared_json(prepared, None, is_settled=False)
    store.create(prepared.config, {PREPARED_FILE: unsettled, RUN_FILE: _json(run)})
    search = _Search(store, prepared, limit, listener, write_report)
    with store.locked() as lock_descriptor:
        return search.run(run, lock_descriptor, is_new=True)


def resume_search(
    folder: Path,
    *,
    trials: int | None = None,
    limit: TimeLimit,
    workers: int | None = None,
    listener: SearchListener,
    write_report: Callable[[Path], None],
) -> SearchResult:
    """Go on with a search that was interrupted, killed or finished.

    Args:
        folder: run folder.
        trials: candidates to sample in all; None keeps what was asked for first.
        limit: of the wall time of this call.
        workers: processes; None keeps the number asked for first.
        listener: hears how it goes.
        write_report: writes the report of a run folder.

    Raises:
        RunFolderError: if it is no run folder, is in use, or its data or teacher changed.
    """
    store = RunStore(folder)
    with store.locked() as lock_descriptor:
        search, run = _reopened(
            store, limit, listener, write_report, trials=trials, workers=workers
        )
        return search.run(run, lock_descriptor, is_new=False)


def finish_run(
    folder: Path,
    *,
    limit: TimeLimit,
    seeds: int | None = None,
    listener: SearchListener,
    write_report: Callable[[Path], None],
) -> SearchResult:
    """Do the end of a search again: train its best students in full, and publish the best.

    No further candidate is tried. What the folder holds from earlier ends competes.

    Args:
        folder: run folder with a completed trial.
        limit: of the wall time of this call; without one trainings have their full length.
        seeds: over which the best student and its controls are trained; None keeps what was asked
            for first.
        listener: hears how it goes.
        write_report: writes the report of a run folder.

    Raises:
        RunFolderError: as `resume_search`.
        DoesNotFitError: if no trial was completed.
    """
    store = RunStore(folder)
    with store.locked():
        search, run = _reopened(store, limit, listener, write_report, seeds=seeds)
        return search.finish_again(run)


def _reopened(
    store: RunStore,
    limit: TimeLimit,
    listener: SearchListener,
    write_report: Callable[[Path], None],
    *,
    trials: int | None = None,
    workers: int | None = None,
    seeds: int | None = None,
) -> tuple[_Search, RunRecord]:
    store.check_journal()
    config = SearchConfig.from_toml(store.config_path)
    changes = {"trials": trials, "workers": workers}
    config = config.model_copy(
        update={"timeout_s": limit.limit_s, **{k: v for k, v in changes.items() if v is not None}}
    )
    if seeds is not None:
        training = config.training.model_copy(update={"controls": seeds})
        config = config.model_copy(update={"training": training})
    run = read_run_record(store.folder / RUN_FILE)
    _require_what_verifying_needs(config)
    prepared = prepare_data(config, progress=listener)
    listener.on_data(prepared.data)
    check_data_unchanged(store, prepared)
    limit.data_is_read()
    limit.require_enough(verifies=config.verify_best)
    run = run.model_copy(update={"workers": config.workers})
    return _Search(store, prepared, limit, listener, write_report), run


@dataclass
class _Search:
    """One call on one run folder, stage by stage."""

    store: RunStore
    prepared: Prepared
    limit: TimeLimit
    listener: SearchListener
    write_report: Callable[[Path], None]

    @property
    def config(self) -> SearchConfig:
        return self.prepared.config

    def run(self, run: RunRecord, lock_descriptor: int, *, is_new: bool) -> SearchResult:
        """Teacher, trials, final training, verification, report."""
        status: RunStatus = "interrupted"
        records: tuple[TrialRecord, ...] = ()
        try:
            teacher, run = self._teacher(run, is_new=is_new)
            write_text(self.store.config_path, self.config.to_toml())
            context = load_context(self.store)
            run = self._save(run, "running")
            with self.store.writes():
                self.store.requeue_interrupted()
            begun = time.monotonic()
            plan = self._planned(run, trains_teacher=False)
            records, timed_out = run_trial_stage(
                self.store, context, lock_descriptor, self.listener, search_s=plan.search_s
            )
            run = _with_phase(plan.run, "trials", time.monotonic() - begun)
            run = self._judged(run, context, records)
            status = "stopped by timeout" if timed_out else "finished"
            run = self._save(run, status)
            if self.limit.is_limited:
                self._time_report()
            run = self._ended(run, teacher, context, records, seeds=None)
            run = self._verified(run, context)
        except KeyboardInterrupt:
            self._save(run, "interrupted")
            self.store.rewrite_trials_file()
            raise KeyboardInterrupt(
                f"finished trials are saved; go on with `hwkd search --resume {self.store.folder}`"
            ) from None
        except HwkdError:
            with suppress(RunFolderError):  # the error at hand says more than that the disk is full
                self._save(run, status)
            raise
        return self._result(run, records, status)

    def finish_again(self, run: RunRecord) -> SearchResult:
        """Final training, verification, report."""
        context = load_context(self.store)
        records = self.store.rewrite_trials_file()
        status = run.status
        teacher = TeacherStage(record=run.teacher)
        final = None if run.final is None else run.final.model_copy(update={"verification": None})
        try:
            run = self._judged(run.model_copy(update={"final": final}), context, records)
            run = self._ended(
                run, teacher, context, records, seeds=self.config.training.controls, again=True
            )
            run = self._verified(run, context)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"trainings that ended are saved; go on with `hwkd finish {self.store.folder}`"
            ) from None
        return self._result(run, records, status)

    def _result(
        self, run: RunRecord, records: tuple[TrialRecord, ...], status: RunStatus
    ) -> SearchResult:
        run = self._save(run, status)
        self.write_report(self.store.folder)
        return SearchResult(
            folder=self.store.folder,
            run=run,
            records=records,
            front=pareto_front(records),
            seconds=self.limit.spent_s(),
        )

    def _planned(self, run: RunRecord, *, trains_teacher: bool) -> _Planned:
        """Divide the time that is left, and say so."""
        config = self.config
        shares = self.limit.plan(
            trains_teacher=trains_teacher, final=config.train_best, verifies=config.verify_best
        )
        if shares:
            self.listener.on_plan(shares, self.limit.left_s())
            seconds = run.planned_seconds | dict(shares.items())
            run = run.model_copy(update={"planned_seconds": seconds})
        return _Planned(run, shares.get("teacher"), shares.get("search"))

    def _teacher(self, run: RunRecord, *, is_new: bool) -> tuple[TeacherStage, RunRecord]:
        """Make the teacher ready, once for a run; later calls find its outputs in the cache."""
        if not is_new and teacher_is_settled(self.store):
            return self._known_teacher(run)
        begun = time.monotonic()
        plan = self._planned(run, trains_teacher=True)
        try:
            stage = prepare_teacher(self.prepared, budget_s=plan.teacher_s, progress=self.listener)
        except HwkdError:
            if is_new:
                self.store.remove()
            raise
        run = plan.run
        if stage.record is not None:
            self.listener.on_teacher(stage.record)
            run = run.model_copy(update={"teacher": stage.record})
        if stage.left_out is not None:
            run = self._noted(run, f"Students learned from labels alone: {stage.left_out}.")
        write_text(self.store.folder / PREPARED_FILE, prepared_json(self.prepared, stage.teacher))
        return stage, _with_phase(run, "teacher", time.monotonic() - begun)

    def _known_teacher(self, run: RunRecord) -> tuple[TeacherStage, RunRecord]:
        """Return the teacher that the run began with; a user's own file must be the same still."""
        if named_teacher(self.store) is None:
            return TeacherStage(), run
        if self.config.teacher.source is None and run.teacher is not None:
            self.listener.on_teacher(run.teacher)
            return TeacherStage(record=run.teacher), run
        stage = prepare_teacher(self.prepared, progress=self.listener)
        if stage.teacher is not None and stage.record is not None:
            check_teacher_unchanged(self.store, stage.teacher)
            self.listener.on_teacher(stage.record)
        return stage, run

    def _judged(
        self, run: RunRecord, context: SearchContext, records: Sequence[TrialRecord]
    ) -> RunRecord:
        """Leave the teacher out of the objective if a candidate beat it; state the caveats."""
        caveats = search_caveats(self.config, self.prepared.screen.device, records)
        kept = tuple(c for c in run.caveats if c not in caveats)
        run = run.model_copy(update={"caveats": (*caveats, *kept)})
        teacher = run.teacher
        if teacher is None or context.teacher_accuracy is None:
            goal = run.objective.model_copy(update={"beta": 0.0})
            return run.model_copy(update={"objective": goal})
        better = beaten_by(context.teacher_accuracy, records)
        if better is None or teacher.left_out is not None:
            return run
        why = (
            f"its validation accuracy {context.teacher_accuracy:.4f} is not above that of "
            f"candidate {better.number}, trained briefly and in 8 bits"
        )
        run = run.model_copy(
            update={
                "teacher": teacher.model_copy(update={"left_out": why}),
                "objective": run.objective.model_copy(update={"beta": 0.0}),
            }
        )
        return self._noted(
            run,
            f"The teacher was left out after candidate {better.number}: {why}. Later candidates "
            "learned from labels alone, and the divergence from it no longer counts.",
        )

    def _ended(
        self,
        run: RunRecord,
        teacher: TeacherStage,
        context: SearchContext,
        records: Sequence[TrialRecord],
        *,
        seeds: int | None,
        again: bool = False,
    ) -> RunRecord:
        """Train the best students in full, unless that was done for the same best trial before."""
        config, limit = self.config, self.limit
        ranked = ranked_trials(run.objective, records)
        best = require_student(ranked, records)
        done = run.final is not None and run.final.trial == best.number
        if not config.train_best or (done and not again):
            return run
        begun = time.monotonic()
        end_s = None
        if limit.is_limited:
            left_s = limit.left_s() - limit.closing_s(verifies=config.verify_best)
            end_s = limit.deadline_s(left_s)
        has_teacher = context.teacher_accuracy is not None and run.teacher is not None
        ending = Ending(
            goal=run.objective,
            has_teacher=has_teacher and run.teacher is not None and run.teacher.left_out is None,
            epochs=config.training.full_epochs or 1,
            seeds=config.training.controls if seeds is None else seeds,
            end_s=end_s,
            start_up_s=limit.start_up_s,
        )
        final, given_up = finish_students(
            ranked, context, self.store, ending, progress=self.listener
        )
        run = run.model_copy(update={"final": final})
        for what in given_up:
            run = self._noted(run, f"Given up: {what}.")
        run = _with_phase(run, "final training", time.monotonic() - begun)
        return self._tested_teacher(run, teacher)

    def _tested_teacher(self, run: RunRecord, stage: TeacherStage) -> RunRecord:
        """Measure the teacher on the test split where there is a teacher that runs, and time."""
        teacher, record = stage.teacher, run.teacher
        if teacher is None or record is None or record.test_accuracy is not None:
            return run  # there is none, or an earlier call made it and only its outputs are here
        if self.limit.is_limited:  # running it on the whole test split has no bound
            return run
        measured = measure_teacher(teacher, record, self.prepared, progress=self.listener)
        return run.model_copy(update={"teacher": measured})

    def _verified(self, run: RunRecord, context: SearchContext) -> RunRecord:
        """Run the C of the best student on an emulated core, once, if that was asked for."""
        final = run.final
        if not self.config.verify_best or final is None or final.verification is not None:
            return run
        begun = time.monotonic()
        device, test = context.screen.device, context.data.test
        found = verify_best(self.store.folder / BEST_FOLDER, device, test, self.listener)
        run = run.model_copy(update={"final": final.model_copy(update={"verification": found})})
        return _with_phase(run, "verification", time.monotonic() - begun)

    def _time_report(self) -> None:
        """Write the report of what there is, so that one is there whatever comes, and time it."""
        begun = time.monotonic()
        self.write_report(self.store.folder)
        self.limit.report_s = time.monotonic() - begun

    def _noted(self, run: RunRecord, note: str) -> RunRecord:
        self.listener.on_note(note)
        return run.model_copy(update={"caveats": tuple(dict.fromkeys((*run.caveats, note)))})

    def _save(self, run: RunRecord, status: RunStatus) -> RunRecord:
        run = run.model_copy(update={"status": status})
        write_text(self.store.folder / RUN_FILE, _json(run))
        return run


@dataclass(frozen=True, slots=True)
class _Planned:
    run: RunRecord
    teacher_s: float | None
    search_s: float | None


def _require_what_verifying_needs(config: SearchConfig) -> None:
    """Raise HwkdError, before anything is read, if the best student could not be verified."""
    if not config.verify_best:
        return
    if not config.train_best:
        raise ConfigError("--verify: checks the best student after full training; drop --no-final")
    require_verifiable(load_device(config.device))


def _with_phase(run: RunRecord, phase: str, seconds: float) -> RunRecord:
    total = run.phase_seconds.get(phase, 0.0) + seconds
    return run.model_copy(update={"phase_seconds": {**run.phase_seconds, phase: total}})


def _json(run: RunRecord) -> str:
    return run.model_dump_json(indent=2) + "\n"
