"""The stages of one call on a run folder: teacher, trials, full trainings, verification, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from hwkd.core.errors import HwkdError, RunFolderError
from hwkd.core.pareto import pareto_front
from hwkd.core.run_record import RunRecord, RunStatus
from hwkd.core.trial import TrialRecord
from hwkd.engine.arms.children import Nursery
from hwkd.engine.run.listener import SearchListener, noted
from hwkd.engine.run.prepared import settled_json, teacher_is_settled
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.run_record import run_json, search_caveats, with_phase
from hwkd.engine.run.run_teacher import (
    TEACHER_FOLDER,
    TeacherStage,
    beaten_by,
    error_to_beat,
    kept_teacher,
    known_teacher,
    teacher_outputs,
)
from hwkd.engine.search.planning import Planning
from hwkd.engine.search.result import SearchResult
from hwkd.engine.search.trial_stage import run_trial_stage
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.prepare import Prepared
from hwkd.engine.setup.time_plan import Stage, TimeLimit
from hwkd.io.paths import cache_root
from hwkd.io.run_files import PREPARED_FILE, RUN_FILE
from hwkd.io.run_text import run_writes
from hwkd.io.student_folder import (
    BEST_FOLDER,
    DESCRIPTION_FILE,
    read_record_file,
    write_record,
)
from hwkd.train.teacher import Teacher

if TYPE_CHECKING:
    from hwkd.engine.search.closing import Closing

_REPORTS_IN_SEARCH = 4.0


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

    @cached_property
    def planning(self) -> Planning:
        """Return what divides the time that is left."""
        return Planning(self.limit, self.config, self.listener)

    def run(self, run: RunRecord, descriptors: tuple[int, ...], *, is_new: bool) -> SearchResult:
        """Teacher, trials, final training, verification, report."""
        status: RunStatus = "interrupted"
        records: tuple[TrialRecord, ...] = ()
        try:
            teacher, run = self._teacher(run, is_new=is_new)
            self.store.write(self.store.config_path.name, self.config.to_toml())
            known = kept_teacher(self.store, self.prepared, teacher, progress=self.listener)
            run = self._save(run, "running")
            with run_writes(self.store.path):
                self._recover(known)
            begun = time.monotonic()
            run, shares = self.planning.plan(run)
            search_s = shares.get("search")
            latest_s = None if search_s is None else search_s + shares.get("final training", 0.0)
            closing = cache(partial(self._closing, teacher, known))

            def meanwhile() -> None:
                closing()
                # The first one imports what draws, five times the time of the next: while others
                # train, unless they would have ended by then.
                if (search_s or 0.0) > _REPORTS_IN_SEARCH * self.limit.report_s:
                    self.write_report(self.store.path)

            records, timed_out = run_trial_stage(
                self.store, self.config, self.nursery, descriptors, self.listener,
                meanwhile=meanwhile,
                search_s=search_s,
                share_s=self._share_s(shares),
                latest_s=latest_s,
                scoring_s=self.limit.first_scoring_s,
            )  # fmt: skip
            run = with_phase(run, "search", time.monotonic() - begun)
            run = self._judged(run, closing(), records)
            status = "stopped by timeout" if timed_out else "finished"
            run = self._save(run, status)
            if latest_s != search_s:  # else the report follows at once
                self._time_report()
            run = closing().ended(run, records)
            run = closing().verified(run)
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
        teacher = TeacherStage(record=run.teacher)
        known = kept_teacher(self.store, self.prepared, teacher, progress=self.listener)
        closing = self._closing(teacher, known)
        records = self.store.trials.rewrite_mirror()
        status = run.status
        final = None if run.final is None else run.final.model_copy(update={"verification": None})
        try:
            run = run.model_copy(update={"final": final})
            run = self._judged(run, closing, records)
            # The first report imports what draws, which takes longer than all that follows it.
            run = closing.ended(
                run, records, again=True, meanwhile=partial(self.write_report, self.store.path)
            )
            run = closing.verified(run)
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

    def _teacher(self, run: RunRecord, *, is_new: bool) -> tuple[TeacherStage, RunRecord]:
        """Make the teacher ready, once for a run; later calls find its outputs in the cache."""
        if not is_new and teacher_is_settled(self.store):
            stage = known_teacher(self.store, self.prepared, run.teacher, progress=self.listener)
            if stage.record is not None:
                self.listener.on_teacher(stage.record)
            return stage, run
        from hwkd.engine.run.teacher_stage import prepare_in_time  # torch
        from hwkd.engine.setup.methods import wants_teacher

        begun = time.monotonic()
        run, shares = self.planning.plan(run, trains_teacher=wants_teacher(self.config))
        stage = prepare_in_time(
            self.prepared,
            self.limit,
            budget_s=shares.get("teacher", 0.0) if shares else None,
            own_dir=self.store.path / TEACHER_FOLDER,
            progress=self.listener,
        )
        if stage.record is not None:
            self.listener.on_teacher(stage.record)
            run = run.model_copy(update={"teacher": stage.record})
        if stage.left_out is not None:
            run = noted(
                run, f"Students learned from labels alone: {stage.left_out}.", self.listener
            )
        self.store.write(PREPARED_FILE, settled_json(self.store, stage.teacher))
        return stage, with_phase(run, "teacher", time.monotonic() - begun)

    def _share_s(self, shares: Mapping[Stage, float]) -> float | None:
        """Return how long a candidate may take; None is no bound."""
        if "search" not in shares:
            return None
        is_last = self.config.train_best and "final training" not in shares
        return self.limit.candidate_share_s(shares["search"], is_last=is_last)

    def _closing(self, teacher: TeacherStage, known: Teacher | None) -> Closing:
        """Get ready for what follows the candidates: torch takes a second to import."""
        from hwkd.engine.search.closing import Closing, context_of

        return Closing(
            store=self.store,
            context=context_of(self.store, self.prepared, known),
            teacher=teacher,
            planning=self.planning,
            nursery=self.nursery,
            listener=self.listener,
        )

    def _recover(self, known: Teacher | None) -> None:
        """Queue again what nobody works on; give other machines what they need to join."""
        shared = self.store.shared
        if shared is None:
            self.store.trials.requeue_interrupted()
            return
        shared.enter()
        shared.publish_folders(cache_root(), teacher_outputs(known, self.prepared))
        with self.store.lease.asking():
            self.store.trials.requeue_lost(self.store.lease)

    def _judged(
        self, run: RunRecord, closing: Closing, records: Sequence[TrialRecord]
    ) -> RunRecord:
        """Leave the teacher out of the objective if a candidate beat it; state the caveats."""
        run = self._without_beaten_teacher(run, closing.context.teacher_error, records)
        is_compared = len(closing.arms(run)) > 1
        caveats = search_caveats(
            self.config, self.prepared.screen.device, records, is_compared=is_compared
        )
        return run.model_copy(update={"caveats": caveats})

    def _without_beaten_teacher(
        self, run: RunRecord, teacher_error: float | None, records: Sequence[TrialRecord]
    ) -> RunRecord:
        teacher = run.teacher
        # What one teaches that knows some classes, its score on all of them does not say.
        if teacher is None or teacher_error is None or teacher.is_partial:
            goal = run.objective.model_copy(update={"beta": 0.0})
            return run.model_copy(update={"objective": goal})
        to_beat = error_to_beat(teacher_error, self.config)
        better = beaten_by(to_beat, records)
        if better is None or teacher.left_out is not None:
            return run
        assert better.objective is not None  # of what beat it
        error = better.objective.task_error
        why = (
            f"its validation error is {teacher_error:.4f}; candidate {better.number}, trained "
            f"briefly and in 8 bits, reached {error:.4f}"
        )
        if to_beat > teacher_error:
            why += f", of which a full training leaves about {error * teacher_error / to_beat:.4f}"
        run = run.model_copy(
            update={
                "teacher": teacher.model_copy(update={"left_out": why}),
                "objective": run.objective.model_copy(update={"beta": 0.0}),
            }
        )
        return noted(
            run,
            f"The teacher was left out after candidate {better.number}: {why}. Later candidates "
            "learned from labels alone, and the divergence from it no longer counts.",
            self.listener,
        )

    def _describe_best(self, run: RunRecord) -> None:
        """Tell the best student's folder how the run ended; one of an older version stays."""
        path = self.store.path / BEST_FOLDER / DESCRIPTION_FILE
        if run.final is not None and path.is_file():
            write_record(path.parent, read_record_file(path).model_copy(update={"run": run}))

    def _time_report(self) -> None:
        """Write the report of what there is, so that one is there whatever comes, and time it."""
        with self.limit.timing_report():
            self.write_report(self.store.path)

    def _save(self, run: RunRecord, status: RunStatus) -> RunRecord:
        run = run.model_copy(update={"status": status})
        self.store.write(RUN_FILE, run_json(run))
        return run
