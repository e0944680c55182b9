"""Data of packages is used only if it is what is known."""

import numpy as np
import pytest

from tools.make_task_data import SOURCES, checked, make_task_data
from tools.spoken_data import recorded, trimmed


@pytest.mark.parametrize("task", SOURCES)
def test_other_bytes_than_the_known_ones_are_refused(task):
    with pytest.raises(ValueError, match="not the known one"):
        checked(SOURCES[task], b"something else")


def test_an_unknown_task_is_refused_before_anything_is_downloaded(tmp_path):
    with pytest.raises(ValueError, match="expected one of anomaly, gesture, count, detect"):
        make_task_data("music", tmp_path / "x.csv")


@pytest.mark.parametrize("task", ["keyword", "wake-word"])
def test_a_folder_that_is_there_is_not_spoken_into(task, tmp_path):
    with pytest.raises(ValueError, match="exists; name a new folder"):
        make_task_data(task, tmp_path)


def test_a_word_is_heard_whole_in_any_room():
    random = np.random.default_rng(0)
    tone = 20_000 * np.sin(np.arange(8_000) / 5)
    word = np.concatenate([np.zeros(3_000), tone, np.zeros(3_000)]).astype(np.int16)
    assert len(trimmed(word)) == pytest.approx(8_000, abs=900)
    for clip in (recorded(word, random) for _ in range(20)):
        assert clip.shape == (16_000,)
        assert np.abs(np.fft.rfft(clip)).argmax() == pytest.approx(16_000 / 31.4, rel=0.25)
