from __future__ import annotations

import pytest
from scipy.stats import binomtest
from support.synthetic_run import make_run

from hwkd.core.decision_record import DecisionRecord
from hwkd.io.discovery import discover
from hwkd.report.build import build_report
from hwkd.report.html import render_html
from hwkd.report.model_card import model_card
from hwkd.report.summary import summary_json


def test_the_card_of_the_final_student_states_what_firmware_needs():
    run, records = make_run()
    assert run.final is not None
    card = model_card(run, records[run.final.trial])
    assert "q = round((raw - mean) / (std * 0.01272)) + -95, clipped to [-128, 127]" in card
    assert "| mean | 33.3 |" in card
    assert "97.67 %" in card
    assert "97.83 %" in card
    assert "| compared: same student, cross-entropy | int8 | test | 96.96 %" in card
    assert "hwkd search --device cortex-m7 --data 'my digits.npz'" in card
    assert "tflm-cmsis-nn" in card
    assert "needs (estimated)" in card
    for caveat in run.all_caveats:
        assert caveat in card


def test_the_card_shows_float_and_both_int8_forms_and_which_ships():
    run, records = make_run()
    assert run.final is not None
    card = model_card(run, records[run.final.trial])
    assert "| float32 |  | 98.10 % |  |  |" in card
    assert "ranges by percentiles, channel equalisation | 97.20 % | -0.90 points |  |" in card
    assert "12 more epochs with simulated rounding | 97.90 % | -0.20 points | ships |" in card
    assert "which quantising student.onnx again does not give" in card


def test_a_run_of_an_older_version_has_no_such_table():
    run, records = make_run()
    assert run.final is not None
    final = run.final.model_copy(update={"quantisation_choice": None})
    card = model_card(run.model_copy(update={"final": final}), records[final.trial])
    assert "What 8 bits cost" not in card
    assert "float32 |  | 98.10" not in card


def test_the_card_of_another_trial_claims_no_test_accuracy():
    run, records = make_run()
    assert run.final is not None
    other = next(r for r in records if r.state == "completed" and r.number != run.final.trial)
    card = model_card(run, other)
    assert "was never tested" in card
    assert "97.67 %" not in card
    assert "control:" not in card


def test_a_trial_without_a_student_has_no_card():
    run, records = make_run()
    lost = records[0].model_copy(update={"number": 99, "spec": None, "cost": None})
    with pytest.raises(ValueError, match="trial 99 has no student"):
        model_card(run, lost)


def test_names_from_users_do_not_become_markup():
    run, records = make_run()
    assert run.final is not None
    names = ("<b>x</b>", "a|b", "[l](h)", *run.data.class_names[3:])
    data = run.data.model_copy(update={"class_names": names, "source": "a|b\n# title"})
    card = model_card(run.model_copy(update={"data": data}), records[run.final.trial])
    assert "<b>" not in card
    assert "\n# title" not in card
    assert "| data | a\\|b \\# title |" in card


def test_a_score_of_few_examples_says_how_far_it_may_be_off_everywhere(tmp_path):
    run, records = make_run()
    assert run.final is not None
    examples = next(split.samples for split in run.data.splits if split.name == "test")
    accuracy = (run.final.scores.test_int8 or {})["accuracy"]
    ends = binomtest(round(accuracy * examples), examples).proportion_ci(method="wilson")
    report = build_report(run, records)
    found = summary_json(report, tmp_path)["best"]["test_int8_intervals"]["accuracy"]
    assert (found["low"], found["high"]) == pytest.approx((ends.low, ends.high), abs=2e-3)
    assert found["examples"] == examples
    said = f"95 % interval {100 * found['low']:.2f} % to {100 * found['high']:.2f} %"
    assert said in next(line.detail for line in report.headlines if line.label.startswith("Test"))
    assert f"{said}, {examples:,} examples." in model_card(run, records[run.final.trial])
    assert said in render_html(report)


@pytest.mark.parametrize(("judged", "said"), [(230, ", 230 epochs"), (None, "")])
def test_a_score_on_validation_examples_that_were_learned_later_says_so_itself(judged, said):
    run, records = make_run()
    assert run.final is not None
    final = run.final.model_copy(update={"all_examples": 1680, "epochs_judged": judged})
    card = model_card(run.model_copy(update={"final": final}), records[final.trial])
    row = f"| before it learned the validation examples, {final.verdict.ships}{said} | int8 |"
    assert f"{row} validation |" in card
    assert "Scores are from before the student learned the validation examples." in card
    assert "before it learned" not in model_card(run, records[final.trial])


def test_the_card_of_a_detector_names_classes_alone_and_why_its_threshold():
    discover("hwkd.tasks")
    run, records = make_run()
    assert run.final is not None
    names = ("washer", "nut", "left", "top", "right", "bottom")
    data = run.data.model_copy(update={"kind": "boxes", "class_names": names})
    decision = DecisionRecord(
        answer="a thing", threshold=-0.5, rate="of all things named, false", best="F1",
        wanted=0.48, reached=0.48, detected=0.9,
    )  # fmt: skip
    final = run.final.model_copy(update={"decision": decision, "confusion": ()})
    card = model_card(run.model_copy(update={"data": data, "final": final}), records[final.trial])
    assert "each with its class and a box (washer, nut)." in card
    assert "| why this one | it gives the best F1 on validation, int8 |" in card
    assert "| of all things named, false (validation, int8) | 48.00 % |" in card
    assert "wanted at most" not in card
