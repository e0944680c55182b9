"""Outputs that are logits of classes at every position of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core import class_scores
from hwkd.core.arrays import AnyArray, Doubles, Flags, Floats, Ints
from hwkd.core.decision_record import Confusion
from hwkd.core.head import (
    CLASS_MAPS,
    OUTPUT_KINDS,
    CAnswer,
    Head,
    Knowledge,
    OutputForm,
    OutputKind,
)
from hwkd.core.likeliest import likeliest
from hwkd.core.metric import Metric, Scores
from hwkd.tasks.classes_out import ClassesOut
from hwkd.tasks.maps_loss import UNLABELLED
from hwkd.tasks.maps_offsets import iou_offsets
from hwkd.tasks.no_threshold import NoThreshold
from hwkd.tasks.own_targets import NoCorrection, knowledge_of_its_own

if TYPE_CHECKING:
    from torch import Tensor

IOU = Metric(name="mean IoU", unit="ratio", direction="max")
# Enough to say where outputs are best; more take longer, with the square of the classes: 2 s of a
# core for 20 of them, and then, with fewer positions, about as many more as there are more classes.
_MOST_POSITIONS, _MOST_OUTPUTS = 150_000, 3_000_000
_PIXELS = Metric(name="pixel accuracy", unit="ratio", direction="max")
MAP_METRICS = (IOU, _PIXELS)


def _answer(form: OutputForm) -> CAnswer:
    return CAnswer(
        usage="""\
        for (int32_t i = 0; i < MODEL_POSITIONS; i++) /* row after row */
            printf("%s\\n", model_labels[model_answer(i)]);""",
        printed="""\
    int32_t found[MODEL_CLASSES] = {0};
    for (int32_t i = 0; i < MODEL_POSITIONS; i++)
        found[model_answer(i)]++;
    for (int32_t i = 0; i < MODEL_CLASSES; i++)
        printf("%s at %d of %d positions\\n", model_labels[i], (int)found[i],
               (int)MODEL_POSITIONS);""",
        declared=f"""\
#define MODEL_CLASSES {len(form.names)}
#define MODEL_POSITIONS (MODEL_OUTPUT_BYTES / MODEL_CLASSES)

/* Number of the likeliest class at a position of the last inference, counted row after row from
   the upper left; model_labels names it. */
int32_t model_answer(int32_t position);
""",
        body="""\
int32_t model_answer(int32_t position)
{
    const int8_t *output = model_output() + position * MODEL_CLASSES;
    int32_t best = 0;
    for (int32_t i = 1; i < MODEL_CLASSES; i++)
        best = output[i] > output[best] ? i : best;
    return best;
}
""",
    )


def _head(form: OutputForm) -> Head:
    return MapsHead(names=form.names)


def _intended_use(count: int, names: str) -> str:
    return (
        f"telling which of {count} classes ({names}) each position of a picture shows, in pictures "
        "like those of the training data. **Not covered:** pictures of another origin, camera or "
        "preparation, and things of none of the classes; every position is given a class."
    )


_MAPS = OutputKind(
    name=CLASS_MAPS,
    of_classes=False,
    plain_training="masks alone",
    divergence_unit="nats at each position",
    answer_rule="at each position the class with the largest output; there is no threshold",
    intended_use=_intended_use,
    python="""\
names = facts["answer"]["labels"]
masks = outputs.argmax(axis=1)  # numbers of classes, [n, height, width]
for mask in masks:
    print({names[number]: int((mask == number).sum()) for number in np.unique(mask)})  # pixels
""",
    answer=_answer,
    head=_head,
    class_scores=(class_scores.IOU, class_scores.PRECISION, class_scores.RECALL),
    counted="pixels",
    pictured="from the left the picture, the classes that are there, those that are named",
    of_maps=True,
    of_squares=True,
)
OUTPUT_KINDS.register(_MAPS.name)(_MAPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapsHead(NoCorrection, ClassesOut, NoThreshold):
    """One logit for each class and position, shape [n, classes, height, width]; see `Head`.

    Targets are class numbers, shape [n, height, width]; -1 marks a position without a class.

    Attributes:
        names: of the classes, in the order of the numbers in masks.
        grid: height and width of the pictures.
        weights: of each class in the loss, 1 on average over the positions of the train split; none
            is 1 for all.
        metrics: the mean over the classes of intersection over union, over all pictures together.
    """

    names: tuple[str, ...]
    grid: tuple[int, int] = (1, 1)
    weights: tuple[float, ...] = ()
    kind: OutputKind = _MAPS
    metrics: tuple[Metric, ...] = MAP_METRICS
    loss_name: str = "pixel_cross_entropy"
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
        """Return the mean weighted cross-entropy of the positions with a class, in nats.

        A position counts as its class weighs, smoothed share included; see `ClassesHead.loss`.

        Args:
            outputs: each for one position, or, if there are fewer, for a square or rectangle.
        """
        from hwkd.tasks.maps_loss import pixel_loss

        return pixel_loss(
            outputs, targets, weights=self.weights, smoothing=smoothing,
            some_unlabelled=some_unlabelled,
        )  # fmt: skip

    def offsets(self, outputs: Floats, targets: NDArray[np.int16]) -> Floats:
        """Return what to add to the outputs of each class for the largest mean IoU.

        Nothing where something else is judged by.
        """
        if self.metrics[0].name != IOU.name:
            return np.zeros(self.size, np.float32)
        by_class = outputs.swapaxes(0, 1).reshape(self.size, -1)
        given = targets.reshape(-1).astype(np.int64)
        # Odd, so that no column of a picture is left out.
        every = len(given) // min(_MOST_POSITIONS, max(1, _MOST_OUTPUTS // self.size)) | 1
        by_class, given = by_class[:, ::every], given[::every]
        return iou_offsets(by_class[:, given >= 0], given[given >= 0])

    def scores(
        self,
        outputs: Floats,
        targets: NDArray[np.int16],
        wholes: Ints | None = None,
    ) -> Scores:
        """Return mean IoU over the classes that are there or named, and the share of positions."""
        del wholes
        counts = self._counts(outputs, targets).sum(axis=0)
        shared, either = _shared_and_either(counts)
        found = {
            IOU.name: float((shared / np.maximum(either, 1))[either > 0].mean()),
            _PIXELS.name: float(shared.sum() / max(1, counts.sum())),
        }
        return self.asked_for(found)

    def counts(self, outputs: Floats, targets: NDArray[np.int16]) -> Confusion:
        """Return how many positions of each class were taken for which."""
        counts = self._counts(outputs, targets).sum(axis=0)
        return tuple(tuple(row) for row in counts.tolist())

    def _counts(self, outputs: Floats, targets: NDArray[np.int16]) -> Ints:
        """Return for each picture how often which class was named for which, [n, given, named]."""
        named = likeliest(outputs.reshape(len(outputs), self.size, -1))
        given = targets.reshape(len(targets), -1).astype(np.int64)
        pictures = np.arange(len(given))[:, np.newaxis]
        places = (pictures * self.size + given) * self.size + named
        counts = np.bincount(places[given >= 0], minlength=len(given) * self.size**2)
        whole: Ints = counts.reshape(-1, self.size, self.size)
        return whole

    def errors(self, outputs: Floats, targets: NDArray[np.int16]) -> Doubles:
        """Return what each picture adds to the error, so that the mean is 1 minus the mean IoU.

        Of each class it is the picture's share of the positions that only one of truth and answer
        has. Where pixel accuracy comes first it is the share of wrong positions.
        """
        counts = self._counts(outputs, targets)
        shared, either = _shared_and_either(counts)
        if self.metrics[0] == _PIXELS:
            return np.asarray(1.0 - shared.sum(axis=1) / np.maximum(1, counts.sum(axis=(1, 2))))
        whole = either.sum(axis=0)
        is_there = whole > 0
        missed = (either - shared)[:, is_there] / whole[is_there]
        return np.asarray(missed.mean(axis=1) * len(counts))

    def blind_error(self, targets: NDArray[np.int16]) -> float:
        """Return the error of naming the most frequent class everywhere."""
        return float(self.errors(self._blind(targets), targets).mean())

    def _blind(self, targets: NDArray[np.int16]) -> Floats:
        frequent = np.bincount(targets[targets >= 0].astype(np.int64), minlength=self.size).argmax()
        outputs = np.zeros((len(targets), self.size, *targets.shape[1:]), dtype=np.float32)
        outputs[:, frequent] = 1.0
        return outputs

    def knowledge(self, outputs: Floats, targets: NDArray[np.int16]) -> Knowledge:
        """Say how much better outputs suit their own masks than those of other pictures.

        Things are often in the middle, so that guesses there meet some of any mask.
        """
        return knowledge_of_its_own(
            self.errors, outputs, targets,
            what="mean IoU with its own masks above that with others",
        )  # fmt: skip

    def of_teacher(self, answers: Floats) -> Floats:
        """Return logits of the pictures' size; see `ClassesOut.of_teacher`.

        Many networks say what they see on a coarser grid, and are drawn larger by straight lines.
        """
        if answers.shape[2:] == self.grid:
            return ClassesOut.of_teacher(self, answers)
        import torch
        from torch.nn.functional import interpolate

        given = torch.from_numpy(np.ascontiguousarray(answers))
        sized = interpolate(given, self.grid, mode="bilinear", align_corners=False)
        return ClassesOut.of_teacher(self, sized.numpy())

    def answers(self, outputs: Floats, inputs: Floats) -> AnyArray:
        """Return the class number at each position, shape [n, height, width]."""
        named = likeliest(outputs.reshape(len(outputs), self.size, *inputs.shape[2:]))
        maps: AnyArray = named.astype(np.int16)
        return maps

    def targets(self, labels: AnyArray, inputs: Floats) -> NDArray[np.int16]:
        """Return masks as they are."""
        del inputs
        return labels.astype(np.int16)

    def answer_text(self, target: Any) -> str:
        """Return the classes of a mask with their shares, the largest first."""
        known = np.asarray(target)
        counts = np.bincount(known[known >= 0].astype(np.int64), minlength=self.size)
        order = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
        shares = (f"{self.names[index]} {counts[index] / counts.sum():.0%}" for index in order)
        return ", ".join(shares) or "nothing"

    def is_labelled(self, targets: NDArray[np.int16]) -> Flags:
        """Tell which pictures have a class at some position."""
        flat = targets.reshape(len(targets), -1)
        return np.asarray((flat >= 0).any(axis=1), dtype=np.bool_)

    def unlabelled(self, count: int) -> NDArray[np.int16]:
        """Return so many masks without a class."""
        return np.full((count, *self.grid), UNLABELLED, dtype=np.int16)


def _shared_and_either(counts: Ints) -> tuple[Ints, Ints]:
    """Return, of counts [..., given, named], positions that truth and answer share, and union."""
    shared = np.diagonal(counts, axis1=-2, axis2=-1)
    either = counts.sum(axis=-1) + counts.sum(axis=-2) - shared
    return shared, either
