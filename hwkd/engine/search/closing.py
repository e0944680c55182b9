"""What follows the candidates of a search: full trainings, the best folder, its C emulated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from hwkd.core.best import ranked_trials
from hwkd.core.final_record import FinalRecord
from hwkd.core.run_record import RunRecord
from hwkd.core.student_record import StudentRecord
from hwkd.core.trial import TrialRecord
from hwkd.deploy.verify_target import target_of
from hwkd.engine.arms.children import Nursery
from hwkd.engine.arms.evaluation import student_logits
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.student_folder import write_student
from hwkd.engine.run.listener import SearchListener
from hwkd.engine.run.prepared import read_prepared
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.run_record import with_phase
from hwkd.engine.run.run_teacher import TeacherStage
from hwkd.engine.run.teacher_stage import tested_teacher
from hwkd.engine.search.end_needs import least_end_s
from hwkd.engine.search.ending import Ending
from hwkd.engine.search.final import finish_students, is_done, require_student
from hwkd.engine.search.last_trainings import last_arms
from hwkd.engine.search.planning import Planning
from hwkd.engine.search.verify_best import verify_best
from hwkd.engine.setup.context import SearchContext, make_context
from hwkd.engine.setup.prepare import Prepared
from hwkd.engine.setup.resolve import most_epochs
from hwkd.io.device_catalog import folder_of
from hwkd.io.student_folder import BEST_FOLDER, StudentFiles
from hwkd.train.teacher import Teacher


@dataclass(frozen=True, kw_only=True)
class Closing:
    """The end of one call on one run folder."""

    store: RunFolder
    context: SearchContext
    teacher: TeacherStage
    planning: Planning
    nursery: Nursery
    listener: SearchListener

    def ended(
        self,
        run: RunRecord,
        records: Sequence[TrialRecord],
        *,
        again: bool = False,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> RunRecord:
        """Train the best students in full, unless that was done for the same best trial before.

        Args:
            again: what the folder holds from earlier ends competes.
            meanwhile: called once while they are trained.
        """
        context, limit = self.context, self.planning.limit
        config = context.config
        ranked = ranked_trials(run.objective, records)
        require_student(ranked, records)
        if not again and (not config.train_best or is_done(run.final, ranked)):
            return run
        if again:
            needed_s = least_end_s(ranked, has_scheme=context.scheme is not None)
            limit.require_training(needed_s, verifies=config.verify_best)
        begun = time.monotonic()
        run, shares = self.planning.plan(run, searches=False)
        end_s = limit.deadline_s(shares["final training"]) if shares else None
        ending = self._ending(run, end_s, again=again)
        final, files, given_up = finish_students(
            ranked,
            context,
            self.store,
            self.nursery,
            ending,
            meanwhile=meanwhile,
            progress=self.listener,
        )
        losses = (f"Given up: {what}." for what in given_up)
        remarks = (*final.remarks, *losses, *_remarks(final, files, context.of(final.spec)))
        final = final.model_copy(update={"remarks": remarks})
        for remark in final.remarks:
            self.listener.on_note(remark)
        run = run.in_setting(final.spec.features).model_copy(update={"final": final})
        run = with_phase(run, "final training", time.monotonic() - begun)
        if not limit.is_limited:  # running it on the whole test split has no bound
            tested = tested_teacher(self.teacher, run.teacher, context.data, progress=self.listener)
            run = run.model_copy(update={"teacher": tested})
        record = StudentRecord(
            spec=final.spec,
            network=final.network,
            run=run,
            trial=next(trial for trial in records if trial.number == final.trial),
        )
        written = write_student(self.store.path / BEST_FOLDER, files, record)
        return written.record.run or run

    def _ending(self, run: RunRecord, end_s: float | None, *, again: bool) -> Ending:
        context, limit = self.context, self.planning.limit
        return Ending(
            goal=run.objective,
            has_teacher=self._has_teacher(run),
            epochs=most_epochs(context.config, len(context.data.train), is_timed=limit.is_limited),
            seeds=context.config.training.controls,
            end_s=end_s,
            is_again=again,
            start_up_s=limit.child_s,
        )

    def arms(self, run: RunRecord) -> tuple[Arm, ...]:
        """Return the ways in which the best student may be trained: as asked for, its controls."""
        return last_arms(self.context, has_teacher=self._has_teacher(run))

    def _has_teacher(self, run: RunRecord) -> bool:
        teacher = run.teacher if self.context.teacher_error is not None else None
        return teacher is not None and teacher.left_out is None

    def verified(self, run: RunRecord) -> RunRecord:
        """Run the C of the best student on an emulated core, once, if that was asked for."""
        context, final = self.context, run.final
        if not context.config.verify_best or final is None or final.verification is not None:
            return run
        begun = time.monotonic()
        best, data = self.store.path / BEST_FOLDER, context.of(final.spec).data
        target = target_of(context.given.device, beside=folder_of(context.config.device))
        found = verify_best(best, target, data, self.listener)
        run = run.model_copy(update={"final": final.model_copy(update={"verification": found})})
        return with_phase(run, "verification", time.monotonic() - begun)


def context_of(store: RunFolder, prepared: Prepared, teacher: Teacher | None) -> SearchContext:
    """Return what trainings of a run share, with a teacher whose outputs are in the cache."""
    made = make_context(
        prepared.config, prepared.task, prepared.transfer, teacher, prepared.settings
    )
    return replace(made, known_symmetry=read_prepared(store.path).symmetry)


def _remarks(final: FinalRecord, files: StudentFiles, context: SearchContext) -> Iterator[str]:
    """Give what a reader must know of the student that ships."""
    if final.all_examples is not None:
        yield (
            "After it was scored on validation, the student learned from all "
            f"{final.all_examples:,} labelled examples, those of validation among them."
        )
    judged = context.data.validation
    logits = student_logits(files.int8_path, judged.inputs)
    known = context.data.head.knowledge(logits, judged.labels)
    if not known.is_enough:
        yield (
            f"The student guesses: its {known.what} on validation is {known.value:.3f}, and more "
            f"than guessing begins at {known.needed:.3f}. Give it more time or more room."
        )
