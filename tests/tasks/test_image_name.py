"""Programs written for the first releases find the task of images under its old name."""

from hwkd.tasks.classification import ClassifyTask
from hwkd.tasks.image import ImageTask


def test_the_old_name_is_the_classification_task() -> None:
    assert ImageTask is ClassifyTask
