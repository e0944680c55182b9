"""A search as scikit-learn's classifier: its cheap checks, and a fit."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import (
    check_do_not_raise_errors_in_init_or_set_params,
    check_estimator_cloneable,
    check_estimator_repr,
    check_estimator_tags_renamed,
    check_estimators_unfitted,
    check_get_params_invariance,
    check_mixin_order,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
    check_valid_tag_types,
)
from support.tiny_search import write_npz

from hwkd.core.errors import HwkdError
from hwkd.estimator import HwkdClassifier

# Those that do not fit: a fit is a search, and takes seconds.
CHEAP = (
    check_do_not_raise_errors_in_init_or_set_params, check_estimator_cloneable,
    check_estimator_repr, check_estimator_tags_renamed, check_estimators_unfitted,
    check_get_params_invariance, check_mixin_order, check_no_attributes_set_in_init,
    check_parameters_default_constructible, check_set_params, check_valid_tag_types,
)  # fmt: skip
QUICK = {
    "trials": 1, "workers": 1,
    "options": {"methods": "none", "spaces": "plain", "controls": 0, "brief_epochs": 1,
                "full_epochs": 4},
}  # fmt: skip


@pytest.mark.parametrize("check", CHEAP, ids=lambda check: check.__name__)
def test_checks_of_scikit_learn_that_do_not_fit_pass(check):
    check("HwkdClassifier", HwkdClassifier())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_fit_answers_with_its_labels_and_travels(tmp_path, monkeypatch):
    monkeypatch.setenv("HWKD_CACHE_DIR", str(tmp_path / "cache"))
    with np.load(write_npz(tmp_path / "data.npz")) as stored:
        inputs, labels = stored["x_train"], np.array(["cat", "dog", "owl"])[stored["y_train"]]
    made = clone(HwkdClassifier("cortex-m7", **QUICK)).fit(inputs, labels)
    assert made.classes_.tolist() == ["cat", "dog", "owl"]
    assert made.score(inputs, labels) > 0.6
    probabilities = made.predict_proba(inputs)
    assert np.allclose(probabilities.sum(axis=1), 1.0)
    again = pickle.loads(pickle.dumps(made))
    assert np.array_equal(again.predict(inputs), made.predict(inputs))
    with pytest.raises(HwkdError, match="expected examples like those of the training"):
        made.predict(inputs[:, :, :4])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("workers", r"'workers' is an argument of HwkdClassifier; give HwkdClassifier\(workers="),
        ("data", "'data' is what fit is given"),
        ("brief_epoch", "no option 'brief_epoch'; did you mean 'brief_epochs'"),
    ],
)
def test_an_option_that_is_given_elsewhere_is_refused_by_its_name(name, message):
    made = HwkdClassifier(options={name: 1})
    with pytest.raises(HwkdError, match=message):
        made.fit(np.zeros((8, 3)), np.arange(8) % 2)


def test_one_class_is_refused_before_a_search():
    with pytest.raises(ValueError, match="at least two classes"):
        HwkdClassifier().fit(np.zeros((8, 3)), np.zeros(8, int))
