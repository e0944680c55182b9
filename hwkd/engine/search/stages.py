"""The stages of one call on a run folder: teacher, trials, full trainings, verification, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.best import ranked_trials
from hwkd.core.errors import HwkdError, RunFolderError
from hwkd.core.pareto import pareto_front
from hwkd.core.run_record import RunRecord, RunStatus
from hwkd.core.student_record import StudentRecord
from hwkd.core.trial import TrialRecord
from hwkd.deploy.verify import target_of
from hwkd.engine.arms.children import Nursery
from hwkd.engine.arms.evaluation import student_logits
from hwkd.engine.arms.student_folder import write_student
from hwkd.engine.run.prepared import settled_json, teacher_is_settled
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.run_record import run_json, search_caveats, with_phase
from hwkd.engine.search.final import Ending, finish_students, is_done, require_student
from hwkd.engine.search.listener import SearchListener
from hwkd.engine.search.loop import requeue_lost
from hwkd.engine.search.result import SearchResult
from hwkd.engine.search.teacher_stage import (
    TEACHER_FOLDER,
    TeacherStage,
    beaten_by,
    context_of,
    known_teacher,
    prepare_teacher,
    teacher_outputs,
    tested_teacher,
)
from hwkd.engine.search.trial_stage import run_trial_stage
from hwkd.engine.search.verify_best import verify_best
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.hardware import fewer_threads
from hwkd.engine.setup.methods import configured_methods
from hwkd.engine.setup.prepare import Prepared
from hwkd.engine.setup.resolve import most_epochs
from hwkd.engine.setup.time_plan import TimeLimit
from hwkd.io.device_catalog import folder_of
from hwkd.io.paths import cache_root
from hwkd.io.run_files import PREPARED_FILE, RUN_FILE
from hwkd.io.run_text import run_writes
from hwkd.io.student_folder import (
    BEST_FOLDER,
    DESCRIPTION_FILE,
    read_record_file,
    write_record,
)


@dataclass
class SearchStages:
    """One call on one run folder, stage by stage."""

    store: RunFolder
    prepared: Prepared
    limit: TimeLimit
    nursery: Nursery
    listener: SearchListener
    write_report: Callable[[Path], object]

    @property
    def config(self) -> SearchConfig:
        """Return the resolved configuration."""
        return self.prepared.config

    def run(self, run: RunRecord, descriptors: tuple[int, ...], *, is_new: bool) -> SearchResult:
        """Teacher, trials, final training, verification, report."""
        status: RunStatus = "interrupted"
        records: tuple[TrialRecord, ...] = ()
        try:
            teacher, run = self._teacher(run, is_new=is_new)
            self.store.write(self.store.config_path.name, self.config.to_toml())
            context = context_of(self.store, self.prepared, teacher, progress=self.listener)
            run = self._save(run, "running")
            with run_writes(self.store.path):
                self._recover(context)
            begun = time.monotonic()
            plan = self._planned(run, trains_teacher=False)
            records, timed_out = run_trial_stage(
                self.store,
                context,
                self.nursery,
                descriptors,
                self.listener,
                search_s=plan.search_s,
                share_s=None
                if plan.search_s is None
                else self.limit.candidate_share_s(plan.search_s),
                latest_s=plan.latest_s,
            )
            run = with_phase(plan.run, "search", time.monotonic() - begun)
            run = self._judged(run, context, records)
            status = "stopped by timeout" if timed_out else "finished"
            run = self._save(run, status)
            if plan.latest_s != plan.search_s:  # else the report follows at once
                self._time_report()
            run = self._ended(run, teacher, context, records)
            run = self._verified(run, context)
        except KeyboardInterrupt:
            self._save(run, "interrupted")
            if self.store.shared is not None:
                self.store.shared.set_state("waiting")
            self.store.trials.rewrite_mirror()
            raise KeyboardInterrupt(
                f"finished trials are saved; go on with `hwkd search --resume {self.store.path}`"
            ) from None
        except HwkdError:
            if is_new and not teacher_is_settled(self.store):
                self.store.remove()  # what was asked for was wrong, and nothing was trained
            else:
                with suppress(RunFolderError):  # the error at hand says more than a full disk
                    self._save(run, status)
            raise
        return self._result(run, records, status)

    def finish_again(self, run: RunRecord) -> SearchResult:
        """Final training, verification, report."""
        context = context_of(self.store, self.prepared, TeacherStage(), progress=self.listener)
        records = self.store.trials.rewrite_mirror()
        status = run.status
        teacher = TeacherStage(record=run.teacher)
        final = None if run.final is None else run.final.model_copy(update={"verification": None})
        try:
            run = self._judged(run.model_copy(update={"final": final}), context, records)
            run = self._ended(run, teacher, context, records, again=True)
            run = self._verified(run, context)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"trainings that ended are saved; go on with `hwkd finish {self.store.path}`"
            ) from None
        return self._result(run, records, status)

    def _result(
        self, run: RunRecord, records: tuple[TrialRecord, ...], status: RunStatus
    ) -> SearchResult:
        run = self._save(run, status)
        self._describe_best(run)
        self.write_report(self.store.path)
        return SearchResult(
            folder=self.store.path,
            run=run,
            records=records,
            front=pareto_front(records),
            seconds=self.limit.spent_s(),
        )

    def _planned(self, run: RunRecord, *, trains_teacher: bool) -> _Planned:
        """Divide the time that is left, and say so."""
        config = self.config
        shares = self.limit.plan(
            trains_teacher=trains_teacher,
            has_teacher=bool(config.teacher.sources),
            final=config.train_best,
            verifies=config.verify_best,
        )
        if shares:
            self.listener.on_plan(shares, self.limit.left_s())
            seconds = run.planned_seconds | dict(shares.items())
            run = run.model_copy(update={"planned_seconds": seconds})
        search_s = shares.get("search")
        latest_s = None if search_s is None else search_s + shares.get("final training", 0.0)
        teacher_s = shares.get("teacher", 0.0) if shares else None
        return _Planned(run, teacher_s, search_s, latest_s)

    def _teacher(self, run: RunRecord, *, is_new: bool) -> tuple[TeacherStage, RunRecord]:
        """Make the teacher ready, once for a run; later calls find its outputs in the cache."""
        if not is_new and teacher_is_settled(self.store):
            stage = known_teacher(self.store, self.prepared, run.teacher, progress=self.listener)
            if stage.record is not None:
                self.listener.on_teacher(stage.record)
            return stage, run
        begun = time.monotonic()
        wanted = configured_methods(self.config) != ()
        plan = self._planned(run, trains_teacher=wanted)
        paces = self.limit.pacing() if self.prepared.accelerator == "cpu" else nullcontext()
        with paces, fewer_threads(is_busy=self.limit.wants_one_thread):
            stage = prepare_teacher(
                self.config,
                self.prepared.transfer,
                budget_s=plan.teacher_s,
                must_finish=self.limit.is_limited and configured_methods(self.config) is None,
                own_dir=self.store.path / TEACHER_FOLDER,
                progress=self.listener,
            )
        run = plan.run
        if stage.record is not None:
            self.listener.on_teacher(stage.record)
            run = run.model_copy(update={"teacher": stage.record})
        if stage.left_out is not None:
            run = self._noted(run, f"Students learned from labels alone: {stage.left_out}.")
        self.store.write(PREPARED_FILE, settled_json(self.store, stage.teacher))
        return stage, with_phase(run, "teacher", time.monotonic() - begun)

    def _recover(self, context: SearchContext) -> None:
        """Queue again what nobody works on; give other machines what they need to join."""
        shared = self.store.shared
        if shared is None:
            self.store.trials.requeue_interrupted()
            return
        shared.enter()
        shared.publish_folders(cache_root(), teacher_outputs(context))
        with self.store.lease.asking():
            requeue_lost(self.store.trials, self.store.lease)

    def _judged(
        self, run: RunRecord, context: SearchContext, records: Sequence[TrialRecord]
    ) -> RunRecord:
        """Leave the teacher out of the objective if a candidate beat it; state the caveats."""
        caveats = search_caveats(self.config, self.prepared.screen.device, records)
        kept = tuple(c for c in run.caveats if c not in caveats)
        run = run.model_copy(update={"caveats": (*caveats, *kept)})
        teacher = run.teacher
        if teacher is None or context.teacher_error is None:
            goal = run.objective.model_copy(update={"beta": 0.0})
            return run.model_copy(update={"objective": goal})
        better = beaten_by(context.teacher_error, records)
        if better is None or teacher.left_out is not None:
            return run
        why = (
            f"its validation error {context.teacher_error:.4f} is not below that of "
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
        again: bool = False,
    ) -> RunRecord:
        """Train the best students in full, unless that was done for the same best trial before."""
        config, limit = self.config, self.limit
        ranked = ranked_trials(run.objective, records)
        require_student(ranked, records)
        if not config.train_best or (is_done(run.final, ranked) and not again):
            return run
        begun = time.monotonic()
        end_s = None
        if limit.is_limited:
            left_s = limit.left_s() - limit.closing_s(verifies=config.verify_best)
            end_s = limit.deadline_s(left_s)
        has_teacher = context.teacher_error is not None and run.teacher is not None
        ending = Ending(
            goal=run.objective,
            has_teacher=has_teacher and run.teacher is not None and run.teacher.left_out is None,
            epochs=most_epochs(config, len(context.data.train), is_timed=limit.is_limited),
            seeds=config.training.controls,
            end_s=end_s,
            start_up_s=limit.start_up_s - (limit.imported_s if self.nursery.forks else 0.0),
        )
        final, files, given_up = finish_students(
            ranked, context, self.store, self.nursery, ending, progress=self.listener
        )
        run = run.model_copy(update={"final": final})
        for what in given_up:
            run = self._noted(run, f"Given up: {what}.")
        if final.all_examples is not None:
            run = self._noted(
                run,
                f"After it was scored on validation, the student learned from all "
                f"{final.all_examples:,} labelled examples, those of validation among them.",
            )
        judged = context.data.validation
        known = context.data.head.knowledge(
            student_logits(files.int8_path, judged.inputs), judged.labels
        )
        if not known.is_enough:
            run = self._noted(
                run,
                f"The student guesses: its {known.what} on validation is {known.value:.3f}, and "
                f"more than guessing begins at {known.needed:.3f}. Give it more time or more room.",
            )
        run = with_phase(run, "final training", time.monotonic() - begun)
        if not limit.is_limited:  # running it on the whole test split has no bound
            tested = tested_teacher(
                teacher, run.teacher, self.prepared.data, progress=self.listener
            )
            run = run.model_copy(update={"teacher": tested})
        record = StudentRecord(
            spec=final.spec,
            network=final.network,
            run=run,
            trial=next(trial for trial in records if trial.number == final.trial),
        )
        write_student(self.store.path / BEST_FOLDER, files, record)
        return run

    def _verified(self, run: RunRecord, context: SearchContext) -> RunRecord:
        """Run the C of the best student on an emulated core, once, if that was asked for."""
        final = run.final
        if not self.config.verify_best or final is None or final.verification is not None:
            return run
        begun = time.monotonic()
        best, data = self.store.path / BEST_FOLDER, context.data
        target = target_of(context.given.device, beside=folder_of(self.config.device))
        found = verify_best(best, target, data.test, data.head, self.listener)
        run = run.model_copy(update={"final": final.model_copy(update={"verification": found})})
        return with_phase(run, "verification", time.monotonic() - begun)

    def _describe_best(self, run: RunRecord) -> None:
        """Tell the best student's folder how the run ended; one of an older version stays."""
        path = self.store.path / BEST_FOLDER / DESCRIPTION_FILE
        if run.final is not None and path.is_file():
            write_record(path.parent, read_record_file(path).model_copy(update={"run": run}))

    def _time_report(self) -> None:
        """Write the report of what there is, so that one is there whatever comes, and time it."""
        with self.limit.timing_report():
            self.write_report(self.store.path)

    def _noted(self, run: RunRecord, note: str) -> RunRecord:
        self.listener.on_note(note)
        return run.model_copy(update={"caveats": tuple(dict.fromkeys((*run.caveats, note)))})

    def _save(self, run: RunRecord, status: RunStatus) -> RunRecord:
        run = run.model_copy(update={"status": status})
        self.store.write(RUN_FILE, run_json(run))
        return run


@dataclass(frozen=True, slots=True)
class _Planned:
    run: RunRecord
    teacher_s: float | None
    search_s: float | None
    latest_s: float | None
