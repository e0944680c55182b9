"""Outputs that are values: standardised, so that networks, losses and int8 steps see one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.arrays import AnyArray, Doubles, Flags, Floats, Ints
from hwkd.core.c_literal import float_literal
from hwkd.core.head import (
    OUTPUT_KINDS,
    CAnswer,
    Correction,
    Head,
    Knowledge,
    OutputForm,
    OutputKind,
    are_given,
)
from hwkd.core.metric import Metric, Scores
from hwkd.tasks.no_threshold import NoThreshold
from hwkd.tasks.numbers_out import NumbersOut

if TYPE_CHECKING:
    from torch import Tensor

_MAE = Metric(name="mean absolute error", unit="target units", direction="min")
_RMSE = Metric(name="root mean square error", unit="target units", direction="min")
_R2 = Metric(name="R2", unit="", direction="max")
VALUE_METRICS = (_MAE, _RMSE, _R2)
# Knowing nothing passes by luck at three standard errors once in 700 times.
_CHANCE_DEVIATIONS = 3.0
_LEAST, _ENOUGH = 0.01, 0.5


def _answer(form: OutputForm) -> CAnswer:
    scales, offsets = (
        ", ".join(float_literal(np.float32(value)) for value in values)
        for values in (form.std, form.mean)
    )
    # Names that nobody gave take no flash.
    named, word, name = ", named model_labels[i]", "%s", "model_labels[i]"
    if not are_given(form.names):
        named, word, name = "", "value %d", "i + 1"
    return CAnswer(
        usage=f"""\
        float answer[MODEL_ANSWER_COUNT];
        model_answer(answer); /* in the unit of the target{named} */
        for (int i = 0; i < MODEL_ANSWER_COUNT; i++)
            printf("{word} %.9g\\n", {name}, (double)answer[i]);""",
        printed=f"""\
    float answer[MODEL_ANSWER_COUNT];
    model_answer(answer);
    if (MODEL_SAMPLE_LABEL[0] != 0)
        printf("labelled %s, in the unit of the target\\n", MODEL_SAMPLE_LABEL);
    for (int i = 0; i < MODEL_ANSWER_COUNT; i++)
        printf("the network says {word} %g\\n", {name}, (double)answer[i]);""",
        declared=f"""\
#define MODEL_ANSWER_COUNT {len(form.mean)}

/* An output, as a real number, times the scale plus the offset is the answer in the
   unit of the target in the training data. */
extern const float model_answer_scale[MODEL_ANSWER_COUNT];
extern const float model_answer_offset[MODEL_ANSWER_COUNT];

/* The answers of the last inference, in that unit. */
void model_answer(float *answer);
""",
        body=f"""\
const float model_answer_scale[MODEL_ANSWER_COUNT] = {{{scales}}};
const float model_answer_offset[MODEL_ANSWER_COUNT] = {{{offsets}}};

void model_answer(float *answer)
{{
    const int8_t *output = model_output();
    for (int32_t i = 0; i < MODEL_ANSWER_COUNT; i++) {{
        const float value = MODEL_OUTPUT_SCALE * (float)(output[i] - MODEL_OUTPUT_ZERO_POINT);
        answer[i] = value * model_answer_scale[i] + model_answer_offset[i];
    }}
}}
""",
    )


def _head(form: OutputForm) -> Head:
    count = len(form.names)
    return ValuesHead(
        names=form.names,
        answer_mean=form.mean,
        answer_std=form.std,
        constant=(0.0,) * count,
        constant_error=(1.0,) * count,
    )


def _intended_use(count: int, names: str) -> str:
    del count
    return (
        f"estimating {names} from inputs like those of the training data. **Not covered:** inputs "
        "of another origin, sensor or preparation, whose error is unknown. The network always "
        "gives a number."
    )


_VALUES = OutputKind(
    name="values",
    of_classes=False,
    plain_training="targets alone",
    divergence_unit="variances of the targets",
    answer_rule="output * std + mean, in the unit of the target; there is no threshold",
    intended_use=_intended_use,
    python='print(outputs * facts["answer"]["std"] + facts["answer"]["mean"])  # in their units',
    answer=_answer,
    head=_head,
)
OUTPUT_KINDS.register("values")(_VALUES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuesHead(NumbersOut, NoThreshold):
    """One number per output, `(value - mean) / std` of the train targets; see `Head`.

    Attributes:
        answer_mean: of each value in train, in units of the target.
        answer_std: likewise, > 0. An output times this plus the mean is the answer.
        constant: of each value, standardised: the median of train, the best constant answer.
        constant_error: mean absolute error of that answer in train, standardised, > 0.
        metrics: in units of the target; of several values the mean.
    """

    names: tuple[str, ...]
    answer_mean: tuple[float, ...]
    answer_std: tuple[float, ...]
    constant: tuple[float, ...]
    constant_error: tuple[float, ...]
    kind: OutputKind = _VALUES
    metrics: tuple[Metric, ...] = VALUE_METRICS
    loss_name: str = "smooth_l1"

    @classmethod
    def fitted(cls, targets: NDArray[np.floating], *, names: tuple[str, ...]) -> ValuesHead:
        """Return the head of raw train targets, shape [n, outputs], none of them constant."""
        wide = targets.astype(np.float64)
        mean, std = wide.mean(axis=0), wide.std(axis=0)
        scaled = (wide - mean) / std
        constant = np.median(scaled, axis=0)
        return cls(
            names=names,
            answer_mean=tuple(mean.tolist()),
            answer_std=tuple(std.tolist()),
            constant=tuple(constant.tolist()),
            constant_error=tuple(np.abs(scaled - constant).mean(axis=0).tolist()),
        )

    def standardised(self, targets: NDArray[np.floating]) -> Floats:
        """Return raw targets, shape [n, outputs], as the network learns them."""
        scaled = (targets - np.array(self.answer_mean)) / np.array(self.answer_std)
        result: Floats = scaled.astype(np.float32)
        return result

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        *,
        smoothing: float = 0.0,
        some_unlabelled: bool = False,
    ) -> Tensor:
        """Return squared errors up to one deviation, then absolute ones; NaN is no target.

        Single examples far off would otherwise decide a step, and the metric is absolute.

        Source:
            Huber 1964, Annals of Mathematical Statistics 35, 73-101.
        """
        from torch.nn import functional

        del smoothing
        if some_unlabelled:
            targets = targets.where(~targets.isnan(), outputs.detach())
        return functional.smooth_l1_loss(outputs, targets)

    def scores(self, outputs: Floats, targets: Floats, wholes: Ints | None = None) -> Scores:
        """Return mean absolute error, root mean square error and R2 (1 is best)."""
        del wholes
        known = targets.astype(np.float64) * self.answer_std + self.answer_mean
        missed = outputs.astype(np.float64) * self.answer_std + self.answer_mean - known
        squared = np.square(missed).sum(axis=0)
        spread = np.square(known - known.mean(axis=0)).sum(axis=0)
        # Of a value that never changes there is nothing to explain: 1 when it is met, else 0.
        unexplained = np.where(spread > 0, squared / np.where(spread > 0, spread, 1), squared > 0)
        found = {
            _MAE.name: float(np.abs(missed).mean()),
            _RMSE.name: float(np.sqrt(squared / len(known)).mean()),
            _R2.name: float(1 - unexplained.mean()),
        }
        return self.asked_for(found)

    def errors(self, outputs: Floats, targets: Floats) -> Doubles:
        """Return absolute errors over the mean one of the best constant on train."""
        distance = np.abs(outputs.astype(np.float64) - targets)
        ratio: Doubles = (distance / self.constant_error).mean(axis=1)
        return ratio

    def blind_error(self, targets: Floats) -> float:
        """Return the error of the best constant of the train split; about 1."""
        constant = np.broadcast_to(np.array(self.constant, dtype=np.float32), targets.shape)
        return float(self.errors(constant, targets).mean())

    def of_teacher(self, answers: Floats) -> Floats:
        """Standardise answers in units of the target."""
        return self.standardised(answers)

    def knowledge(self, outputs: Floats, targets: Floats) -> Knowledge:
        """Compare with the best constant: the share of its absolute error that is gone.

        Needed are three standard errors of the paired difference; half of it is always enough.
        """
        constant = np.broadcast_to(np.array(self.constant, dtype=np.float32), targets.shape)
        before, after = self.errors(constant, targets), self.errors(outputs, targets)
        gone, whole = before - after, float(before.mean())
        luck = _CHANCE_DEVIATIONS * float(gone.std()) / np.sqrt(len(gone))
        return Knowledge(
            what="share of the best constant answer's error that is gone",
            value=float(gone.mean()) / whole if whole > 0 else 0.0,
            needed=min(_ENOUGH, max(_LEAST, luck / whole)) if whole > 0 else _ENOUGH,
        )

    def correction(self, outputs: Floats, targets: Floats) -> Correction:
        """Find the line from outputs to targets, for each value by least squares."""
        given, wanted = outputs.astype(np.float64), targets.astype(np.float64)
        centred = given - given.mean(axis=0)
        spread = np.square(centred).sum(axis=0)
        shared = (centred * wanted).sum(axis=0)
        scale = np.where(spread > 0, shared / np.where(spread > 0, spread, 1.0), 1.0)
        offset = wanted.mean(axis=0) - scale * given.mean(axis=0)
        mean, std = np.array(self.answer_mean), np.array(self.answer_std)
        in_units = mean * (1.0 - scale) + std * offset
        shown = [
            f"{name} times {factor:.4g} plus {added:.4g}"
            for name, factor, added in zip(self.names, scale, in_units, strict=True)
        ]
        return Correction(
            outputs=lambda before: (before * scale + offset).astype(np.float32),
            says=f"its answers on another scale: {', '.join(shown)}",
            advice="give its answers the unit of the target",
        )

    def answers(self, outputs: Floats, inputs: Floats) -> AnyArray:
        """Return the values in their units, shape [n, size]."""
        del inputs
        values: AnyArray = outputs * self.answer_std + self.answer_mean
        return values

    def targets(self, labels: AnyArray, inputs: Floats) -> Floats:
        """Return values in their unit, shape [n] or [n, size], as the network learns them."""
        del inputs
        return self.standardised(labels.reshape(len(labels), -1).astype(np.float64))

    def answer_text(self, target: Any) -> str:
        """Return the values of one example in their units."""
        values = np.asarray(target) * self.answer_std + self.answer_mean
        return ", ".join(f"{n} {v:.4g}" for n, v in zip(self.names, values, strict=True))

    def is_labelled(self, targets: Floats) -> Flags:
        """Tell which samples have all their values."""
        return np.logical_not(np.isnan(targets).any(axis=1))

    def unlabelled(self, count: int) -> Floats:
        """Return so many rows of NaN."""
        return np.full((count, self.size), np.nan, dtype=np.float32)
