"""What was measured on the machine that searched; never in a table with an estimate."""

from __future__ import annotations

from typing import TypeAlias

from hwkd.core.measure import CostEstimate, Profile
from hwkd.core.run_record import DeviceRecord, RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.report import format as fmt
from hwkd.report.document import Block, Cell, Column, Facts, Note, Section, Table
from hwkd.report.latency import Latency

_Row: TypeAlias = tuple[str, str]


def host_section(run: RunRecord, best: TrialRecord | None) -> Section:
    """Show what ONNX Runtime measured on the machine that searched; never beside an estimate."""
    title = "Measured times"
    final = run.final
    profile = run.profile_of(best)
    if profile is None:
        note = Note(lines=("The best student was not profiled on this machine.",))
        return Section(key="host", title=title, blocks=(note,))
    is_final = final is not None and final.profile is not None
    what = "of the fully trained int8 file" if is_final else "of the trial's int8 file"
    line = (
        "These are times of ONNX Runtime on this machine's processor. They say nothing about the "
        f"time on {run.device.name}."
        if not Latency(run.device).is_timed
        else "The device of this search is this machine, so these times are what it was judged by."
    )
    cost = run.cost_of(best)
    blocks: tuple[Block, ...] = (
        Note(lines=(line,)),
        _profile_facts(
            profile, what, () if cost is None else _limit_rows(run.device, cost, profile)
        ),
    )
    if profile.per_op:
        blocks = (*blocks, _share_table(profile))
    return Section(key="host", title=title, blocks=blocks)


def _limit_rows(device: DeviceRecord, cost: CostEstimate, profile: Profile) -> tuple[_Row, ...]:
    """Compare with the limit on the latency, where these times are what it holds for."""
    latency = Latency(device)
    judged = device.fit(cost, profile).limit("latency")
    limit = device.limit("latency")
    if not latency.is_timed or judged is None or limit is None:
        return ()
    text = f"{fmt.needed_text(judged)} of {fmt.time(judged.limit)} ({limit.origin})"
    return ((f"limit on {latency.limited_end}", f"{text}: {fmt.fit_text(judged)}"),)


def _profile_facts(profile: Profile, what: str, rows: tuple[_Row, ...]) -> Facts:
    return Facts(
        title=f"One inference {what}",
        rows=(
            *rows,
            ("median, measured", fmt.time(profile.median_s)),
            ("90th percentile, measured", fmt.time(profile.p90_s)),
            ("interquartile range, measured", fmt.time(profile.spread_s)),
            ("runs", f"{profile.runs} timed after {profile.warmup_runs} warm-up runs, batch 1"),
            ("threads", str(profile.threads)),
            ("runtime", f"ONNX Runtime {profile.runtime_version}, {profile.provider}"),
            ("processor", profile.host),
            ("file", f"{fmt.kib(profile.file_bytes)}, SHA-256 {profile.file_sha256}"),
        ),
    )


def _share_table(profile: Profile) -> Table:
    rows = tuple(
        (
            Cell(share.name),
            Cell(share.kind),
            Cell(fmt.time(share.mean_s)),
            Cell(fmt.percent(share.share_ratio), share.share_ratio),
        )
        for share in profile.per_op
    )
    return Table(
        title="Time by operator as it ran on this machine",
        columns=(
            Column(title="operator"),
            Column(title="kind"),
            Column(title="mean time", basis="measured", is_number=True),
            Column(title="share", basis="measured", is_number=True),
        ),
        rows=rows,
        note="Taken with the runtime's profiler on, which costs time itself: use the shares, and "
        "the median above for the total.",
        is_long=len(rows) > 30,
    )
