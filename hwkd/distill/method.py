"""What a distillation method is: options, needs and a way to get its loss for one run.

A method is data. `LossMethod`s are their own loss; a `TrainedMethod` builds a module with the
parameters or buffers it needs (adapters, memory banks), which belongs to the run and never to the
student.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from torch import Tensor, nn

from hwkd.core.errors import ConfigError
from hwkd.core.head import Head
from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.teaching import TeacherLesson, TeacherSource
from hwkd.distill.written_options import written

Family: TypeAlias = Literal[
    "response", "feature", "relation", "contrastive", "weights", "gradient", "attention",
    "maps", "teacher-free", "control",
]  # fmt: skip
Shape: TypeAlias = tuple[int, ...]
_LAYERED = frozenset(
    {Signal.FEATURES, Signal.PREACTIVATIONS, Signal.ATTENTION, Signal.VALUES, Signal.WEIGHTS}
)
_OF_CLASSES = frozenset({Signal.LOGITS})


class Loss(Protocol):
    """Compares two networks on a batch and returns named, unweighted scalars."""

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return scalars by term name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewShapes:
    """Shapes of a network's views, batch axis left out."""

    logits: Shape | None = None
    embedding: Shape | None = None
    features: tuple[Shape, ...] = ()
    preactivations: tuple[Shape, ...] = ()
    attention: tuple[Shape, ...] = ()
    values: tuple[Shape, ...] = ()
    weights: tuple[Shape, ...] = ()

    @classmethod
    def of(cls, views: Views) -> ViewShapes:
        """Read the shapes off one batch; weights have no batch axis and keep all of theirs."""
        return cls(
            logits=None if views.logits is None else tuple(views.logits.shape[1:]),
            embedding=None if views.embedding is None else tuple(views.embedding.shape[1:]),
            features=tuple(tuple(t.shape[1:]) for t in views.features),
            preactivations=tuple(tuple(t.shape[1:]) for t in views.preactivations),
            attention=tuple(tuple(t.shape[1:]) for t in views.attention),
            values=tuple(tuple(t.shape[1:]) for t in views.values),
            weights=tuple(tuple(t.shape) for t in views.weights),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunShapes:
    """What a method may know before a run: shapes of both sides and sizes of the data.

    Attributes:
        student: shapes of the student's views, layer pairs already chosen.
        teacher: the same for the teacher.
        samples: rows of the training split (unlabelled ones included).
        batch: samples per step.
        head: what outputs mean, for methods that are about more than their numbers.
        has_unlabelled: some samples have no target.
        inputs: shape of an input, without batch; None where nobody knows.
        beside_teacher: tensors of what the teacher was trained with, see `teacher_lesson`.
    """

    student: ViewShapes
    teacher: ViewShapes
    samples: int
    classes: int
    batch: int
    seed: int = 0
    of_classes: bool = True
    inputs: Shape | None = None
    head: Head | None = None
    has_unlabelled: bool = False
    beside_teacher: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def edges(self) -> int | None:
        """How many outputs are edges of things, see `hwkd.core.head.OutputKind`."""
        return None if self.head is None else self.head.kind.edges


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionRange:
    """What an option means and may be; shown by `hwkd methods show`."""

    meaning: str
    above: float | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def describe(self, default: object = None) -> str:
        """Return the allowed values in words.

        Args:
            default: of the option, whose type its values have; None is a number or a choice.
        """
        if isinstance(default, bool):
            return "true or false"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        low = f"> {self.above:g}" if self.above is not None else None
        if self.low is not None:
            low = f">= {self.low:g}"
        high = f"<= {self.high:g}" if self.high is not None else None
        return " and ".join(part for part in (low, high) if part) or "any number"

    def allows(self, value: object) -> bool:
        """Tell whether a value is allowed; None means that the option is off."""
        if value is None or isinstance(value, bool):
            return True
        if isinstance(value, str):
            return value in self.choices
        if not isinstance(value, int | float):
            return False
        return (
            value == value
            and abs(value) != float("inf")
            and (self.above is None or value > self.above)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )


def option(default: Any, meaning: str, **limits: Any) -> Any:
    """Declare an option of a method; `limits` are the fields of `OptionRange`."""
    return field(default=default, metadata={"range": OptionRange(meaning=meaning, **limits)})


def option_facts(owner: Any) -> tuple[Mapping[str, Any], ...]:
    """Return name, default, allowed values and meaning of every option, for people.

    Args:
        owner: a data class whose fields are made by `option`.
    """
    return tuple(
        {
            "name": entry.name,
            "default": entry.default,
            "allowed": entry.metadata["range"].describe(entry.default),
            "meaning": entry.metadata["range"].meaning,
        }
        for entry in fields(owner)
    )


@dataclass(frozen=True, kw_only=True)
class Configured:
    """What a user chose by name and set by options: they are its fields.

    Attributes:
        kind: what it is, or the option that takes it, for messages.
        name: by which it is known.
    """

    kind: ClassVar[str]
    name: ClassVar[str]

    def __post_init__(self) -> None:
        """Refuse options outside their range.

        Raises:
            ConfigError: names the option, the value and what is allowed.
        """
        for entry in fields(self):
            allowed: OptionRange | None = entry.metadata.get("range")
            value = getattr(self, entry.name)
            if allowed is not None and not allowed.allows(value):
                raise ConfigError(
                    f"{self.kind} {self.name}: {entry.name}={value} must be {allowed.describe()}"
                )

    def describe(self) -> str:
        """Return it as a user would write it."""
        shown = ",".join(f"{f.name}={written(getattr(self, f.name))}" for f in fields(self))
        return f"{self.name}:{shown}"


@dataclass(frozen=True, kw_only=True)
class Method(Configured, ABC):
    """A configured distillation method; its fields are its options.

    Attributes:
        min_batch: smallest batch with a defined value and a gradient.
        min_classes: smallest class count with a gradient.
        cacheable: the teacher's side depends on the sample (and copy) only, so it can be stored.
        looks_up_answers: answers that a teacher gave once, moved as the inputs are, do for it where
            it looks at layers, too; these alone are then run.
        float32_only: overflows or cancels in half precision; the criterion leaves autocast.
        needs_labels: cannot use unlabelled samples.
        of_things: about boxes or points that targets hold.
        needs_edges: about the edges of boxes, which points do not have.
        of_kind: name of the only kind of outputs (`hwkd.core.head.OUTPUT_KINDS`) that it means
            something for; None of methods that are not bound to one.
        includes_task_loss: the published form contains cross-entropy; the criterion adds none.
        pairs_layers: features arrive as chosen pairs; False gives every stage of both sides.
        pools: maps of different sizes are pooled to the smaller height and width.
        needs_positions: normalises each map over its positions, so one position has no gradient.
        in_squares: takes a student's maps before a last layer repeats them in squares.
        compares_raw_logits: reads more of a teacher's logits than their softmax, so that one which
            rules a class out has no finite value for it.
        is_zero_at_teacher: the loss is 0 when the student's views equal the teacher's.
        usual_weight: weight of the term when the user gives none, with cross-entropy at 1.
        auxiliary_terms: beginnings of term names that train the method's own module only and
            have no gradient at the student.
        family, formula, paper, evidence: for `hwkd methods show`.
    """

    kind = "method"
    family: ClassVar[Family]
    formula: ClassVar[str]
    paper: ClassVar[str]
    evidence: ClassVar[str] = "none published for students under 100k parameters"
    needs: ClassVar[frozenset[Signal]]
    min_batch: ClassVar[int] = 1
    min_classes: ClassVar[int] = 2
    cacheable: ClassVar[bool] = True
    looks_up_answers: ClassVar[bool] = False
    float32_only: ClassVar[bool] = False
    uses_teacher: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False
    of_things: ClassVar[bool] = False
    needs_edges: ClassVar[bool] = False
    of_kind: ClassVar[str | None] = None
    includes_task_loss: ClassVar[bool] = False
    pairs_layers: ClassVar[bool] = True
    pools: ClassVar[bool] = True
    needs_positions: ClassVar[bool] = False
    in_squares: ClassVar[bool] = False
    compares_raw_logits: ClassVar[bool] = False
    is_zero_at_teacher: ClassVar[bool] = True
    usual_weight: ClassVar[float] = 1.0
    auxiliary_terms: ClassVar[tuple[str, ...]] = ()

    @property
    def asks_teacher(self) -> bool:
        """Whether a teacher must be given."""
        return self.uses_teacher and self.own_source() is None

    @property
    def needs_logits_alone(self) -> bool:
        """Whether it runs wherever the logits of a teacher are known, for any sample."""
        is_free = self.cacheable and not self.needs_labels
        return self.asks_teacher and is_free and self.needs == frozenset({Signal.LOGITS})

    @property
    def suits_values(self) -> bool:
        """Whether it means something where outputs are values and no logits of classes."""
        return not (self.needs & _OF_CLASSES or self.needs_labels or self.includes_task_loss)

    @property
    def paired_signals(self) -> frozenset[Signal]:
        """Signals of which a layer of the student is compared with a layer of the teacher."""
        return self.needs & _LAYERED if self.pairs_layers and self.uses_teacher else frozenset()

    def needs_at(self, epoch_ratio: float) -> frozenset[Signal]:
        """Return what it looks at at one moment: of a teacher, no more is run for it.

        Args:
            epoch_ratio: how much of the training is done, 0 to 1.
        """
        del epoch_ratio
        return self.needs

    def own_source(self) -> TeacherSource | None:
        """Return a new source that teaches in place of the run's teacher; None: there is none."""
        return None

    def teacher_lesson(self) -> TeacherLesson | None:
        """Return how a teacher that is trained here is to be trained for this; None: by labels."""
        return None

    def refusal(self, shapes: RunShapes) -> str | None:
        """Return why this run cannot use the method, or None; beyond batch and class counts."""
        del shapes
        return None

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name what is trained between the two layers of a pair; empty if nothing is."""
        del channels, teacher_channels
        return ""

    def no_teacher_control(self) -> Method | None:
        """Return what applies the same transform to the labels alone, or None if there is none."""
        return None

    @abstractmethod
    def build(self, shapes: RunShapes) -> Loss:
        """Return the loss of one run."""


class LossMethod(Method):
    """A method without parameters: calling it is the loss."""

    @abstractmethod
    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return named, unweighted scalars."""

    def build(self, shapes: RunShapes) -> Loss:
        """Return the method itself."""
        del shapes
        return self


class TrainedMethod(Method):
    """A method with parameters or buffers of its own, for example adapters."""

    @abstractmethod
    def build(self, shapes: RunShapes) -> nn.Module:
        """Return a module called as `Loss`; its parameters are trained beside the student's."""


def both_logits(student: Views, teacher: Views) -> tuple[Tensor, Tensor]:
    """Return the student's and the teacher's logits."""
    return student.need(Signal.LOGITS), teacher.need(Signal.LOGITS)


def pair_term(name: str, pair: int) -> str:
    """Return the term name of a layer pair, so that pairs are logged and weighted apart."""
    return f"{name}.{pair + 1}"
