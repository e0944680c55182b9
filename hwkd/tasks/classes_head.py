"""Outputs that are logits of classes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from hwkd.core.arrays import AnyArray, Doubles, Flags, Floats, Ints
from hwkd.core.decision_record import Confusion, CountRecord, DecisionRecord
from hwkd.core.errors import DataError
from hwkd.core.head import (
    OUTPUT_KINDS,
    CAnswer,
    Correction,
    Head,
    Knowledge,
    OutputForm,
    OutputKind,
)
from hwkd.core.likeliest import likeliest
from hwkd.core.metric import ACCURACY, BALANCED_ACCURACY, MACRO_F1, Metric, Scores
from hwkd.core.printable import first_of
from hwkd.core.reading import Reading
from hwkd.core.score_interval import balanced_accuracy, macro_f1
from hwkd.tasks.classes_out import ClassesOut
from hwkd.tasks.hearing import FALSE_ACCEPTS, FALSE_REJECTS, Hearing, Hears
from hwkd.tasks.raw import RawData

if TYPE_CHECKING:
    from torch import Tensor

_UNLABELLED = -1
# One guess in 700 passes by luck at three standard deviations.
_CHANCE_DEVIATIONS = 3.0
_MOST_SHOWN = 20
# A name that is a whole number as Python writes it, "7" and not "07", and fits an integer.
_NUMBER = re.compile("0|-?[1-9][0-9]{0,15}")
_VOTED = Metric(name="recording accuracy", unit="ratio", direction="max")
CLASS_METRICS = (ACCURACY, BALANCED_ACCURACY, MACRO_F1)
WAKE_METRICS = (FALSE_REJECTS, FALSE_ACCEPTS, ACCURACY, BALANCED_ACCURACY)
VOTED_METRICS = (ACCURACY, _VOTED, BALANCED_ACCURACY, MACRO_F1)
_ANSWER = CAnswer(
    of_classes=True,
    usage='        printf("%s\\n", model_labels[model_answer()]); /* the likeliest class */',
    printed="""\
    if (MODEL_SAMPLE_LABEL[0] != 0)
        printf("labelled %s, the network says %s\\n", MODEL_SAMPLE_LABEL,
               model_labels[model_answer()]);""",
    declared="""\
/* Number of the likeliest class of the last inference; model_labels names it. */
int32_t model_answer(void);
""",
    body="""\
int32_t model_answer(void)
{
    const int8_t *output = model_output();
    int32_t best = 0;
    for (int32_t i = 1; i < MODEL_OUTPUT_BYTES; i++)
        best = output[i] > output[best] ? i : best;
    return best;
}
""",
)


def _answer(form: OutputForm) -> CAnswer:
    return replace(_ANSWER, decision=form.decision)


def _head(form: OutputForm) -> Head:
    return ClassesHead(names=form.names)


def _intended_use(count: int, names: str) -> str:
    return (
        f"telling {count} classes apart ({names}) in inputs like those of the training data. **Not "
        "covered:** inputs of another origin, sensor or preparation, and inputs of none of the "
        "classes; accuracy on them is unknown. The network always names one of its classes."
    )


_CLASSES = OutputKind(
    name="classes",
    of_classes=True,
    plain_training="cross-entropy",
    divergence_unit="nats",
    answer_rule=(
        "the class with the largest output; of a stream, see the threshold where one was chosen"
    ),
    intended_use=_intended_use,
    python='print([facts["answer"]["labels"][i] for i in outputs.argmax(axis=1)])',
    answer=_answer,
    head=_head,
)
OUTPUT_KINDS.register("classes")(_CLASSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassesHead(ClassesOut):
    """One logit per class; see `hwkd.core.head.Head`.

    Attributes:
        names: of the classes, in the order of the labels.
        metrics: accuracy first; balanced accuracy is the mean over the classes that the data has,
            and so is macro F1.
        weights: of each class in the loss, 1 on average over the train split; none is 1 for all.
        hears: how a threshold on probabilities is chosen and judged; None of classes without one.
        decision: threshold of a network; None takes the one that suits what is scored.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...] = ()
    hears: Hears | None = None
    decision: DecisionRecord | None = None
    kind: OutputKind = _CLASSES
    metrics: tuple[Metric, ...] = CLASS_METRICS
    loss_name: str = "cross_entropy"
    answer_mean: tuple[float, ...] = ()
    answer_std: tuple[float, ...] = ()

    @classmethod
    def numbered(cls, count: int) -> ClassesHead:
        """Return the head of so many classes that are called by their number."""
        return cls(names=tuple(str(label) for label in range(count)))

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        *,
        smoothing: float = 0.0,
        some_unlabelled: bool = False,
    ) -> Tensor:
        """Return the cross-entropy in nats; -1 marks a sample without a label.

        A sample counts as its class weighs, smoothed share included. (PyTorch weighs that share by
        the class that it goes to: with 95 samples to 5 it asks of a sample of the common class that
        both be equally likely.)
        """
        from torch.nn import functional

        if not some_unlabelled and not self.weights:
            return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)
        losses = functional.cross_entropy(
            outputs,
            targets,
            ignore_index=_UNLABELLED,
            reduction="none",
            label_smoothing=smoothing,
        )
        if self.weights:
            losses = losses * outputs.new_tensor(self.weights)[targets.clamp(min=0)]
        return losses.sum() / len(targets)

    def scores(self, outputs: Floats, targets: Ints, wholes: Ints | None = None) -> Scores:
        """Return accuracy, balanced accuracy, macro F1 and accuracy of votes, 0 to 1.

        Means over classes are over those that the targets have: a class without an example cannot
        be missed, and wrong answers count in the classes that they were given for.
        """
        counts = self._counts(outputs, targets)
        found = {
            ACCURACY.name: 1.0 - float(_wrong(outputs, targets).mean()),
            BALANCED_ACCURACY.name: float(balanced_accuracy(counts)),
            MACRO_F1.name: float(macro_f1(counts)),
        }
        if self.hears is not None:
            found |= self.hears.scores(outputs, targets, wholes, self.decision)
        if _VOTED in self.metrics:
            found[_VOTED.name] = _voted_accuracy(outputs, targets, wholes)
        return self.asked_for(found)

    def counts(self, outputs: Floats, targets: Ints) -> Confusion:
        """Return how often each class was taken for which."""
        return tuple(tuple(row) for row in self._counts(outputs, targets).tolist())

    def _counts(self, outputs: Floats, targets: Ints) -> Ints:
        places = targets * self.size + likeliest(outputs)
        counts: Ints = np.bincount(places, minlength=self.size**2)
        return counts.reshape(self.size, self.size)

    def decide(
        self,
        outputs: Floats,
        targets: Ints,
        wholes: Ints | None = None,
    ) -> DecisionRecord | None:
        """Choose the threshold of what listens; None of other classes."""
        return None if self.hears is None else self.hears.decide(outputs, targets, wholes)

    def falsely(
        self, outputs: Floats, targets: Ints, wholes: Ints | None = None
    ) -> CountRecord | None:
        """Count what is heard falsely; None of classes without a threshold."""
        if self.hears is None or self.decision is None:
            return None
        return self.hears.falsely(outputs, targets, wholes, self.decision)

    def at(self, decision: DecisionRecord | None) -> ClassesHead:
        """Return the head with the threshold of a network, which says what is listened for."""
        hears = self.hears
        if hears is None and decision is not None and decision.stride is not None:
            hears = Hearing.of(decision, self.names)
        metrics = self.metrics
        if isinstance(hears, Hearing) and FALSE_REJECTS not in metrics:
            metrics = WAKE_METRICS
        return replace(self, decision=decision, hears=hears, metrics=metrics)

    def voting(self) -> ClassesHead:
        """Return the head that scores whole recordings, too, where it scored examples alone."""
        return replace(self, metrics=VOTED_METRICS) if self.metrics == CLASS_METRICS else self

    def errors(self, outputs: Floats, targets: Ints) -> Doubles:
        """Return 0 where the largest output is the label, else 1 or what the metric takes off.

        The mean is 1 minus the accuracy or the macro F1, where that comes first; where another
        metric does, every class counts alike, and it is 1 minus the balanced accuracy. Where false
        rejects come first, see `Hearing.errors`.
        """
        if self.metrics[0] == FALSE_REJECTS and isinstance(self.hears, Hearing):
            return self.hears.errors(outputs, targets)
        errors = _wrong(outputs, targets)
        if self.metrics[0] == ACCURACY:
            return errors
        if self.metrics[0] == MACRO_F1:
            return errors * self._f1_lost(outputs, targets)
        present, places, counts = np.unique(targets, return_inverse=True, return_counts=True)
        weighted: Doubles = errors * (len(targets) / (len(present) * counts))[places]
        return weighted

    def _f1_lost(self, outputs: Floats, targets: Ints) -> Doubles:
        """Return how much a wrong answer takes off the macro F1, times the number of examples.

        1 minus the F1 of a class is what is missed of it and what is wrongly called it, over what
        is of it and what is called it: a wrong answer counts in both of its classes.
        """
        counts = self._counts(outputs, targets)
        given, named = counts.sum(axis=1), counts.sum(axis=0)
        present = np.flatnonzero(given)
        each = np.zeros(self.size)
        each[present] = len(targets) / (len(present) * (given + named)[present])
        lost: Doubles = each[targets] + each[likeliest(outputs)]
        return lost

    def blind_error(self, targets: Ints) -> float:
        """Return the error of naming the most frequent class always."""
        if self.metrics[0] == FALSE_REJECTS:
            return 1.0
        counts = np.bincount(targets)
        share, present = float(counts.max()) / len(targets), int(np.count_nonzero(counts))
        if self.metrics[0] == MACRO_F1:
            return 1.0 - 2.0 * share / (1.0 + share) / present
        return 1.0 - (share if self.metrics[0] == ACCURACY else 1.0 / present)

    def knowledge(self, outputs: Floats, targets: Ints) -> Knowledge:
        """Compare balanced accuracy with chance.

        Answering the most frequent class always is worth 1 / classes, however frequent it is. What
        is needed is three standard deviations above chance; of few examples, half way from chance
        to perfection at most, so that a perfect network always passes.
        """
        counts = np.unique(targets, return_counts=True)[1]
        chance = 1.0 / len(counts)
        deviation = math.sqrt(float(np.sum(chance * (1.0 - chance) / counts))) / len(counts)
        return Knowledge(
            what=BALANCED_ACCURACY.name,
            value=float(balanced_accuracy(self._counts(outputs, targets))),
            needed=min(chance + _CHANCE_DEVIATIONS * deviation, (1.0 + chance) / 2),
            least=chance - _CHANCE_DEVIATIONS * deviation,
        )

    def correction(self, outputs: Floats, targets: Ints) -> Correction:
        """Find the order of the outputs in which most examples are right.

        It is an assignment of outputs to classes on the confusion matrix.

        Source:
            Kuhn 1955, Naval Research Logistics Quarterly 2, 83-97; SciPy's solver.
        """
        from scipy.optimize import linear_sum_assignment

        confusion = np.zeros((self.size, self.size))
        np.add.at(confusion, (targets, likeliest(outputs)), 1.0)
        # What no example decides stays where it is.
        order = linear_sum_assignment(confusion + 0.5 * np.eye(self.size), maximize=True)[1]
        moved = {int(output): label for label, output in enumerate(order) if label != output}
        shown = [f"output {output} is {self.names[moved[output]]}" for output in sorted(moved)]
        return Correction(
            outputs=lambda given: given[:, order],
            says=f"its classes in another order: {first_of(shown, _MOST_SHOWN)}" if moved else "",
            advice="give its outputs the order of the data's classes",
        )

    def answers(self, outputs: Floats, inputs: Floats) -> AnyArray:
        """Return the name of the likeliest class, shape [n]; a number where all are numbers."""
        del inputs
        names = np.array(self.names)
        if all(map(_NUMBER.fullmatch, self.names)):
            names = names.astype(np.int64)
        answers: AnyArray = names[likeliest(outputs)]
        return answers

    def targets(self, labels: AnyArray, inputs: Floats) -> Ints:
        """Return the index of the class that each label names, as text or as a whole number."""
        del inputs
        known = {name: index for index, name in enumerate(self.names)}
        distinct, where = np.unique(labels.reshape(-1), return_inverse=True)
        texts = [str(int(one)) if _is_whole(one) else str(one) for one in distinct]
        if strange := [text for text in texts if text not in known]:
            shown = ", ".join(self.names[:6]) + (", ..." if self.size > 6 else "")
            raise DataError(
                f"data: label {strange[0]!r} is of no class of the student; its labels are "
                f"{shown}; label the data with these"
            )
        return np.array([known[text] for text in texts], dtype=np.int64)[where]

    def answer_text(self, target: Any) -> str:
        """Return the name of a class."""
        return self.names[int(target)]

    def is_labelled(self, targets: Ints) -> Flags:
        """Tell which labels are not -1."""
        return np.not_equal(targets, _UNLABELLED)

    def unlabelled(self, count: int) -> Ints:
        """Return so many -1."""
        return np.full(count, _UNLABELLED, dtype=np.int64)


def head_of_classes(data: RawData, metrics: tuple[Metric, ...], reading: Reading) -> ClassesHead:
    """Return the head of a data set's classes, their weights as the choices on data ask."""
    power = _weights_power(metrics[0], reading)
    weights = balanced_weights(data, power) if power else ()
    return ClassesHead(names=data.class_names, metrics=metrics, weights=weights)


def _weights_power(metric: Metric, reading: Reading) -> float:
    """Return by which power of its rarity a class weighs; 0 counts samples alike.

    Macro F1 counts what is wrongly called a rare class, too: whole weights cost it more there than
    they gain (docs/decisions/own-networks.md).
    """
    if reading.class_weights == "auto":
        return {BALANCED_ACCURACY.name: 1.0, MACRO_F1.name: 0.5}.get(metric.name, 0.0)
    return 1.0 if reading.class_weights == "balanced" else 0.0


def balanced_weights(data: RawData, power: float = 1.0) -> tuple[float, ...]:
    """Return the weight of each class that makes all count alike in the train split.

    A class without an example there has the weight that it would have with one.

    Args:
        power: of the rarity; 1 makes all count alike, below it rare ones count less than that.

    Returns:
        Weights that are 1 on average over the samples.
    """
    labels = data.train.labels[data.train.labels != _UNLABELLED]
    counts = np.bincount(labels, minlength=len(data.class_names))
    rarity = (len(labels) / np.maximum(1, counts)) ** power
    weights = rarity * (len(labels) / max(1.0, float(rarity @ counts)))
    return tuple(weights.tolist())


def _wrong(outputs: Floats, targets: Ints) -> Doubles:
    wrong: Doubles = (likeliest(outputs) != targets).astype(np.float64)
    return wrong


def _is_whole(value: Any) -> bool:
    return np.issubdtype(type(value), np.number) and bool(value == np.floor(value))


def _voted_accuracy(outputs: Floats, targets: Ints, wholes: Ints | None) -> float:
    """Return the share of recordings whose windows together find the right class likeliest.

    The mean of probabilities: of two windows in doubt and a sure one the sure one decides, which on
    the watch data named up to .014 of the recordings more than most windows did, and never fewer.
    """
    places = np.unique(np.arange(len(targets)) if wholes is None else wholes, return_inverse=True)[
        1
    ]
    first = np.unique(places, return_index=True)[1]
    likely = np.zeros((len(first), outputs.shape[1]))
    np.add.at(likely, places, softmax(outputs.astype(np.float64), axis=1))
    return float((likeliest(likely) == targets[first]).mean())
