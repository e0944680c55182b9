"""One sampled student -> one record: screened, trained, measured, or the reason why not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hwkd.core.errors import RunFolderError, UnreachableError, typed_line
from hwkd.core.limits import Fit
from hwkd.core.measure import Profile
from hwkd.core.metric import ScoresRecord
from hwkd.core.trial import TrialRecord, ViolationRecord
from hwkd.engine.arms.evaluation import (
    STEPS_BETWEEN_NORMS,
    deploy_student,
    judge_student,
    student_bytes,
    student_logits,
    train_student,
)
from hwkd.engine.arms.recipes import candidate_arm
from hwkd.engine.run.artifacts import Artifacts
from hwkd.engine.run.proposal import Proposal
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.screening import Candidate
from hwkd.engine.setup.trainings import brief_training
from hwkd.io.machine import package_versions
from hwkd.io.student_folder import StudentFiles
from hwkd.nn.build import StudentModule, build_module
from hwkd.profiling.onnx_runtime import measure_latency
from hwkd.trace.macs import count_macs
from hwkd.train.loop import TrainingDivergedError

_PROFILE_RUNS = 50
_PROFILE_SECONDS = 0.5
# Of a candidate's time under a limit, what export, quantisation, scoring and profile may take; at
# most so much where they are known to take longer.
_SCORING_SHARE, _MOST_SCORING_SHARE = 0.15, 0.5
_LEAST_TRAINING_S = 0.5


class TrainedElsewhereError(Exception):
    """Another process trains the same student right now."""


@dataclass(frozen=True, kw_only=True)
class TrialRunner:
    """Runs trials of one search in one process.

    Attributes:
        artifacts: get the weights of completed trials.
        check: called before every training step; raises `InterruptedTrial` to stop.
        share_s: time for one candidate; its training ends within it, however far it came. None is
            no bound.
        end_s: when the search ends, by `time.monotonic`; None is when all candidates were tried.
        scoring_s: what export, quantisation, scoring and profile take at least.
    """

    context: SearchContext
    worker: str
    artifacts: Artifacts
    check: Callable[[], None]
    share_s: float | None = None
    end_s: float | None = None
    scoring_s: float = 0.0

    def run(
        self,
        proposal: Proposal,
        find_earlier: Callable[[str], TrialRecord | None],
        *,
        number: int,
        has_teacher: bool = True,
    ) -> TrialRecord:
        """Run one candidate; whatever goes wrong becomes a failed record.

        Args:
            find_earlier: key of a network -> its record, if it was tried before; raises
                `TrainedElsewhereError` while another process tries it.
            has_teacher: False trains on labels alone, because the teacher was left out.

        Raises:
            InterruptedTrial: if the search stops meanwhile.
            RunFolderError: if the run folder cannot be written; no trial can help that.
            UnreachableError: if what holds the run does not answer.
        """
        started = time.monotonic()
        base = TrialRecord(
            number=number,
            state="failed",
            seed=self.context.config.seed,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            duration_s=0.0,
            worker=self.worker,
            versions=dict(package_versions()),
            proposal=proposal.why,
            fidelity=proposal.fidelity,
            start_from=proposal.start_from,
        )
        spec = proposal.spec
        if spec is None:
            return base.model_copy(update={"reason": proposal.failure})
        try:
            base = base.model_copy(update={"spec": spec})
            candidate = self.context.screen.candidate(spec)
            earlier = find_earlier(candidate.key)
            if earlier is not None:
                record = _repeat(base, earlier)
            else:
                base = base.model_copy(update={"cost": candidate.cost})
                in_setting = replace(self, context=self.context.of(spec))
                record = in_setting._judge(base, candidate, has_teacher=has_teacher)
        except (RunFolderError, UnreachableError):
            raise
        except TrainedElsewhereError:
            reason = "same student as another candidate, which was being trained"
            record = base.model_copy(update={"state": "duplicate", "reason": reason})
        except Exception as error:
            reason = typed_line(error)
            record = base.model_copy(update={"reason": reason})
        return record.model_copy(update={"duration_s": time.monotonic() - started})

    def _judge(self, base: TrialRecord, candidate: Candidate, *, has_teacher: bool) -> TrialRecord:
        if candidate.violations:
            return _rejected(base, candidate.violations)
        if candidate.cost.latency is None and self.context.screen.limits.latency_s is not None:
            # Measured, not estimated (`host`). Time hardly depends on the values of the weights,
            # so an untrained network tells whether training is worth its while.
            module = build_module(candidate.layers, seed=0)
            with TemporaryDirectory(prefix="hwkd-trial-") as folder:
                deployed = self._deployed(module, candidate, folder)
                profile = _measured(deployed)
            too_slow = self._too_slow(candidate, profile)
            if too_slow:
                return _rejected(base, too_slow, profile)
        return self._train_and_measure(base, candidate, has_teacher=has_teacher)

    def _training_budget_s(self) -> float | None:
        """Return how long the candidate at hand may train; None is as long as it takes."""
        bounds = [] if self.share_s is None else [self.share_s]
        if self.end_s is not None:
            bounds.append(self.end_s - time.monotonic())
        if not bounds:
            return None
        bound_s = min(bounds)
        scoring_s = max(
            _SCORING_SHARE * bound_s, min(self.scoring_s, _MOST_SCORING_SHARE * bound_s)
        )
        return max(_LEAST_TRAINING_S, bound_s - scoring_s)

    def _too_slow(self, candidate: Candidate, profile: Profile) -> tuple[ViolationRecord, ...]:
        """Compare a measured latency with the limit."""
        screen = self.context.screen
        return Fit.of(candidate.cost, screen.limits, screen.risk, measured=profile).violations

    def _deployed(self, module: StudentModule, candidate: Candidate, folder: str) -> StudentFiles:
        context = self.context
        return deploy_student(
            module,
            candidate.layers,
            Path(folder),
            calibration=context.calibration,
            ranges=context.config.quantisation.calibration,
        )

    def _train_and_measure(
        self, base: TrialRecord, candidate: Candidate, *, has_teacher: bool
    ) -> TrialRecord:
        context = self.context
        methods = context.methods_with(has_teacher=has_teacher)
        arm = candidate_arm(methods, context.data.head.kind, context.scheme)
        trained = train_student(
            candidate.layers,
            context,
            brief_training(
                context,
                candidate.layers,
                fidelity=base.fidelity,
                budget_s=self._training_budget_s(),
            ),
            start_from=None if base.start_from is None else self.artifacts.get(base.start_from),
            steps_between_norms=STEPS_BETWEEN_NORMS,
            check=self.check,
            arm=arm,
        )
        module, result = trained.module.cpu(), trained.result
        validation = context.data.validation
        with TemporaryDirectory(prefix="hwkd-trial-") as folder:
            deployed = self._deployed(module, candidate, folder)
            logits_float = student_logits(deployed.float_path, validation.inputs)
            logits_int8 = student_logits(deployed.int8_path, validation.inputs)
            profile = _measured(deployed)
        for logits in (logits_float, logits_int8):
            if not np.isfinite(logits).all():
                raise TrainingDivergedError("the trained student's outputs are not finite")
        latency = candidate.cost.latency
        too_slow = self._too_slow(candidate, profile)
        if too_slow:
            return _rejected(base, too_slow, profile)
        latency_s = latency.value_s if latency is not None else profile.median_s
        objective = judge_student(context, logits_int8, latency_s=latency_s)
        return base.model_copy(
            update={
                "state": "completed",
                "macs_fvcore": count_macs(module, candidate.spec.input_shape),
                "scores": ScoresRecord(
                    validation_float=context.data.scores("validation", logits_float),
                    validation_int8=context.data.scores("validation", logits_int8),
                ),
                "objective": objective,
                "profile": profile,
                "epochs": result.epochs,
                "epochs_made": result.epochs_made,
                "training_s": result.seconds,
                "methods": arm.described(),
                "weights": self.artifacts.put(student_bytes(module)),
            }
        )


def _repeat(base: TrialRecord, earlier: TrialRecord) -> TrialRecord:
    """Return the earlier result under the new number; nothing is trained twice."""
    return base.model_copy(
        update={
            "state": "duplicate",
            "reason": f"same student as trial {earlier.number} ({earlier.state})",
            "violations": earlier.violations,
            "cost": earlier.cost,
            "macs_fvcore": earlier.macs_fvcore,
            "scores": earlier.scores,
            "objective": earlier.objective,
            "profile": earlier.profile,
        }
    )


def _measured(deployed: StudentFiles) -> Profile:
    return measure_latency(
        deployed.int8_path, runs=_PROFILE_RUNS, profiled_runs=10, max_seconds=_PROFILE_SECONDS
    )


def _rejected(
    base: TrialRecord, violations: tuple[ViolationRecord, ...], profile: Profile | None = None
) -> TrialRecord:
    measured = "measured " if profile is not None else ""
    parts = (
        f"{measured}{v.limit_name} {100 * v.excess_ratio:.1f}% over its limit" for v in violations
    )
    return base.model_copy(
        update={
            "state": "rejected",
            "reason": "; ".join(parts),
            "violations": violations,
            "profile": profile,
        }
    )
