"""The one JSON object that search, distill and report print with `--json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwkd.core.final_record import FinalRecord
from hwkd.core.metric import Metric, Scores, ScoresRecord
from hwkd.report.analysis import count_state, intervals_on_test, passes_made
from hwkd.report.class_tables import scores_by_class
from hwkd.report.document import Report
from hwkd.report.latency import Latency


def summary_json(report: Report, folder: Path) -> dict[str, Any]:
    """Return the outcome of a run as plain data in SI units.

    `latency_basis` says how every `latency_s` came about; errors are 0 at best
    and 1 for knowing nothing; scores of the task's primary metric have its name in their key
    (`test_accuracy_int8`), `scores` has all; what is unknown is None. Scores are of the files that
    ship; only those that end in `_brief` are of the same network's brief training in the search.
    """
    run, metric = report.run, report.run.data.metric
    if not report.is_search:
        return _distilled(report, folder)
    passes = {record.number: passes_made(run, record) for record in report.records}
    return {
        "run": str(folder),
        "status": run.status,
        "trials": len(report.records),
        "completed": count_state(report.records, "completed"),
        "rejected": count_state(report.records, "rejected"),
        "failed": count_state(report.records, "failed"),
        "duplicates": count_state(report.records, "duplicate"),
        "latency_basis": run.device.basis.name,
        "front": [
            {
                "trial": point.trial,
                "space": point.space,
                "error": point.error,
                "passes": passes.get(point.trial),
                "latency_s": point.latency_s,
                "peak_ram_bytes": point.peak_ram_bytes,
                "flash_bytes": point.flash_bytes,
            }
            for point in report.front
        ],
        "best": _best(report),
        "teacher": None
        if run.teacher is None
        else {
            f"test_{metric.key}": _value(metric, run.teacher.scores.test_float),
            f"validation_{metric.key}": _value(metric, run.teacher.scores.validation_float),
            "scores": run.teacher.scores.model_dump(mode="json"),
            "members": [member.model_dump(mode="json") for member in run.teacher.members],
        },
        "metric": metric.model_dump(mode="json"),
        "seconds": sum(run.phase_seconds.values()),
        "caveats": list(report.caveats),
    }


def _distilled(report: Report, folder: Path) -> dict[str, Any]:
    run, final = report.run, report.run.final
    return {
        "run": str(folder),
        "status": run.status,
        "best": _best(report),
        "teacher": None if run.teacher is None else run.teacher.model_dump(mode="json"),
        "metric": run.data.metric.model_dump(mode="json"),
        **({} if run.finetune is None else {"finetune": run.finetune.model_dump(mode="json")}),
        "pairs": [] if final is None else [pair.model_dump(mode="json") for pair in final.pairs],
        "history": []
        if final is None
        else [record.model_dump(mode="json") for record in final.history],
        "seconds": sum(run.phase_seconds.values()),
        "caveats": list(report.caveats),
    }


def _best(report: Report) -> dict[str, Any] | None:
    best, final = report.best, report.run.final
    if best is None:
        return None
    cost, profile = report.run.cost_of(best), report.run.profile_of(best)
    metric, brief = report.run.data.metric, best.scores or ScoresRecord()
    scores = final.scores if final is not None else brief
    return {
        "trial": best.number,
        "space": best.spec.space if best.spec is not None else None,
        "features": best.spec.features if best.spec is not None else None,
        f"validation_{metric.key}_int8": _value(metric, scores.validation_int8),
        f"validation_{metric.key}_int8_brief": _value(metric, brief.validation_int8),
        f"test_{metric.key}_float": _value(metric, scores.test_float),
        f"test_{metric.key}_int8": _value(metric, scores.test_int8),
        "test_int8_intervals": {
            name: interval.model_dump(mode="json")
            for name, interval in intervals_on_test(report.run).items()
        },
        "scores": scores.model_dump(mode="json"),
        "by_class": []
        if final is None
        else [one.model_dump(mode="json") for one in scores_by_class(final, report.run.data)],
        "verdict": _verdict(final),
        "latency_s": Latency(report.run.device).shown_s(cost, profile),
        "peak_ram_bytes": cost.peak_ram_bytes if cost else None,
        "flash_bytes": cost.flash_bytes if cost else None,
        "fit": report.run.device.fit(cost, profile).as_dict() if cost else None,
        "quantisation": final.quantisation_choice.model_dump(mode="json")
        if final is not None and final.quantisation_choice is not None
        else None,
        **_verification(final),
    }


def _value(metric: Metric, scores: Scores | None) -> float | None:
    return None if scores is None else metric.of(scores)


def _verdict(final: FinalRecord | None) -> dict[str, Any] | None:
    if final is None:
        return None
    return {**final.verdict.model_dump(mode="json"), "reason": final.verdict.reason,
            "sentences": list(final.verdict.sentences)}  # fmt: skip


def _verification(final: FinalRecord | None) -> dict[str, Any]:
    if final is None or final.verification is None:
        return {}
    return {"verification": final.verification.model_dump(mode="json")}
