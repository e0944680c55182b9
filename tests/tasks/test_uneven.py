"""Classes of which one has nearly all samples are noted, unless they are weighed."""

import numpy as np
import pytest

from hwkd.core.reading import Reading
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.classification import ClassifyTask


@pytest.mark.parametrize(
    ("rare", "weights", "metric", "says"),
    [
        (10, "none", None, "--metric balanced-accuracy lets"),
        (10, "auto", "accuracy", "--metric balanced-accuracy lets"),
        (10, "auto", "balanced-accuracy", "rare classes weigh more in training"),
        (10, "auto", "macro-f1", "rare classes weigh more in training"),
        (10, "none", "balanced-accuracy", "--metric balanced-accuracy lets"),
        (10, "balanced", None, None),
        (50, "auto", "balanced-accuracy", None),
    ],
)
def test_one_class_of_nearly_all_is_noted(tmp_path, rare, weights, metric, says):
    random = np.random.default_rng(0)
    labels = np.arange(200) % 100 < rare
    path = tmp_path / "data.npz"
    np.savez(
        path, x_train=random.normal(size=(200, 6)), y_train=labels.astype(int),
        class_names=np.array(["usual", "rare"]),
    )  # fmt: skip
    data = ClassifyTask().data(path, Reading(class_weights=weights, metric=metric))
    noted = [note for note in data.notes if "of one class" in note]
    assert len(noted) == (says is not None)
    assert all(
        note.startswith(f"90% of the training samples are of one class (usual); {says}")
        for note in noted
    )


@pytest.mark.parametrize(
    ("metric", "weights", "expected"),
    [
        (None, "auto", ()),
        ("balanced-accuracy", "auto", (0.625, 2.5)),
        # The roots of these, 1 on average over four samples of the one and one of the other.
        ("macro-f1", "auto", (5 / 6, 5 / 3)),
        ("balanced-accuracy", "none", ()),
        (None, "balanced", (0.625, 2.5)),
    ],
)
def test_classes_count_alike_in_training_where_they_do_in_the_metric(
    tmp_path, metric, weights, expected
):
    labels = np.arange(200) % 5 == 0
    path = tmp_path / "data.npz"
    x = np.random.default_rng(0).normal(size=(200, 6))
    np.savez(path, x_train=x, y_train=labels.astype(int))
    head = ClassifyTask().data(path, Reading(class_weights=weights, metric=metric)).head
    assert isinstance(head, ClassesHead)
    assert head.weights == pytest.approx(expected)
