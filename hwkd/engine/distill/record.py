"""What a distillation was, in the form that every finished student is described in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hwkd.core.final_record import FinalRecord
from hwkd.core.run_record import TeacherRecord
from hwkd.core.student_record import StudentRecord
from hwkd.core.trial import TrialRecord
from hwkd.engine.distill.resolve import ResolvedStudent
from hwkd.engine.run.run_record import make_run_record
from hwkd.engine.setup.config import LimitsConfig
from hwkd.engine.setup.context import SearchContext
from hwkd.io.machine import package_versions


def distilled_record(
    resolved: ResolvedStudent,
    context: SearchContext,
    final: FinalRecord,
    teacher: TeacherRecord | None,
    *,
    command: Sequence[str],
    notes: Sequence[str] = (),
) -> StudentRecord:
    """Describe the student that ships.

    Args:
        command: the command line, with every option that was given.
    """
    run = make_run_record(
        requested=resolved.config.model_copy(update={"limits": LimitsConfig()}),
        resolved=context.config,
        device=context.given.device,
        data=context.data,
        feasibility=(),
        accelerator=context.accelerator.type,
        command=command,
    )
    run = run.model_copy(
        update={
            "made_by": "distill",
            "status": "finished",
            "device": resolved.device or run.device,
            "teacher": teacher,
            "phase_seconds": {"distillation": final.seconds},
            "final": final,
            "finetune": None
            if resolved.start is None
            else resolved.start.compared(context.data, final.scores),
            "caveats": (*run.caveats, *notes),
        }
    )
    trial = TrialRecord(
        number=final.trial,
        state="completed",
        spec=final.spec,
        seed=context.config.seed,
        cost=final.cost,
        methods=final.verdict.methods,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        duration_s=final.seconds,
        versions=dict(package_versions()),
    )
    # A pruned teacher that was better ships in place of the student.
    return StudentRecord(spec=final.spec, network=final.network, run=run, trial=trial)
