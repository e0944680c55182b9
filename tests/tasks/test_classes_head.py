"""Scores of classes against scikit-learn, and what weights of classes do to loss and error."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score
from torch.nn import functional

from hwkd.core.decision_record import CountRecord
from hwkd.core.metric import led_by
from hwkd.tasks.classes_head import CLASS_METRICS, ClassesHead, balanced_weights
from hwkd.tasks.hearing import Refusing
from hwkd.tasks.raw import RawData, RawSplit


def guesses(seed, count=200, classes=5):
    """Outputs that are right more often than not, and labels of uneven frequency."""
    random = np.random.default_rng(seed)
    labels = random.choice(classes, size=count, p=[0.5, 0.3, 0.1, 0.06, 0.04])
    outputs = random.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    return outputs.astype(np.float32), labels


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed):
    outputs, labels = guesses(seed)
    head = ClassesHead.numbered(5)
    named = outputs.argmax(axis=1)
    found = head.scores(outputs, labels)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, named))
    assert found["balanced accuracy"] == pytest.approx(balanced_accuracy_score(labels, named))
    assert found["macro F1"] == pytest.approx(f1_score(labels, named, average="macro"))
    assert np.array_equal(head.confusion(outputs, labels), confusion_matrix(labels, named))


@pytest.mark.parametrize("classes", [3, 5], ids=["all classes", "two without an example"])
def test_errors_are_what_the_metric_that_comes_first_takes_off(classes):
    random = np.random.default_rng(0)
    labels = random.choice(3, size=300, p=(0.8, 0.15, 0.05))
    outputs = random.normal(size=(300, classes)) + 2.0 * np.eye(classes)[labels]
    for first in CLASS_METRICS:
        metrics = led_by(CLASS_METRICS, first.name, task="classify")
        head = replace(ClassesHead.numbered(classes), metrics=metrics)
        errors = head.errors(outputs, labels)
        assert errors.mean() == pytest.approx(1 - head.scores(outputs, labels)[first.name])
        assert ((errors > 0) == (outputs.argmax(axis=1) != labels)).all()
        always_the_first = np.tile(np.eye(classes)[0], (300, 1))
        assert head.errors(always_the_first, labels).mean() == pytest.approx(
            head.blind_error(labels)
        )


def test_a_class_without_an_example_has_no_part_in_macro_f1_even_where_it_is_named():
    outputs, labels = np.eye(4, dtype=np.float32)[[0, 1, 1, 3]], np.array([0, 1, 0, 1])
    expected = f1_score(labels, [0, 1, 1, 3], labels=[0, 1], average="macro")
    assert expected > f1_score(labels, [0, 1, 1, 3], average="macro")
    assert ClassesHead.numbered(4).scores(outputs, labels)["macro F1"] == pytest.approx(expected)


def test_a_rate_of_false_alarms_says_how_few_clips_it_rests_on():
    # Probability of the word: five clips of it, then four of nothing, of which one sounds like it.
    chances = np.array([0.9, 0.9, 0.8, 0.7, 0.6, 0.95, 0.2, 0.1, 0.1])
    outputs = np.stack([np.log(chances / (1 - chances)), np.zeros(9)], axis=1).astype(np.float32)
    targets = np.array([0] * 5 + [1] * 4)
    head = ClassesHead(names=("yes", "unknown"), hears=Refusing(quiet=(1,), most_ratio=0.25))
    decision = head.decide(outputs, targets)
    assert decision.on_validation == CountRecord(events=1, base=4)
    on_test = head.at(decision).falsely(np.concatenate([outputs, outputs[5:6]]), np.r_[targets, 1])
    told = decision.model_copy(update={"on_test": on_test})
    assert told.doubts == (
        "On test there are more false alarms than asked for: 40.00 % (2 of 5 clips without a "
        "word), asked at most 25.00 %.",
        "False alarms of 25.00 % at most cannot be shown: validation has 4, test has 5, fewer "
        "than 3 / rate, 12 clips without a word.",
    )


def test_there_is_no_table_of_very_many_classes():
    outputs, labels = np.eye(51, dtype=np.float32), np.arange(51)
    assert ClassesHead.numbered(51).confusion(outputs, labels) == ()
    assert len(ClassesHead.numbered(50).confusion(outputs[:50, :50], labels[:50])) == 50


def test_the_mean_error_is_that_of_the_metric_that_comes_first():
    outputs, labels = guesses(7)
    balanced = ClassesHead(
        names=tuple("abcde"), metrics=led_by(CLASS_METRICS, "Balanced-Accuracy", task="classify")
    )
    scores = balanced.scores(outputs, labels)
    assert next(iter(scores)) == "balanced accuracy"
    assert balanced.errors(outputs, labels).mean() == pytest.approx(1 - scores["balanced accuracy"])
    assert balanced.blind_error(labels) == pytest.approx(1 - 1 / 5)
    plain = ClassesHead.numbered(5)
    assert plain.errors(outputs, labels).mean() == pytest.approx(1 - scores["accuracy"])


def test_balanced_weights_make_every_class_count_alike():
    labels = np.array([0] * 6 + [1] * 3 + [2])
    split = RawSplit(inputs=np.zeros((10, 1, 1)), labels=labels)
    weights = balanced_weights(RawData(source="here", class_names=("a", "b", "c"), train=split))
    assert np.bincount(labels) * weights == pytest.approx([10 / 3] * 3)
    head = ClassesHead(names=("a", "b", "c"), weights=weights)
    outputs = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    each = functional.cross_entropy(outputs, torch.from_numpy(labels), reduction="none")
    expected = (each * torch.tensor(weights)[labels]).mean()
    assert float(head.loss(outputs, torch.from_numpy(labels))) == pytest.approx(float(expected))


def test_smoothed_labels_of_weighted_classes_ask_of_every_sample_what_they_ask_without_weights():
    # The best logits of a sample depend on its label alone, whatever its class weighs.
    head = ClassesHead(names=("usual", "rare"), weights=(0.53, 10.0))
    smoothed = torch.tensor([[0.95, 0.05], [0.05, 0.95]])
    outputs = smoothed.log().requires_grad_()
    loss = head.loss(outputs, torch.tensor([0, 1]), smoothing=0.1)
    (slope,) = torch.autograd.grad(loss, outputs)
    assert slope.abs().max() < 1e-6
    entropy = -(smoothed * smoothed.log()).sum(1)
    assert float(loss.detach()) == pytest.approx(
        float((entropy * torch.tensor([0.53, 10.0])).mean())
    )


def test_samples_without_a_label_count_nothing_beside_weighted_ones():
    head = ClassesHead(names=("a", "b"), weights=(0.5, 2.0))
    outputs = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, -1, 1, -1])
    known = head.loss(outputs[::2], labels[::2], smoothing=0.1)
    found = head.loss(outputs, labels, smoothing=0.1, some_unlabelled=True)
    assert float(found) == pytest.approx(float(known) / 2)
