"""The check on an emulated core in the page, the card and the JSON."""

from __future__ import annotations

from typing import Any

from support.synthetic_run import make_run

from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.core.verification import LayerCheck, Mismatches, Verification, VerificationRecord
from hwkd.report.build import build_report
from hwkd.report.html import render_html
from hwkd.report.model_card import model_card
from hwkd.report.summary import summary_json

EMULATION = Verification(
    emulated_cpu="Cortex-M7",
    rounding="float",
    inputs=512,
    outputs=10,
    mismatches=Mismatches(onnxruntime=0, host_c=0),
    max_lsb=0,
    intermediate_max_lsb=0,
    scores={"accuracy": 0.9765},
    instructions_per_inference=2_441_234,
    flash_bytes=40_000,
    flash_predicted_bytes=40_100,
    ram_bytes=12_000,
    stack_bytes=240,
    ram_predicted_bytes=12_250,
    arena_bytes=11_992,
    instructions_per_layer=(
        LayerCheck(name="stem", kind="Conv", macs=900, instructions=1900, max_lsb=0),
    ),
    tools={"qemu-system-arm": "QEMU emulator version 7.2"},
    seconds=4.0,
)


def verified(**changes: object) -> tuple[RunRecord, list[TrialRecord]]:
    run, records = make_run()
    facts = {
        "core": "cortex-m7", "flash_limit_bytes": 2**20, "ram_limit_bytes": 2**17, "passed": True,
        "emulation": EMULATION, **changes,
    }  # fmt: skip
    final = run.final.model_copy(update={"verification": VerificationRecord(**facts)})
    return run.model_copy(update={"final": final}), list(records)


def test_the_page_shows_counts_as_emulated_and_not_as_times():
    run, records = verified()
    section = next(s for s in build_report(run, records).sections if s.key == "emulated")
    note, facts, layers = section.blocks
    assert note.lines[0].startswith("Passed: the exported C, compiled for cortex-m7")
    assert "0 of 5,120 outputs" in note.lines[0]
    assert ("instructions per inference, emulated", "2,441,234") in facts.rows
    assert {column.basis for column in layers.columns} == {None, "emulated"}
    assert "are not times" in layers.note
    page = render_html(build_report(run, records))
    assert 'class="badge emulated"' in page


def test_the_card_and_the_json_carry_the_check():
    run, records = verified()
    card = model_card(run, records[run.final.trial])
    assert "## On an emulated core" in card
    assert "| RAM and stack, emulated | 12.0 KiB of 128 KiB |" in card
    assert "are not times" in card
    best = summary_json(build_report(run, records), "run")["best"]
    assert best["verification"]["passed"] is True
    assert best["verification"]["emulation"]["instructions_per_inference"] == 2_441_234


def test_a_check_that_could_not_run_says_why():
    run, records = verified(passed=False, emulation=None, failure="needs 9 bytes too many")
    section = next(s for s in build_report(run, records).sections if s.key == "emulated")
    (note,) = section.blocks
    assert note.is_warning
    assert "not run on an emulated cortex-m7: needs 9 bytes too many" in note.lines[0]
    assert "needs 9 bytes too many" in model_card(run, records[run.final.trial])


def test_the_verdict_counts_the_differences_of_every_layer_and_names_the_faults():
    layers = (
        LayerCheck(
            name="stem", kind="Conv", macs=9, instructions=9, max_lsb=2, values=1000, differing=7
        ),
        LayerCheck(
            name="pool", kind="Pool", macs=0, instructions=9, max_lsb=0, values=24, differing=0,
            averages_within_bound=4,
        ),
    )  # fmt: skip
    emulation = EMULATION.model_copy(
        update={
            "instructions_per_layer": layers, "intermediate_max_lsb": 2, "averages_within_bound": 4,
            "faults": ("layer stem: 7 of 1,000 values differ, by up to 2",),
        }
    )  # fmt: skip
    run, records = verified(passed=False, emulation=emulation)
    section = next(s for s in build_report(run, records).sections if s.key == "emulated")
    blocks: tuple[Any, ...] = section.blocks
    note, _, table = blocks
    text = note.lines[0]
    assert note.is_warning
    assert text.startswith("FAILED (layer stem: 7 of 1,000 values differ, by up to 2): ")
    assert "7 of 1,024 values differ from ONNX Runtime, by at most 2 steps" in text
    assert "4 values lie at a tie" in text
    assert [row[4].text for row in table.rows] == ["7", "0 + 4 at a tie"]


def test_a_run_that_compared_whole_networks_only_says_so():
    run, records = verified()
    section = next(s for s in build_report(run, records).sections if s.key == "emulated")
    blocks: tuple[Any, ...] = section.blocks
    note, _, table = blocks
    assert "Layer by layer" not in note.lines[0]
    assert [row[4].text for row in table.rows] == ["not counted"]


def test_a_check_that_an_older_version_stored_reads_as_it_was():
    new = EMULATION.model_dump(mode="json", exclude_defaults=True)
    names = {"instructions_per_inference": "instructions", "instructions_per_layer": "layers"}
    old = {names.get(name, name): value for name, value in new.items()}
    del old["mismatches"], old["scores"]
    old |= {"mismatches_onnxruntime": 0, "mismatches_host_c": 0, "test_accuracy": 0.9765}
    assert Verification.model_validate(old) == EMULATION


def test_without_a_check_there_is_no_section():
    run, records = make_run()
    assert "emulated" not in {section.key for section in build_report(run, records).sections}
    assert "On an emulated core" not in model_card(run, records[run.final.trial])
    assert "verification" not in summary_json(build_report(run, records), "run")["best"]
