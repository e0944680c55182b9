"""Small generators that follow a large one: its pictures, its features and a discriminator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from hwkd.core.catalog import METHODS
from hwkd.core.head import PICTURES, Head
from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.teaching import TeacherLesson
from hwkd.distill.adapters import describe_map_adapter, resolve_map_adapters
from hwkd.distill.adversary import (
    JudgedPictures,
    beside_picture,
    generator_loss,
    own_loss,
    picture_judge,
    sees_picture,
)
from hwkd.distill.kernels import as_maps, at_least_float32, pool_to_common_size
from hwkd.distill.method import RunShapes, TrainedMethod, both_logits, option


def compression_loss(
    drawn: Tensor,
    wanted: Tensor,
    judged: Tensor,
    features: Sequence[tuple[Tensor, Tensor]],
    *,
    gan: float,
    reconstruction: float,
    distill: float,
    adversarial: str,
) -> Tensor:
    """Return what a small generator lowers.

    Args:
        drawn: pictures of the student.
        wanted: of the teacher, or the targets; no gradient flows into them.
        judged: what the discriminator says of the student's.
        features: (adapted of the student, of the teacher) for each pair of layers.
        gan: weight of the discriminator's judgement.
        reconstruction: of the mean absolute difference.
        distill: of the sum over pairs of the mean squared difference.
        adversarial: see `hwkd.distill.adversary.generator_loss`.

    Source:
        Li et al. 2020, arXiv:2003.08936, equation 4, and the authors' code.
    """
    away = (drawn - wanted.detach()).abs().mean()
    total = gan * generator_loss(judged, adversarial=adversarial) + reconstruction * away
    for ours, theirs in features:
        total = total + distill * (ours - theirs.detach()).square().mean()
    return total


@METHODS.register("gan_compression")
@dataclass(frozen=True, kw_only=True)
class GanCompression(TrainedMethod):
    """GAN compression (Li et al. 2020): the teacher's pictures, features and a discriminator.

    Trains a 1x1 convolution for each pair of layers and a discriminator, which sees the picture
    that is shown beside the one that is drawn. A teacher that hwkd trains for this learns beside
    that discriminator, which goes on to judge the student. Any other teacher brings none: then it
    first learns to tell the teacher's pictures from the targets, and judges the student afterwards.
    """

    gan: float = option(10.0, "weight of the discriminator's judgement", low=0)
    reconstruction: float = option(100.0, "weight of the absolute difference", low=0)
    distill: float = option(10.0, "weight of the features' squared differences", low=0)
    adversarial: str = option(
        "hinge", "losses of both sides", choices=("hinge", "lsgan", "wgan-gp")
    )
    follows: str = option(
        "targets", "whose pictures are drawn after", choices=("targets", "teacher")
    )
    guided: float = option(1.0, "share of the training in which features count", low=0, high=1)
    ahead: float = option(
        0.2, "share in which it judges the teacher alone, where it is new", low=0, high=0.9
    )
    width: int = option(16, "channels of the discriminator", low=1, high=512)

    name = "gan_compression"
    family = "maps"
    formula = "w_gan L(D(x, ŷ_s)) + w_rec mean |ŷ_s − y| + w_dis Σ mean (A f_s − f_t)²"
    paper = "Li et al. 2020, arXiv:2003.08936"
    needs = frozenset({Signal.LOGITS, Signal.FEATURES})
    of_kind = PICTURES
    needs_labels = True
    cacheable = False
    looks_up_answers = True
    float32_only = True
    is_zero_at_teacher = False
    usual_weight = 0.01
    auxiliary_terms = ("gan_compression_discriminator",)

    def needs_at(self, epoch_ratio: float) -> frozenset[Signal]:
        """Leave features alone where they do not count."""
        return self.needs if self.guides(epoch_ratio) else frozenset({Signal.LOGITS})

    def guides(self, epoch_ratio: float) -> bool:
        """Tell whether features count at a moment, 0 to 1, of a training."""
        return self.distill > 0.0 and (epoch_ratio < self.guided or self.guided == 1.0)

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the adapter."""
        return describe_map_adapter(channels, teacher_channels)

    def teacher_lesson(self) -> TeacherLesson | None:
        """Return a training beside the discriminator, which weighs as much as for the student."""
        weight = self.gan / (self.reconstruction + 1.0 / self.usual_weight)
        said = f"beside a discriminator ({self.adversarial}, width {self.width}, {weight:g})"

        def build(head: Head, input_shape: tuple[int, ...]) -> JudgedPictures:
            return JudgedPictures(
                head, input_shape, weight=weight, width=self.width, adversarial=self.adversarial
            )

        return TeacherLesson(name=said, build=build)

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with its adapters and its discriminator."""
        return _Compressed(self, shapes)


class _Compressed(nn.Module):
    def __init__(self, method: GanCompression, shapes: RunShapes) -> None:
        super().__init__()
        self.method = method
        self.sees_picture = sees_picture(shapes.inputs)
        self.adapters = resolve_map_adapters(shapes.student.features, shapes.teacher.features)
        self.judge = picture_judge(shapes.classes, shapes.inputs, method.width)
        self.ahead = method.ahead
        if shapes.beside_teacher:
            self.judge.load_state_dict(shapes.beside_teacher)
            self.ahead = 0.0

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        method = self.method
        drawn, theirs = at_least_float32(*(as_maps(z) for z in both_logits(student, teacher)))
        real = batch.labels.to(drawn.dtype)
        wanted = theirs if method.follows == "teacher" else real
        picture = batch.inputs if self.sees_picture else None
        made = beside_picture(drawn, picture)
        is_ahead = batch.epoch_ratio < self.ahead
        own = own_loss(
            self.judge, beside_picture(theirs.detach(), picture) if is_ahead else made,
            beside_picture(real.detach(), picture), adversarial=method.adversarial, penalty=10.0,
        )  # fmt: skip
        loss = compression_loss(
            drawn, wanted, self.judge.cut_off(made), self._features(student, teacher, batch),
            gan=0.0 if is_ahead else method.gan, reconstruction=method.reconstruction,
            distill=method.distill, adversarial=method.adversarial,
        )  # fmt: skip
        # The weight of the method is for the sum, and not for what the discriminator lowers.
        return {
            method.name: loss,
            method.auxiliary_terms[0]: own / method.usual_weight,
        }

    def _features(
        self, student: Views, teacher: Views, batch: Batch
    ) -> list[tuple[Tensor, Tensor]]:
        pairs: list[tuple[Tensor, Tensor]] = []
        if not self.method.guides(batch.epoch_ratio):
            return pairs
        for adapter, ours, theirs in zip(
            self.adapters, student.features, teacher.features, strict=True
        ):
            maps = at_least_float32(as_maps(adapter(as_maps(ours))), as_maps(theirs))
            pairs.append(pool_to_common_size(*maps))
        return pairs
