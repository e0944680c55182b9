"""The head of a report shows what ships as C beside the runtime of the search."""

from __future__ import annotations

from support.synthetic_run import make_run

from hwkd.core.run_record import RunRecord
from hwkd.core.verification import Mismatches, Verification, VerificationRecord
from hwkd.report.build import build_report
from hwkd.report.model_card import model_card

RAN = Verification(
    emulated_cpu="cortex-m4", rounding="float", inputs=1, outputs=3, max_lsb=0,
    mismatches=Mismatches(onnxruntime=0, host_c=0), intermediate_max_lsb=0,
    instructions_per_inference=12_345, flash_bytes=2048, ram_bytes=1000, stack_bytes=24,
    arena_bytes=1000, seconds=1.0,
)  # fmt: skip


def run_with(**found: object) -> tuple[RunRecord, dict[str, tuple[str, str | None]], str]:
    """Return a run, label -> value and basis in the head of its report, and its model card."""
    run, records = make_run(trials=12)
    assert run.final is not None
    run = run.model_copy(update={"final": run.final.model_copy(update=found)})
    report = build_report(run, records)
    assert report.best is not None
    head = {line.label: (line.value, line.basis) for line in report.headlines}
    return run, head, model_card(run, report.best)


def test_both_runtimes_stand_side_by_side_as_estimates():
    run, _ = make_run(trials=12)
    assert run.final is not None
    _, head, card = run_with(own_c=run.final.cost)
    for ours, other in (("Latency", "Latency"), ("Peak RAM", "Peak RAM"), ("Flash", "Flash")):
        assert head[f"hwkd's own C: {ours}"] == (head[other][0], "estimated")
    assert "## As hwkd's own C" in card


def test_what_the_emulator_found_takes_the_place_of_estimated_sizes():
    run, _ = make_run(trials=12)
    assert run.final is not None
    record = VerificationRecord(
        core="cortex-m4", flash_limit_bytes=1, ram_limit_bytes=1, passed=True, emulation=RAN
    )
    _, head, _ = run_with(own_c=run.final.cost, verification=record)
    assert head["hwkd's own C: RAM"] == ("1.00 KiB", "emulated")
    assert head["hwkd's own C: Flash"] == ("2.00 KiB", "emulated")
    assert head["hwkd's own C: Instructions"] == ("12,345", "emulated")
    assert head["hwkd's own C: Latency"][1] == "estimated"


def test_sizes_beside_those_of_the_own_c_say_for_which_runtime_they_are():
    run, _ = make_run(trials=12)
    assert run.final is not None
    found, _, card = run_with(own_c=run.final.cost)
    report = build_report(found, make_run(trials=12)[1])
    runtime = run.device.runtime
    details = {line.label: line.detail for line in report.headlines}
    assert all(details[size].endswith(f", for {runtime} and its code")
               for size in ("Peak RAM", "Flash"))  # fmt: skip
    assert f"RAM and flash are estimated for {runtime}, its own code included." in card


def test_nothing_is_said_where_nothing_is_known():
    _, head, card = run_with(own_c=None, verification=None)
    assert not [label for label in head if "own C" in label]
    assert "own C" not in card
