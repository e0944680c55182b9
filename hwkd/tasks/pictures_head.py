"""Outputs that are a picture: levels at every position, drawn of the picture that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwkd.core.arrays import AnyArray, Doubles, Flags, Floats, Ints
from hwkd.core.c_literal import float_literal
from hwkd.core.head import OUTPUT_KINDS, PICTURES, CAnswer, Head, Knowledge, OutputForm, OutputKind
from hwkd.core.metric import Metric, Scores
from hwkd.tasks.frechet import frechet_distance, picture_features
from hwkd.tasks.no_threshold import NoThreshold
from hwkd.tasks.numbers_out import NumbersOut
from hwkd.tasks.own_targets import NoCorrection, knowledge_of_its_own

if TYPE_CHECKING:
    from torch import Tensor

_MAE = Metric(name="mean absolute error", unit="levels", direction="min")
_FRECHET = Metric(name="Frechet distance", unit="", direction="min")
PICTURE_METRICS = (_MAE, _FRECHET)
_HIGHEST = 255.0


def _answer(form: OutputForm) -> CAnswer:
    scales, offsets = (
        ", ".join(float_literal(np.float32(value)) for value in values)
        for values in (form.std, form.mean)
    )
    return CAnswer(
        usage="""\
        for (int32_t i = 0; i < MODEL_POSITIONS; i++) /* row after row */
            printf("%d\\n", (int)model_answer(i, 0)); /* channel 0 */""",
        printed="""\
    int32_t sums[MODEL_CHANNELS] = {0};
    for (int32_t i = 0; i < MODEL_POSITIONS; i++)
        for (int32_t channel = 0; channel < MODEL_CHANNELS; channel++)
            sums[channel] += model_answer(i, channel);
    for (int32_t channel = 0; channel < MODEL_CHANNELS; channel++)
        printf("mean level of %s: %d\\n", model_labels[channel],
               (int)(sums[channel] / MODEL_POSITIONS));""",
        declared=f"""\
#define MODEL_CHANNELS {len(form.names)}
#define MODEL_POSITIONS (MODEL_OUTPUT_BYTES / MODEL_CHANNELS)

/* Level, 0 to 255, that the last inference drew at a position, counted row after row from the
   upper left; model_labels names the channels. */
uint8_t model_answer(int32_t position, int32_t channel);
""",
        body=f"""\
static const float answer_scale[MODEL_CHANNELS] = {{{scales}}};
static const float answer_offset[MODEL_CHANNELS] = {{{offsets}}};

uint8_t model_answer(int32_t position, int32_t channel)
{{
    const int8_t output = model_output()[position * MODEL_CHANNELS + channel];
    const float value = MODEL_OUTPUT_SCALE * (float)(output - MODEL_OUTPUT_ZERO_POINT);
    const float level = value * answer_scale[channel] + answer_offset[channel];
    if (level <= 0.0f)
        return 0;
    return level >= 255.0f ? 255 : (uint8_t)(level + 0.5f);
}}
""",
    )


def _head(form: OutputForm) -> Head:
    return PicturesHead(names=form.names, answer_mean=form.mean, answer_std=form.std)


def _intended_use(count: int, names: str) -> str:
    del count
    return (
        f"drawing a picture ({names}) of a picture like those of the training data. **Not "
        "covered:** pictures of another origin, camera or preparation; what is drawn is likely and "
        "not measured, so nothing should be read out of its details."
    )


_PICTURES = OutputKind(
    name=PICTURES,
    of_classes=False,
    plain_training="targets alone",
    divergence_unit="variances of the targets",
    answer_rule="at each position and channel, output * std + mean is a level, 0 to 255",
    intended_use=_intended_use,
    python="""\
mean, std = (np.reshape(facts["answer"][k], (1, -1, 1, 1)) for k in ("mean", "std"))
pictures = np.floor(np.clip(outputs * std + mean, 0, 255) + 0.5).astype(np.uint8)
print(pictures.shape, pictures.mean(axis=(2, 3)))  # levels, [n, channels, height, width]
""",
    answer=_answer,
    head=_head,
    pictured="from the left the picture, the one wanted, the one drawn",
    of_maps=True,
)
OUTPUT_KINDS.register(_PICTURES.name)(_PICTURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturesHead(NoCorrection, NumbersOut, NoThreshold):
    """A level for each channel and position, shape [n, channels, height, width]; see `Head`.

    Outputs may come with their values in one row, as C and records have them.

    Targets have the same shape: `(level - mean) / std` of the train targets' channel; NaN has none.

    Attributes:
        names: of the channels.
        answer_mean: of each channel in train, in levels of 0 to 255.
        answer_std: likewise, > 0.
        grid: height and width of the pictures.
        metrics: the mean absolute error in levels, and the Fréchet distance of what is drawn from
            the targets in the features of a fixed network (`hwkd.tasks.frechet`).
    """

    names: tuple[str, ...]
    answer_mean: tuple[float, ...]
    answer_std: tuple[float, ...]
    grid: tuple[int, int] = (1, 1)
    kind: OutputKind = _PICTURES
    metrics: tuple[Metric, ...] = PICTURE_METRICS
    loss_name: str = "absolute_difference"

    @classmethod
    def fitted(
        cls, levels: AnyArray, *, names: tuple[str, ...], metrics: tuple[Metric, ...]
    ) -> PicturesHead:
        """Return the head of the train split's targets, levels [n, channels, height, width]."""
        axes = (0, 2, 3)
        mean = levels.mean(axis=axes, dtype=np.float64)
        std = levels.std(axis=axes, dtype=np.float64)
        return cls(
            names=names,
            answer_mean=tuple(mean.tolist()),
            answer_std=tuple(np.where(std > 0, std, 1.0).tolist()),
            grid=(levels.shape[2], levels.shape[3]),
            metrics=metrics,
        )

    def standardised(self, levels: AnyArray) -> Floats:
        """Return levels as the network learns them."""
        scaled = (levels - _beside(self.answer_mean)) / _beside(self.answer_std)
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
        """Return the mean absolute difference, which draws sharper than the squared one.

        Source:
            Isola et al. 2017, arXiv:1611.07004, section 3.1.
        """
        del smoothing
        if some_unlabelled:
            targets = targets.where(~targets.isnan(), outputs.detach())
        return (outputs - targets).abs().mean()

    def scores(self, outputs: Floats, targets: Floats, wholes: Ints | None = None) -> Scores:
        """Return the mean absolute error in levels, and the Fréchet distance."""
        del wholes
        drawn, wanted = self._levels(outputs.reshape(targets.shape)), self._levels(targets)
        made, real = (picture_features(self.standardised(pictures)) for pictures in (drawn, wanted))
        found = {
            _MAE.name: float(np.abs(drawn - wanted).mean()),
            _FRECHET.name: frechet_distance(made, real),
        }
        return self.asked_for(found)

    def errors(self, outputs: Floats, targets: Floats) -> Doubles:
        """Return each picture's mean absolute error over that of drawing the mean everywhere.

        A distance of sets has no part that is a picture's own: whatever metric comes first,
        students are compared by this.
        """
        drawn = outputs.reshape(targets.shape).astype(np.float64)
        away = np.abs(drawn - targets).mean(axis=(1, 2, 3))
        return np.asarray(away / max(1e-12, float(np.abs(targets).mean())))

    def blind_error(self, targets: Floats) -> float:
        """Return the error of drawing the mean of the train split everywhere."""
        return float(self.errors(np.zeros_like(targets), targets).mean())

    def of_teacher(self, answers: Floats) -> Floats:
        """Standardise levels."""
        return self.standardised(answers)

    def knowledge(self, outputs: Floats, targets: Floats) -> Knowledge:
        """Say how much better outputs suit their own targets than those of other pictures."""
        return knowledge_of_its_own(
            self.errors, outputs, targets, what="error by which its own targets are nearer"
        )

    def answers(self, outputs: Floats, inputs: Floats) -> AnyArray:
        """Return levels, uint8 [n, channels, height, width]."""
        shaped = outputs.reshape(len(outputs), self.size, *inputs.shape[2:])
        levels: AnyArray = np.floor(self._levels(shaped) + 0.5).astype(np.uint8)
        return levels

    def targets(self, labels: AnyArray, inputs: Floats) -> Floats:
        """Return levels as the network learns them."""
        del inputs
        return self.standardised(labels)

    def answer_text(self, target: Any) -> str:
        """Return the mean level of each channel."""
        levels = self._levels(np.asarray(target)[np.newaxis]).mean(axis=(0, 2, 3))
        shown = (f"{name} {level:.0f}" for name, level in zip(self.names, levels, strict=True))
        return f"mean level {', '.join(shown)}"

    def is_labelled(self, targets: Floats) -> Flags:
        """Tell which samples have a picture to draw."""
        return np.logical_not(np.isnan(targets).any(axis=(1, 2, 3)))

    def unlabelled(self, count: int) -> Floats:
        """Return so many pictures of NaN."""
        return np.full((count, self.size, *self.grid), np.nan, dtype=np.float32)

    def _levels(self, outputs: Floats) -> Doubles:
        levels = outputs * _beside(self.answer_std) + _beside(self.answer_mean)
        return np.clip(levels, 0.0, _HIGHEST)


def _beside(values: tuple[float, ...]) -> Doubles:
    return np.array(values).reshape(1, -1, 1, 1)
