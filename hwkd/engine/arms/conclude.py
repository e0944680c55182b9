"""The student that ships, of all that were trained in a run: its record, its files, the verdict."""

from __future__ import annotations

import time
from pathlib import Path

from hwkd.core.final_record import FinalRecord
from hwkd.core.teaching_record import TeachingRecord
from hwkd.core.verdict_record import Verdict
from hwkd.engine.arms.orders import (
    ArmOrder,
    ArmResult,
    order_candidate,
    order_folder,
    result_history,
    student_files,
)
from hwkd.engine.arms.own_c import own_c_cost
from hwkd.engine.arms.student_folder import read_quantisation
from hwkd.engine.arms.teaching import teaching_record
from hwkd.engine.setup.context import SearchContext
from hwkd.io.student_folder import StudentFiles
from hwkd.profiling.onnx_runtime import measure_latency

_PROFILE_RUNS = 200


def conclude(
    run: Path,
    context: SearchContext,
    ships: tuple[ArmOrder, ArmResult],
    verdict: Verdict,
    *,
    profile_s: float,
    started_s: float,
) -> tuple[FinalRecord, StudentFiles]:
    """Return the record and the files of the student that ships.

    Args:
        profile_s: for measuring its latency on this machine, at most.
        started_s: when its trainings began, by `time.monotonic`.
    """
    order, result = ships
    context = context.of(order.spec)
    folder = order_folder(run, order)
    files, candidate = student_files(folder, result), order_candidate(order, context)
    profile = measure_latency(files.int8_path, runs=_PROFILE_RUNS, max_seconds=profile_s)
    final = FinalRecord(
        **result.reached(),
        trial=max(0, order.trial),
        spec=order.spec,
        seconds=time.monotonic() - started_s,
        network=candidate.layers,
        cost=candidate.cost,
        own_c=own_c_cost(files.int8_path, context.given),
        quantisation=read_quantisation(files.int8_path, len(context.calibration)),
        quantisation_choice=result.quantisation,
        profile=profile,
        verdict=verdict,
        teaching=_teaching(context, verdict, files),
        history=result_history(folder),
    )
    return final, files


def _teaching(
    context: SearchContext, verdict: Verdict, files: StudentFiles
) -> TeachingRecord | None:
    """Return the teacher beside the student that ships, where any of its trainings had one."""
    if not verdict.is_taught:
        return None
    return teaching_record(context.teacher_validation_logits, files.int8_path, context.data)
