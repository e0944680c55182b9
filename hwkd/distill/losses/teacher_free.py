"""Teacher-free methods: smoothed labels, virtual teachers, own past and classmates."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.teaching import TeacherSource
from hwkd.distill.kernels import at_least_float32, kl_from_logits
from hwkd.distill.logit_method import LabelMethod, LogitMethod
from hwkd.distill.losses.soft_targets import soft_target_loss
from hwkd.distill.method import LossMethod, both_logits, option
from hwkd.distill.sources import ClassmateSource, PastSelfSource


def self_teacher_loss(student_logits: Tensor, own_logits: Tensor, temperature: float) -> Tensor:
    """Return T^2 * KL from a trained copy of the student, averaged over batch and classes.

    Args:
        student_logits: shape [batch, classes].
        own_logits: same shape, from a copy of the student trained before.
        temperature: softening divisor, > 0.

    Source:
        Yuan et al. 2020, arXiv:1909.11723, equation 7. The authors' code averages over classes too,
        so its weight is 1 / classes of `kd`'s at the same number.
    """
    return soft_target_loss(student_logits, own_logits, temperature) / student_logits.shape[1]


def virtual_teacher_loss(
    student_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float = 20.0,
    correct_probability: float = 0.99,
) -> Tensor:
    """Return the KL from softmax(p / T), averaged over batch and classes.

    p has `correct_probability` at the label and the rest shared evenly.

    Args:
        student_logits: shape [batch, classes]; not divided by the temperature.
        labels: shape [batch], int64.
        temperature: divides the probabilities themselves, > 0.
        correct_probability: 0 to 1.

    Source:
        Yuan et al. 2020, arXiv:1909.11723, section 4.2, as in the authors' code: the virtual
        teacher's probabilities take the place of logits, and there is no factor T^2 (issues 3, 19
        and 24 there).
    """
    classes = student_logits.shape[1]
    other = (1.0 - correct_probability) / (classes - 1)
    one_hot = functional.one_hot(labels, classes).to(student_logits.dtype)
    probabilities = other + one_hot * (correct_probability - other)
    return kl_from_logits(student_logits, probabilities / temperature).mean() / classes


def progressive_target_loss(
    student_logits: Tensor, past_logits: Tensor, labels: Tensor, trust: float
) -> Tensor:
    """Return the cross-entropy against (1 - trust) * label + trust * own past prediction.

    Args:
        student_logits: shape [batch, classes].
        past_logits: same shape, the student's own for these samples one epoch ago.
        labels: shape [batch], int64.
        trust: 0 to 1.

    Source:
        Kim et al. 2021, arXiv:2006.12000, equation 4.
    """
    one_hot = functional.one_hot(labels, student_logits.shape[1]).to(student_logits.dtype)
    target = (1 - trust) * one_hot + trust * past_logits.detach().softmax(1)
    return -(target * functional.log_softmax(student_logits, dim=1)).sum(1).mean()


@METHODS.register("label_smoothing")
@dataclass(frozen=True, kw_only=True)
class LabelSmoothing(LabelMethod):
    """Label smoothing (Szegedy et al. 2016): the control that every distillation must beat."""

    smoothing: float = option(0.1, "probability shared by all classes", low=0, high=1)

    name = "label_smoothing"
    family = "control"
    formula = "CE(z_s, (1 − ε) y + ε / C)"
    paper = "Szegedy et al. 2016, arXiv:1512.00567; Müller et al. 2019, arXiv:1906.02629"
    includes_task_loss = True

    def loss(self, student: Tensor, labels: Tensor) -> Tensor:
        """Return the smoothed cross-entropy."""
        return functional.cross_entropy(student, labels, label_smoothing=self.smoothing)


@METHODS.register("tfkd_self")
@dataclass(frozen=True, kw_only=True)
class SelfTeacher(LossMethod):
    """Tf-KD self (Yuan et al. 2020): the teacher is a copy of the student trained before.

    Give that copy as the teacher. The defaults are the authors' for small networks.
    """

    alpha: float = option(
        0.95, "share of the own targets; the rest is cross-entropy", low=0, high=1
    )
    temperature: float = option(20.0, "softening divisor of both logits", above=0)
    multiplier: float = option(1.0, "further factor of the own targets", low=0)

    name = "tfkd_self"
    family = "teacher-free"
    formula = "(1 − α) CE + α m T² KL / C"
    paper = "Yuan et al. 2020, arXiv:1909.11723"
    needs = frozenset({Signal.LOGITS})
    needs_labels = True
    includes_task_loss = True
    # Cross-entropy stays.
    is_zero_at_teacher = False

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the terms "cross_entropy" and "tfkd_self", weighed."""
        ours, theirs = at_least_float32(*both_logits(student, teacher))
        own = self_teacher_loss(ours, theirs, self.temperature)
        return {
            "tfkd_self": self.alpha * self.multiplier * own,
            "cross_entropy": (1 - self.alpha) * functional.cross_entropy(ours, batch.labels),
        }


@METHODS.register("tfkd_reg")
@dataclass(frozen=True, kw_only=True)
class VirtualTeacher(LossMethod):
    """Tf-KD regularisation (Yuan et al. 2020): a hand-made teacher that is nearly always right."""

    alpha: float = option(
        0.1, "share of the virtual teacher; the rest is cross-entropy", low=0, high=1
    )
    temperature: float = option(20.0, "divides the virtual probabilities", above=0)
    multiplier: float = option(1.0, "further factor of the virtual teacher", low=0)
    correct_probability: float = option(0.99, "of the true class", above=0, high=1)

    name = "tfkd_reg"
    family = "teacher-free"
    formula = "(1 − α) CE + α m KL(softmax(p / T) ‖ softmax(z_s)) / C"
    paper = "Yuan et al. 2020, arXiv:1909.11723"
    needs = frozenset({Signal.LOGITS})
    needs_labels = True
    uses_teacher = False
    includes_task_loss = True

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the terms "cross_entropy" and "tfkd_reg", weighed."""
        del teacher
        (logits,) = at_least_float32(student.need(Signal.LOGITS))
        virtual = virtual_teacher_loss(
            logits,
            batch.labels,
            temperature=self.temperature,
            correct_probability=self.correct_probability,
        )
        return {
            "tfkd_reg": self.alpha * self.multiplier * virtual,
            "cross_entropy": (1 - self.alpha) * functional.cross_entropy(logits, batch.labels),
        }


@METHODS.register("cskd")
@dataclass(frozen=True, kw_only=True)
class ClassWise(LogitMethod):
    """CS-KD (Yun et al. 2020): two samples of a class predict alike.

    A partner of the same class is drawn for every sample; a step costs two forward passes. The
    partner carries no gradient.
    """

    temperature: float = option(4.0, "softening divisor of both logits", above=0)

    name = "cskd"
    family = "teacher-free"
    formula = "T² KL(softmax(z(x′) / T) ‖ softmax(z(x) / T)), x′ of the same class"
    paper = "Yun et al. 2020, arXiv:2003.13964"
    needs_labels = True
    uses_teacher = False

    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the divergence from a classmate."""
        del labels
        return soft_target_loss(student, teacher, self.temperature)

    def own_source(self) -> TeacherSource:
        """Return the student's view of a classmate of each sample."""
        return ClassmateSource()


@METHODS.register("pskd")
@dataclass(frozen=True, kw_only=True)
class ProgressiveSelf(LossMethod):
    """PS-KD (Kim et al. 2021): targets drift from the labels to the student's own last predictions.

    The teacher source is the student of one epoch ago; trust grows linearly with training.
    """

    trust: float = option(0.8, "share of own predictions at the end", low=0, high=1)

    name = "pskd"
    family = "teacher-free"
    formula = "CE(z_s, (1 − a) y + a softmax(z_s one epoch ago)), a = trust · epochs done"
    paper = "Kim et al. 2021, arXiv:2006.12000"
    needs = frozenset({Signal.LOGITS})
    needs_labels = True
    includes_task_loss = True
    is_zero_at_teacher = False

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the cross-entropy as the term "pskd"."""
        ours, past = at_least_float32(*both_logits(student, teacher))
        trust = self.trust * batch.epoch_ratio
        return {"pskd": progressive_target_loss(ours, past, batch.labels, trust)}

    def own_source(self) -> TeacherSource:
        """Return the student of one epoch ago."""
        return PastSelfSource()
