"""Classes of which one has nearly all samples are noted, unless they are weighed."""

import numpy as np
import pytest

from hwkd.core.reading import Reading
from hwkd.tasks.classification import ClassifyTask


@pytest.mark.parametrize(
    ("rare", "weights", "is_noted"),
    [(10, "none", True), (10, "balanced", False), (50, "none", False)],
)
def test_one_class_of_nearly_all_is_noted(tmp_path, rare, weights, is_noted):
    random = np.random.default_rng(0)
    labels = np.arange(200) % 100 < rare
    path = tmp_path / "data.npz"
    np.savez(
        path, x_train=random.normal(size=(200, 6)), y_train=labels.astype(int),
        class_names=np.array(["usual", "rare"]),
    )  # fmt: skip
    data = ClassifyTask().data(path, Reading(class_weights=weights))
    noted = [note for note in data.notes if "of one class" in note]
    assert len(noted) == is_noted
    assert all(
        note.startswith("90% of the training samples are of one class (usual)") for note in noted
    )
