"""Records in, report out: a pure function."""

from __future__ import annotations

from collections.abc import Sequence

from hwkd.core.choices import LimitName
from hwkd.core.decision_record import DecisionRecord
from hwkd.core.limits import Fit
from hwkd.core.measure import CostEstimate
from hwkd.core.pareto import pareto_front
from hwkd.core.run_record import DataRecord, RunRecord
from hwkd.core.score_interval import scores_by_chance
from hwkd.core.trial import TrialRecord
from hwkd.report import format as fmt
from hwkd.report.analysis import best_record, count_state, intervals_on_test
from hwkd.report.document import Headline, Report
from hwkd.report.drawn import drawn_note, drawn_trials
from hwkd.report.host_section import host_section
from hwkd.report.latency import Latency
from hwkd.report.own_c import own_c_headlines
from hwkd.report.provenance_sections import caveat_section, data_section, environment_section
from hwkd.report.search_sections import (
    failure_section,
    front_section,
    history_section,
    rejection_section,
    space_section,
)
from hwkd.report.student_section import student_section
from hwkd.report.verification_section import verification_section


def build_report(
    run: RunRecord, records: Sequence[TrialRecord], *, of_one_student: bool = False
) -> Report:
    """Turn records into everything that a page or a terminal shows.

    Args:
        run: facts of the search, or of the distillation; `run.final` may still be None.
        records: trials in any order and any state; none is fine.
        of_one_student: leave the candidates of the search out.
    """
    ordered = tuple(sorted(records, key=lambda record: record.number))
    best = best_record(run, ordered)
    is_search = run.made_by == "search" and not of_one_student
    front = pareto_front(ordered)
    drawn = drawn_trials(run, ordered, front, best)
    caveats = _all_caveats(run, best, drawn_note(len(drawn), len(ordered)))
    return Report(
        title=f"{run.data.task} on {run.device.name}",
        run=run,
        records=ordered,
        is_search=is_search,
        drawn=drawn,
        front=front,
        best=best,
        headlines=_headlines(run, ordered, best, counts=is_search),
        sections=(
            *((front_section(run, drawn, front, best),) if is_search else ()),
            student_section(run, best),
            *verification_section(run),
            host_section(run, best),
            *(
                (
                    history_section(run, ordered, drawn),
                    space_section(run, ordered, front, drawn),
                    rejection_section(ordered, drawn),
                    failure_section(ordered, drawn),
                )
                if is_search
                else ()
            ),
            data_section(run),
            environment_section(run),
            caveat_section(caveats),
        ),
        caveats=caveats,
    )


def _headlines(
    run: RunRecord, records: Sequence[TrialRecord], best: TrialRecord | None, *, counts: bool
) -> tuple[Headline, ...]:
    lines = [*_score_headlines(run, best)]
    cost = run.cost_of(best)
    if best is not None and cost is not None:
        lines += _cost_headlines(run, best, cost)
    lines += own_c_headlines(run)
    if not counts:
        return tuple(lines)
    states = [
        f"{count_state(records, state)} {state}" for state in ("completed", "rejected", "failed")
    ]
    if repeats := count_state(records, "duplicate"):
        states.append(f"{repeats} repeated")
    lines.append(Headline(label="Trials", value=str(len(records)), detail=", ".join(states)))
    return tuple(lines)


def _score_headlines(run: RunRecord, best: TrialRecord | None) -> list[Headline]:
    lines = []
    final, metric = run.final, run.data.metric
    if final is not None:
        in_float = fmt.score_text(metric, final.scores.test_float)
        interval = intervals_on_test(run).get(metric.name)
        detail = _how_sure(run.data) if interval is None else f"{interval.text(metric)}; "
        by_chance = scores_by_chance(run.data.metrics, final.confusion)
        if metric.name in by_chance:
            detail += f"chance {metric.text(by_chance[metric.name])}; "
        detail += f"float {in_float}; test split read once"
        value = fmt.score_text(metric, final.scores.test_int8)
        lines.append(
            Headline(
                label=f"Test {metric.name}, int8", value=value, detail=detail, basis="measured"
            )
        )
        lines += _false_headlines(final.decision)
    elif best is not None and best.scores is not None:
        value = fmt.score_text(metric, best.scores.validation_int8)
        detail = f"trial {best.number}, brief training"
        label = f"Validation {metric.name}, int8"
        lines.append(Headline(label=label, value=value, detail=detail, basis="measured"))
    if run.teacher is not None:
        teacher = run.teacher
        is_test = teacher.scores.test_float is not None
        scores = teacher.scores.test_float if is_test else teacher.scores.validation_float
        lines.append(
            Headline(
                label=f"Teacher, {'test' if is_test else 'validation'} {metric.name}",
                value=fmt.score_text(metric, scores),
                detail=teacher.description,
                basis="measured",
            )
        )
    return lines


def _how_sure(data: DataRecord) -> str:
    """Say why a score of windows has no interval."""
    split = data.test
    if split is None or split.wholes is None or split.wholes == split.samples:
        return ""
    doubt = "" if data.few_groups is None else f"{data.few_groups.rstrip('.')}; "
    return (
        f"{split.samples:,} windows of {split.wholes:,} recordings depend on each other, so there "
        f"is no interval; {doubt}"
    )


def _false_headlines(decision: DecisionRecord | None) -> list[Headline]:
    """Show what the threshold lets through on test beside what was asked for."""
    if decision is None or decision.on_test is None:
        return []
    found = decision.on_test
    detail = f"{decision.count_text(found)}; asked at most {decision.rate_text(decision.wanted)}"
    return [
        Headline(
            label=f"Test {decision.falsely}, int8",
            value=decision.rate_text(found.rate),
            detail="; ".join([detail, *(doubt.rstrip(".") for doubt in decision.doubts)]),
            basis="measured",
        )
    ]


def _cost_headlines(run: RunRecord, best: TrialRecord, cost: CostEstimate) -> list[Headline]:
    profile = run.profile_of(best)
    latency = Latency(run.device)
    shown = fmt.time(latency.shown_s(cost, profile))
    fit = run.device.fit(cost, profile)
    source = latency.source + ("" if latency.is_timed else fmt.evidence_text(cost.latency))
    lines = [
        Headline(
            label="Latency",
            value=f"≥ {shown}" if cost.unsupported_ops and not latency.is_timed else shown,
            detail=source,
            basis=latency.word,
            used_ratio=_used(fit, "latency"),
        )
    ]
    misses_kernels, misses_ops = bool(cost.unknown_kernels), bool(cost.unsupported_ops)
    amounts: list[tuple[str, LimitName, float, bool]] = [
        ("Peak RAM", "ram", cost.peak_ram_bytes, misses_kernels),
        ("Flash", "flash", cost.flash_bytes, misses_kernels),
    ]
    if cost.energy_j is not None:
        amounts.append(("Energy", "energy", cost.energy_j, misses_ops))
    has_own_c = bool(own_c_headlines(run))
    for label, name, amount, is_lower_bound in amounts:
        limit = run.device.limit(name)
        detail = (
            "no limit"
            if limit is None
            else f"of {fmt.limit_value(name, limit.value)} ({limit.origin})"
        )
        if has_own_c and name != "energy":
            detail += f", for {cost.runtime} and its code"
        lines.append(
            Headline(
                label=label,
                value=f"{'≥ ' if is_lower_bound else ''}{fmt.limit_value(name, amount)}",
                detail=detail,
                basis=run.device.basis.sizes,
                used_ratio=_used(fit, name),
            )
        )
    return lines


def _used(fit: Fit, name: LimitName) -> float | None:
    entry = fit.limit(name)
    return None if entry is None else entry.used_ratio


def _all_caveats(run: RunRecord, best: TrialRecord | None, drawn: str | None) -> tuple[str, ...]:
    found = list(run.all_caveats)
    if run.teacher is not None:
        found += (f"{doubt}." for doubt in run.teacher.doubts)
    if drawn is not None:
        found.append(drawn)
    if run.status != "finished":
        found.append(f"The search is not complete: {run.status}.")
    cost = run.cost_of(best)
    if cost is not None and cost.unsupported_ops:
        kinds = ", ".join(sorted(cost.unsupported_ops))
        found.append(
            f"The device model has no cost for {kinds}; the latency of the best student is a "
            "lower bound."
        )
    if cost is not None and cost.latency is not None and cost.latency.never_timed:
        found.append(f"Of the best student, {fmt.never_timed_text(cost.latency)}.")
    if cost is not None and cost.latency is not None and cost.latency.borrowed:
        found.append(f"Of the best student, {fmt.borrowed_text(cost.latency)}.")
    return tuple(dict.fromkeys(found))
