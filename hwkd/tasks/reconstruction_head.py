"""Outputs that repeat the input: what a network cannot repeat is an anomaly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hwkd.core.arrays import AnyArray, Doubles, Flags, Floats, Ints
from hwkd.core.c_literal import float_literal
from hwkd.core.decision_record import Confusion, CountRecord, DecisionRecord
from hwkd.core.errors import DataError
from hwkd.core.head import OUTPUT_KINDS, CAnswer, Head, Knowledge, OutputForm, OutputKind
from hwkd.core.metric import AVERAGE_PRECISION, Metric, Scores
from hwkd.tasks.numbers_out import NumbersOut
from hwkd.tasks.own_targets import NoCorrection

if TYPE_CHECKING:
    from torch import Tensor

_AUROC = Metric(name="AUROC", unit="ratio", direction="max")
_PARTIAL = Metric(name="partial AUROC", unit="ratio", direction="max")
_FALSE = Metric(name="false alarms", unit="ratio", direction="min")
_FOUND = Metric(name="anomalies found", unit="ratio", direction="max")
ANOMALY_METRICS = (AVERAGE_PRECISION, _AUROC, _PARTIAL, _FALSE, _FOUND)
FALSE_ALARMS_RATIO = 0.01
# A value that is missed by more deviations counts as one that is missed by so many: a single wild
# reading, which normal data has too, would else outweigh all that is strange in the others. On
# Shuttle average precision is .999 with and .967 without it.
_MOST_DEVIATIONS = 3.0
# Firmware that alarms often is switched off: the part of the curve with few false alarms counts.
_PARTIAL_RATIO = 0.1
# Of the variance of normal examples; repeating their mean repeats none of it.
_NEEDED_SHARE = 0.05
ANSWERS = ("normal", "anomaly")


_DECLARED = """\
/* Mean squared difference between the prepared input of the last model_run_raw and what the
   network made of it, of each value 3 at most; the larger, the less the input is like those of
   the training. */
float model_score(void);
"""
_BODY = """\
float model_score(void)
{
    return (float)(model_squared_difference() / MODEL_OUTPUT_BYTES);
}
"""
_DECIDED = """
int32_t model_answer(void)
{
    return model_score() >= MODEL_THRESHOLD;
}
"""


def _answer(form: OutputForm) -> CAnswer:
    usage = '        printf("score %g\\n", (double)model_score());'
    decision = form.decision
    if decision is None:
        return CAnswer(
            usage=usage, printed="", declared=_DECLARED, body=_BODY, compares=_MOST_DEVIATIONS
        )
    declared = f"""{_DECLARED}
/* Chosen on validation: of normal inputs, {decision.wanted:.4g} at most may be called anomalies. */
#ifndef MODEL_THRESHOLD
#define MODEL_THRESHOLD {float_literal(np.float32(decision.threshold))}
#endif

/* 1 where the last model_run_raw saw an anomaly, else 0. */
int32_t model_answer(void);
"""
    usage = """\
        printf("%s, score %g\\n", model_answer() ? "anomaly" : "normal", (double)model_score());"""
    return CAnswer(
        usage=usage, printed="", declared=declared, body=_BODY + _DECIDED, compares=_MOST_DEVIATIONS
    )


def _intended_use(count: int, names: str) -> str:
    del count, names
    return (
        "telling inputs that are like the normal training data from others. **Not covered:** "
        "anomalies that the network happens to repeat well, and normal inputs of another machine, "
        "sensor or preparation, which it may take for anomalies."
    )


def _head(form: OutputForm) -> Head:
    return ReconstructionHead(names=form.names)


_RECONSTRUCTION = OutputKind(
    name="repeated values",
    of_classes=False,
    plain_training="repeating alone",
    divergence_unit="variances of the inputs",
    answer_rule=(
        "the mean squared difference between the prepared input and the outputs, of each value 3 "
        "at most; from the threshold on it is an anomaly"
    ),
    intended_use=_intended_use,
    python=f"""\
missed = np.abs(outputs - given.reshape(len(given), -1)).astype(float)
scores = np.square(np.minimum(missed, {_MOST_DEVIATIONS})).mean(axis=1)
decision = facts["answer"]["decision"]
for score in scores:
    print(score, "anomaly" if decision and score >= decision["threshold"] else "normal")
""",
    answer=_answer,
    head=_head,
    answers=ANSWERS,
)
OUTPUT_KINDS.register(_RECONSTRUCTION.name)(_RECONSTRUCTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionHead(NoCorrection, NumbersOut):
    """The prepared input again, one output for each of its values; see `hwkd.core.head.Head`.

    A target is a row of the input's values and, behind them, 0 for normal and 1 for an anomaly,
    shape [n, size + 1]. Only normal examples are learned.

    Attributes:
        names: of the values.
        false_alarms_ratio: share of normal examples of validation that may be called anomalies.
        decision: threshold of a network; None takes the one that suits what is scored.
    """

    names: tuple[str, ...]
    false_alarms_ratio: float = FALSE_ALARMS_RATIO
    decision: DecisionRecord | None = None
    kind: OutputKind = _RECONSTRUCTION
    metrics: tuple[Metric, ...] = ANOMALY_METRICS
    loss_name: str = "squared_difference"
    answer_mean: tuple[float, ...] = ()
    answer_std: tuple[float, ...] = ()

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        *,
        smoothing: float = 0.0,
        some_unlabelled: bool = False,
    ) -> Tensor:
        """Return the mean squared difference of normal examples, beyond three deviations linear.

        Anomalies add nothing.

        Source:
            Huber 1964, Annals of Mathematical Statistics 35, 73-101.
        """
        import torch
        from torch.nn import functional

        del smoothing, some_unlabelled
        wanted, is_normal = targets[:, :-1], targets[:, -1:] == 0
        missed = (outputs - wanted).where(is_normal, 0.0)
        return 2.0 * functional.huber_loss(missed, torch.zeros_like(missed), delta=_MOST_DEVIATIONS)

    def distances(self, outputs: Floats, targets: Floats) -> Doubles:
        """Return the score of each example, shape [n], 0 to 9: its mean squared difference.

        Of each value at most three deviations count.

        Raises:
            DataError: if there is not an output for each value of the input.
        """
        if outputs.shape[1] != targets.shape[1] - 1:
            raise DataError(
                f"the network has {outputs.shape[1]} outputs and inputs of {targets.shape[1] - 1} "
                "values; one that finds anomalies gives back its input"
            )
        missed = np.abs(outputs.astype(np.float64) - targets[:, :-1])
        distances: Doubles = np.square(np.minimum(missed, _MOST_DEVIATIONS)).mean(axis=1)
        return distances

    def scores(self, outputs: Floats, targets: Floats, wholes: Ints | None = None) -> Scores:
        """Return areas and, at the threshold, the shares of false alarms and found anomalies."""
        del wholes
        # Importing scikit-learn takes a second; processes that only train need it once.
        from sklearn.metrics import average_precision_score, roc_auc_score

        distances, is_anomaly = self.distances(outputs, targets), targets[:, -1] == 1
        _require_both(is_anomaly)
        decision = self.decision or self.decide(outputs, targets)
        alarms = distances >= decision.threshold
        found = {
            AVERAGE_PRECISION.name: average_precision_score(is_anomaly, distances),
            _AUROC.name: roc_auc_score(is_anomaly, distances),
            _PARTIAL.name: roc_auc_score(is_anomaly, distances, max_fpr=_PARTIAL_RATIO),
            _FALSE.name: alarms[~is_anomaly].mean(),
            _FOUND.name: alarms[is_anomaly].mean(),
        }
        return self.asked_for(found)

    def counts(self, outputs: Floats, targets: Floats) -> Confusion:
        """Return how often normal examples and anomalies were taken for which."""
        is_anomaly = targets[:, -1] == 1
        decision = self.decision or self.decide(outputs, targets)
        alarms = self.distances(outputs, targets) >= decision.threshold
        return tuple(
            (int((group & ~alarms).sum()), int((group & alarms).sum()))
            for group in (~is_anomaly, is_anomaly)
        )

    def decide(
        self,
        outputs: Floats,
        targets: Floats,
        wholes: Ints | None = None,
    ) -> DecisionRecord:
        """Return the lowest threshold that keeps the share of false alarms."""
        del wholes
        distances, is_anomaly = self.distances(outputs, targets), targets[:, -1] == 1
        normal = np.sort(distances[~is_anomaly])[::-1]
        allowed = int(self.false_alarms_ratio * len(normal))
        first_kept = normal[min(allowed, len(normal) - 1)]
        above = normal[allowed - 1] if allowed else 2.0 * first_kept
        # Half way between the last that may be an alarm and the first that may not; above both
        # where they are equal. Firmware compares in single precision.
        least = np.nextafter(np.float32(first_kept), np.float32(np.inf))
        threshold = float(max(least, np.float32((first_kept + above) / 2)))
        alarms = distances >= threshold
        false = CountRecord(events=int(alarms[~is_anomaly].sum()), base=len(normal))
        return DecisionRecord(
            answer=ANSWERS[1],
            threshold=threshold,
            rate="false alarms of normal examples",
            wanted=self.false_alarms_ratio,
            reached=false.rate,
            detected=float(alarms[is_anomaly].mean()),
            on_validation=false,
        )

    def falsely(
        self, outputs: Floats, targets: Floats, wholes: Ints | None = None
    ) -> CountRecord | None:
        """Count normal examples that are called anomalies."""
        del wholes
        if self.decision is None:
            return None
        normal = self.distances(outputs, targets)[targets[:, -1] == 0]
        return CountRecord(events=int((normal >= self.decision.threshold).sum()), base=len(normal))

    def at(self, decision: DecisionRecord | None) -> ReconstructionHead:
        """Return the head with the threshold of a network."""
        return replace(self, decision=decision)

    def errors(self, outputs: Floats, targets: Floats) -> Doubles:
        """Return what each anomaly adds to 1 - average precision, over that of knowing nothing.

        It is 1 minus the precision of a threshold at the anomaly's own score; normal examples add
        nothing by themselves.
        """
        distances, is_anomaly = self.distances(outputs, targets), targets[:, -1] == 1
        errors = np.zeros(len(distances))
        if is_anomaly.all() or not is_anomaly.any():
            return errors
        at_least = len(distances) - np.searchsorted(np.sort(distances), distances[is_anomaly])
        anomalies = np.sort(distances[is_anomaly])
        found = len(anomalies) - np.searchsorted(anomalies, distances[is_anomaly])
        errors[is_anomaly] = (1.0 - found / at_least) / (1.0 - is_anomaly.mean())
        errors[is_anomaly] /= is_anomaly.mean()
        return errors

    def blind_error(self, targets: Floats) -> float:
        """Return 1: scores at random have the share of anomalies as average precision."""
        del targets
        return 1.0

    def of_teacher(self, answers: Floats) -> Floats:
        """Return them as they are."""
        return answers

    def knowledge(self, outputs: Floats, targets: Floats) -> Knowledge:
        """Say how much of the variance of normal examples is repeated."""
        normal = targets[:, -1] == 0
        wanted = targets[normal, :-1].astype(np.float64)
        left = np.square(outputs[normal] - wanted).sum()
        whole = np.square(wanted - wanted.mean(axis=0)).sum()
        return Knowledge(
            what="share of the variance of normal examples that it repeats",
            value=float(1.0 - left / whole) if whole > 0 else 0.0,
            needed=_NEEDED_SHARE,
        )

    def answers(self, outputs: Floats, inputs: Floats) -> AnyArray:
        """Return "normal" or "anomaly" at the threshold, shape [n].

        Raises:
            DataError: if no threshold was chosen.
        """
        if self.decision is None:
            raise DataError("no threshold is known of this student; it was not trained to the end")
        nowhere = self.targets(np.zeros(len(inputs)), inputs)
        alarms = self.distances(outputs, nowhere) >= self.decision.threshold
        names: AnyArray = np.array(ANSWERS)[alarms.astype(np.int64)]
        return names

    def targets(self, labels: AnyArray, inputs: Floats) -> Floats:
        """Return the inputs with 0 or 1 behind them: labels are these numbers."""
        flat = inputs.reshape(len(inputs), -1)
        return np.concatenate([flat, labels.reshape(-1, 1)], axis=1).astype(np.float32)

    def answer_text(self, target: Any) -> str:
        """Return "normal" or "anomaly"."""
        return ANSWERS[int(target[-1])]

    def is_labelled(self, targets: Floats) -> Flags:
        """Tell which samples have a target."""
        return np.logical_not(np.isnan(targets[:, -1]))

    def unlabelled(self, count: int) -> Floats:
        """Return so many rows of NaN."""
        return np.full((count, self.size + 1), np.nan, dtype=np.float32)


def _require_both(is_anomaly: Flags) -> None:
    if is_anomaly.all() or not is_anomaly.any():
        only = "anomalies" if is_anomaly.all() else "normal examples"
        raise DataError(f"data: {only} alone; what tells both apart is judged on examples of both")
