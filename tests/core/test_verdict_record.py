"""The verdict says what ships and what was gained, and runs of older versions have one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hwkd.core.metric import ACCURACY
from hwkd.core.verdict_record import (
    ArmRecord,
    ArmScores,
    Gain,
    Verdict,
    verdict_of_older_final,
)

GAIN = Gain(over="cross-entropy", mean=0.005, low=0.001, high=0.009, seeds=3, confidence=0.95,
            verdict="gain")  # fmt: skip


def arm(name: str, *tests: float) -> ArmRecord:
    return ArmRecord(
        name=name, scores=tuple(ArmScores(seed=i, test_int8=t) for i, t in enumerate(tests))
    )


def test_a_gain_is_said_with_its_interval_and_what_ships() -> None:
    verdict = Verdict(methods=("kd",), is_taught=True, ships="distilled", gain=GAIN)
    worth, ships = verdict.sentences
    assert worth == (
        "Distilled by kd: +0.50 points (95% interval +0.10 to +0.90, 3 seeds) on the int8 test "
        "over cross-entropy, the control that was best on validation; a gain, since the interval "
        "leaves 0 out."
    )
    assert ships == "The student of the teacher ships: on validation it beat every control."


def test_a_control_that_ships_is_named_with_where_a_teacher_pays() -> None:
    verdict = Verdict(methods=("kd",), is_taught=True, ships="label smoothing", gain=GAIN)
    text = " ".join(verdict.sentences)
    assert "The control ships, trained with label smoothing" in text
    assert "--unlabelled" in text


def test_without_a_control_the_gain_is_unknown_and_labels_alone_claim_none() -> None:
    (unknown,) = Verdict(methods=("kd",), is_taught=True, ships="distilled").sentences
    assert "what the teacher added is unknown" in unknown
    (plain,) = Verdict(ships="labels alone").sentences
    assert plain == "Trained on labels alone."
    (own,) = Verdict(methods=("cskd",), ships="teacher-free").sentences
    assert "what the methods added is unknown" in own


def test_only_the_best_of_several_networks_is_partly_lucky() -> None:
    assert not any("luck" in line for line in Verdict(ships="kd", networks_compared=1).sentences)
    lines = Verdict(ships="kd", networks_compared=2).sentences
    assert any("the best of 2 networks" in line for line in lines)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (0, "The weights of the brief training ship: no full training was made."),
        (
            3,
            "The weights of the brief training ship: no full training was as good "
            "on validation, luck allowed for.",
        ),
        (None, "The weights of the brief training ship."),
    ],
)
def test_brief_weights_say_whether_any_full_training_was_made(made, said) -> None:
    verdict = Verdict(ships="labels alone", weights="brief", full_trainings=made)
    assert verdict.sentences[-1] == said


def test_a_full_training_that_was_cut_short_is_not_denied() -> None:
    arm = ArmRecord(name="labels alone", methods=(), is_taught=False, scores=())
    verdict = Verdict(ships="labels alone", weights="brief", full_trainings=0, arms=(arm,))
    said = "The weights of the brief training ship: no full training saw as many examples."
    assert verdict.sentences[-1] == said


def test_one_seed_shows_no_spread() -> None:
    gain = GAIN.model_copy(update={"low": None, "high": None, "seeds": 1})
    assert gain.text(ACCURACY) == "+0.50 points (one seed, which shows no spread)"


def test_loose_controls_of_older_runs_become_a_verdict() -> None:
    older = {
        "trial": 3,
        "recipe": "cross-entropy",
        "weights": "full",
        "networks_compared": 7,
        "methods": ["kd:temperature=2"],
        "gain": GAIN.model_dump(),
        "controls": [
            {
                "name": "same student, distilled",
                "dtype": "int8",
                "seeds": [5, 6],
                "test_accuracies": [0.8, 0.9],
                "validation_accuracies": [0.7, 0.75],
            },
            {
                "name": "same student, cross-entropy only (no teacher)",
                "dtype": "int8",
                "seeds": [5, 6],
                "test_accuracies": [0.85, 0.95],
            },
        ],
    }
    found = verdict_of_older_final(older)
    verdict = Verdict.model_validate(found.pop("verdict"))
    assert found == {"trial": 3}
    assert [entry.name for entry in verdict.arms] == ["distilled", "cross-entropy"]
    assert verdict.arms[0].mean("validation_int8") == pytest.approx(0.725)
    assert verdict.arms[1].mean("validation_int8") is None
    assert (verdict.ships, verdict.networks_compared, verdict.gain) == ("cross-entropy", 7, GAIN)


def test_a_verdict_without_what_ships_is_refused() -> None:
    with pytest.raises(ValidationError, match="ships"):
        Verdict.model_validate({"arms": []})
    assert arm("cross-entropy", 0.5, 0.7).mean("test_int8") == pytest.approx(0.6)
