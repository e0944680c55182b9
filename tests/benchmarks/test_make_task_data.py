"""Data of packages is used only if it is what is known."""

import pytest

from tools.make_task_data import SOURCES, checked, make_task_data


@pytest.mark.parametrize("task", SOURCES)
def test_other_bytes_than_the_known_ones_are_refused(task):
    with pytest.raises(ValueError, match="not the known one"):
        checked(SOURCES[task], b"something else")


def test_an_unknown_task_is_refused_before_anything_is_downloaded(tmp_path):
    with pytest.raises(ValueError, match="expected one of anomaly, gesture"):
        make_task_data("speech", tmp_path / "x.csv")
