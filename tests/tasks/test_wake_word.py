"""A wake word is judged by what is missed at a rate of false accepts, counted by hand here."""

import numpy as np
import pytest
from support.spoken import write_wake_word

from hwkd.core.errors import DataError
from hwkd.core.reading import Reading
from hwkd.tasks.classes_head import WAKE_METRICS, ClassesHead
from hwkd.tasks.hearing import Hearing
from hwkd.tasks.wake_word import WakeWordTask


def of_chances(*streams):
    """Logits, labels and wholes of streams of (label, probability of the word)."""
    pairs = [pair for stream in streams for pair in stream]
    chances = np.array([chance for _, chance in pairs])
    outputs = np.stack([np.zeros(len(pairs)), np.log(chances / (1 - chances))], axis=1)
    wholes = np.repeat(np.arange(len(streams)), [len(stream) for stream in streams])
    return outputs.astype(np.float32), np.array([label for label, _ in pairs]), wholes


# One inference a second; accepts within 3 of one belong to it. In 12 s, 300 an hour are one.
AUDIO = [0.9, 0.9, 0.9, 0.1, 0.8, 0.1, 0.1, 0.7, 0.1, 0.1, 0.6, 0.1]
WORDS = [[0.2, 0.95, 0.3], [0.2, 0.75, 0.3], [0.2, 0.65, 0.3], [0.2, 0.55, 0.3]]
SCORED = of_chances([(0, p) for p in AUDIO], *([(1, p) for p in word] for word in WORDS))


def head_at(accepts):
    hears = Hearing(
        heard=1,
        name="beep",
        stride=16_000,
        rate_hz=16_000.0,
        apart=3,
        most_per_hour=300.0 * accepts,
    )
    return ClassesHead(names=("negative", "beep"), metrics=WAKE_METRICS, hears=hears)


# Alone, .9 to .6 are four accepts. The mean of two is .9 .9 .9 .5 .45 .45 .1 .4 .4 .1 .35 .35, and
# at most .625, .525, .475 and .425 of the words.
@pytest.mark.parametrize(
    ("smoothing", "threshold", "missed", "accepts"),
    [(1, 0.6, 0.25, 4), (1, 0.601, 0.25, 3), (1, 0.701, 0.5, 2), (1, 0.901, 0.75, 0),
     (2, 0.45, 0.25, 2), (2, 0.501, 0.5, 1), (2, 0.351, 0.0, 3)],
)  # fmt: skip
def test_false_rejects_and_accepts_are_those_counted_by_hand(smoothing, threshold, missed, accepts):
    decision = (
        head_at(1)
        .decide(*SCORED)
        .model_copy(update={"smoothing": smoothing, "threshold": threshold})
    )
    found = head_at(1).at(decision).scores(*SCORED)
    assert found["false rejects"] == missed
    assert found["false accepts"] == pytest.approx(300.0 * accepts)


@pytest.mark.parametrize(
    ("allowed", "smoothing", "threshold", "detected"),
    [(3, 2, 0.351, 1.0), (1, 2, 0.501, 0.5), (0.5, 1, 0.901, 0.25)],
)
def test_smoothing_and_threshold_miss_least_at_the_rate(allowed, smoothing, threshold, detected):
    decision = head_at(allowed).decide(*SCORED)
    assert (decision.smoothing, decision.threshold) == (smoothing, threshold)
    assert decision.detected == detected
    assert decision.reached <= 300.0 * allowed
    rates, missed = zip(*decision.curve, strict=True)
    assert (list(rates), list(missed)) == (sorted(rates, reverse=True), sorted(missed))
    # From its record alone a head judges by the very numbers.
    again = ClassesHead(names=("negative", "beep")).at(decision).scores(*SCORED)
    assert again["false rejects"] == 1 - detected


def test_false_accepts_are_told_with_their_hours_and_held_against_what_was_asked():
    head = head_at(1)
    decision = head.decide(*SCORED)
    assert decision.on_validation is not None
    assert (decision.on_validation.events, decision.on_validation.base * 3600) == (1, 12)
    assert len(decision.doubts) == 1  # one in 12 s are too few to show one in 12 s
    lower = decision.model_copy(update={"smoothing": 1, "threshold": 0.6})
    on_test = head.at(lower).falsely(*SCORED)
    told = lower.model_copy(update={"on_test": on_test})
    assert told.doubts == (
        "On test there are more false accepts than asked for: 1200 per hour (4 in 0.00333 h), "
        "asked at most 300 per hour.",
        "False accepts of 300 per hour at most cannot be shown: validation has 0.00333, test has "
        "0.00333, fewer than 3 / rate, 0.01 h.",
    )


def test_a_recording_that_no_list_names_is_told_apart_from_a_short_one(tmp_path):
    folder = write_wake_word(tmp_path / "sounds", clips=5)
    (folder / "validation_list.txt").write_text("beep/0.wav\n")
    (folder / "testing_list.txt").write_text("beep/1.wav\n")
    with pytest.raises(DataError, match=r"no recording is of the validation split; name one of"):
        WakeWordTask().data(folder, Reading(max_false_accepts_per_hour=600))


def test_a_folder_is_read_and_what_judges_is_a_stream(tmp_path):
    folder = write_wake_word(tmp_path / "sounds", clips=10)
    data = WakeWordTask().data(folder, Reading(max_false_accepts_per_hour=600))
    assert data.class_names == ("negative", "beep")
    assert isinstance(data.head, ClassesHead)
    assert isinstance(data.head.hears, Hearing)
    assert data.head.hears.stride_s == 0.24  # whole frames of the features
    # A clip of the word is seven inferences with silence around it, three of which hold it.
    first = data.test.wholes == 0
    assert data.test.labels[first].tolist() == [0, 0, 1, 1, 1, 0, 0]
    # Two recordings of 10 s, of each the last two fifths: 4 s have 13 windows of a second.
    assert (data.test.labels == 0).sum() == 2 * 13 + 2 * 4
    # Six clips of the word at three moments, ten without at two, of two times 2 s three windows.
    assert np.bincount(data.train.labels).tolist() == [10 * 2 + 2 * 3, 6 * 3]


@pytest.mark.parametrize(
    ("reading", "drop", "says"),
    [
        (Reading(), None, r"validation split last 0.00222 h; --max-false-accepts 0.5/h needs 2 h"),
        (Reading(), "recordings", "no WAV files in recordings"),
        (Reading(), "beep", r"0 folders of a wake word \(none\); expected one"),
    ],
)
def test_a_folder_that_cannot_judge_is_refused(reading, drop, says, tmp_path):
    folder = write_wake_word(tmp_path / "sounds", clips=5)
    for path in (folder / drop).iterdir() if drop else ():
        path.unlink()
    with pytest.raises(DataError, match=says):
        WakeWordTask().data(folder, reading)
