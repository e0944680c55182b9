"""What the outputs of a network mean: how they are learned, scored and compared with a teacher's.

Training, distillation and the engine ask a head and never look at outputs themselves, so a task is
free to be about something else than classes. `hwkd.tasks` has the heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hwkd.core.class_scores import F1, PRECISION, RECALL, ClassScores
from hwkd.core.decision_record import Confusion, CountRecord, DecisionRecord
from hwkd.core.metric import Metric, Scores
from hwkd.core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from hwkd.core.arrays import AnyArray, Doubles, Flags, Floats, Ints

# Names of kinds that some methods are for.
CLASS_MAPS, PICTURES = "class maps", "pictures"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputForm:
    """The outputs of one network, as records have them.

    Attributes:
        names: of the outputs.
        mean: `Head.answer_mean`.
        std: `Head.answer_std`.
        decision: the threshold; None where there is none.
    """

    names: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    decision: DecisionRecord | None = None


def value_names(count: int) -> tuple[str, ...]:
    """Return names of so many values that nobody named."""
    return tuple(f"value {number}" for number in range(1, count + 1))


def are_given(names: Sequence[str]) -> bool:
    """Tell whether somebody gave the names of values: they are not those of `value_names`."""
    return tuple(names) != value_names(len(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class CAnswer:
    """C with which firmware reads the answer of the last inference.

    Attributes:
        usage: statements for a reader of the README.
        printed: statements of main.c that print what the network says of the recorded sample.
        of_classes: outputs are logits of classes.
        decision: by which what listens to a stream counts a class as heard; None where it has none.
        compares: it needs `model_squared_difference()` of prepared input and outputs, of each value
            this much at most; None needs none.
    """

    usage: str
    printed: str
    declared: str
    body: str
    of_classes: bool = False
    decision: DecisionRecord | None = None
    compares: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputKind:
    """What outputs of one kind mean, for whoever has a record of them and no head.

    Attributes:
        name: as records hold it, in the plural.
        of_classes: they are logits of classes: what smooths, softens or compares classes has a
            meaning.
        of_maps: an output is a map of the picture, and targets move with their pictures.
        of_squares: the loss takes outputs that are yet to be repeated in squares, too, to the same
            result in less time.
        cell_pixels: side of the square of the picture that a position of such a map is for.
        edges: how many outputs, the last, are edges of things (left, top, right, bottom), whose
            boxes are the targets; None where outputs are about no things.
        begins_at: what outputs, but for edges, should be before any training: 0, or the logit of
            how seldom there is something, from which rare things are learned in less time.
        plain_training: what training on targets alone is called.
        answers: names of what is decided, where that is no output by its name.
        class_scores: names of what is told of each class, the first what the mean is of.
        counted: what is of a class, in the plural.
        pictured: what the parts of a drawn example are; empty where none is drawn.
        divergence_unit: of `Head.divergence`.
        intended_use: number of outputs, and their names as text -> sentences of the model card.
        answer_rule: what the answer is, for readers of a README.
        python: statement that prints the answers of `outputs` by the `facts` that lie in an ONNX
            file; empty where hwkd itself is needed.
        answer: the C that reads answers.
        head: a head that scores and answers, without a threshold; what only training needs of it is
            not recorded.
    """

    name: str
    of_classes: bool
    plain_training: str
    divergence_unit: str
    intended_use: Callable[[int, str], str]
    answer_rule: str
    answer: Callable[[OutputForm], CAnswer]
    head: Callable[[OutputForm], Head]
    python: str = ""
    answers: tuple[str, ...] = ()
    class_scores: tuple[str, ...] = (PRECISION, RECALL, F1)
    counted: str = "examples"
    pictured: str = ""
    of_maps: bool = False
    of_squares: bool = False
    cell_pixels: int = 1
    edges: int | None = None
    begins_at: float = 0.0

    def told(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those names of outputs that a reader of answers has a use for; the C holds them.

        None of values that nobody named, nor of outputs that are no answers.
        """
        is_named = self.of_classes or self.of_maps or are_given(names)
        return tuple(names) if is_named and not self.answers else ()

    def begin(self, bias: Tensor | None) -> None:
        """Set the bias of outputs to what they begin at.

        Source:
            Lin et al. 2017, arXiv:1708.02002, section 4.1: else that nothing is there is all that
            a network learns at first.
        """
        if bias is not None and self.begins_at:
            bias.detach()[: len(bias) - (self.edges or 0)] = self.begins_at


OUTPUT_KINDS: Registry[OutputKind] = Registry("kind of output")


@runtime_checkable
class WeighsClasses(Protocol):
    """A head whose loss may count some classes more than others."""

    @property
    def weights(self) -> tuple[float, ...]:
        """What each class counts; none is 1 for all."""
        ...


@runtime_checkable
class SettlesOutputs(Protocol):
    """A head whose scores are best with outputs that are moved after the training."""

    def offsets(self, outputs: Floats, targets: AnyArray) -> Floats:
        """Return what to add to each output, shape [outputs], for the best score."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """Whether outputs are more than guesses.

    Attributes:
        what: is measured, for people.
        value: reached; larger is better.
        needed: from which on outputs are more than guesses.
        least: below which they are wrong more often than guesses; None where that is not known.
    """

    what: str
    value: float
    needed: float
    least: float | None = None

    @property
    def is_below_chance(self) -> bool:
        """Whether the outputs are wrong more often than guesses are."""
        return self.least is not None and self.value < self.least

    @property
    def is_enough(self) -> bool:
        """Whether the outputs are more than guesses."""
        return self.value >= self.needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A change of all outputs alike after which they agree better with the targets.

    Attributes:
        outputs: outputs before -> after.
        says: the change in words, for people; empty when nothing changes.
    """

    outputs: Callable[[Floats], Floats]
    says: str
    advice: str


class Head(Protocol):
    """The outputs of a network for one data set.

    `outputs` have the shape [n, size]; targets are int64 class indices of shape [n], or float32
    values of shape [n, size]. Maps have height and width behind that: outputs [n, size, height,
    width], targets int16 class indices [n, height, width], pictures, float32 [n, size, height,
    width], or boxes, float32 [n, most, 5], see `hwkd.core.boxes`.
    """

    @property
    def kind(self) -> OutputKind:
        """Which of `OUTPUT_KINDS` the outputs are."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each output, in order."""
        ...

    @property
    def size(self) -> int:
        """Number of outputs."""
        ...

    @property
    def answer_mean(self) -> tuple[float, ...]:
        """Added to outputs times `answer_std`, it gives values in their unit; none of classes."""
        ...

    @property
    def answer_std(self) -> tuple[float, ...]:
        """See `answer_mean`."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What `scores` returns; the first is the primary one."""
        ...

    @property
    def loss_name(self) -> str:
        """Name of the term that `loss` is, in training histories."""
        ...

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        *,
        smoothing: float = 0.0,
        some_unlabelled: bool = False,
    ) -> Tensor:
        """Return what training on targets minimises, a scalar.

        Args:
            outputs: of a batch, float32.
            smoothing: share of a class target that goes evenly to all classes, 0 to 1; heads
                without classes have no use for it.
            some_unlabelled: samples may have no target; they add nothing, and the others are
                still divided by the size of the batch, as the teacher's terms are: where targets
                are few, a mean over those of a batch would be a step on one or two samples.
        """
        ...

    def scores(self, outputs: Floats, targets: AnyArray, wholes: Ints | None = None) -> Scores:
        """Return every metric's value.

        Args:
            wholes: number of the recording that each example is cut from, for metrics of those;
                None takes each example for one.
        """
        ...

    def confusion(self, outputs: Floats, targets: AnyArray) -> Confusion:
        """Return how often each class was taken for which; none without classes."""
        ...

    def by_class(self, outputs: Floats, targets: AnyArray) -> tuple[ClassScores, ...]:
        """Return what `OutputKind.class_scores` names, of each class; none without classes."""
        ...

    def decide(
        self,
        outputs: Floats,
        targets: AnyArray,
        wholes: Ints | None = None,
    ) -> DecisionRecord | None:
        """Choose the threshold that suits a network's outputs on validation; None needs none.

        Args:
            wholes: see `scores`.
        """
        ...

    def falsely(
        self,
        outputs: Floats,
        targets: AnyArray,
        wholes: Ints | None = None,
    ) -> CountRecord | None:
        """Count what a threshold is to keep rare, at the head's own; None where it has none.

        Args:
            wholes: see `scores`.
        """
        ...

    def at(self, decision: DecisionRecord | None) -> Head:
        """Return the head with a threshold; None chooses one for whatever it scores."""
        ...

    def errors(self, outputs: Floats, targets: AnyArray) -> Doubles:
        """Return each example's error, shape [n]: 0 is best, 1 about what knowing nothing gives."""
        ...

    def blind_error(self, targets: AnyArray) -> float:
        """Return the mean error of the best answer that does not look at its input."""
        ...

    def divergence(self, outputs: Floats, teacher: Floats, *, temperature: float) -> float:
        """Return how far outputs are from a teacher's, at least 0.

        Classes: nats at the temperature. Values: mean squared difference, in variances of the
        targets.
        """
        ...

    def of_teacher(self, answers: Floats) -> Floats:
        """Return the answers of a user's teacher as outputs of this head.

        Classes: probabilities become their logarithms. Values: a teacher answers in units of the
        target.
        """
        ...

    def mean_of(self, answers: Sequence[Floats]) -> Floats:
        """Return what several teachers say together, as outputs of this head."""
        ...

    def centred(self, outputs: Floats) -> Floats:
        """Return outputs that mean the same and are no larger than they must be."""
        ...

    def knowledge(self, outputs: Floats, targets: AnyArray) -> Knowledge:
        """Say whether outputs are more than guesses."""
        ...

    def correction(self, outputs: Floats, targets: AnyArray) -> Correction:
        """Find what a user's teacher may have got wrong with all its outputs.

        Classes: their order. Values: scale and offset.
        """
        ...

    def answers(self, outputs: Floats, inputs: Floats) -> AnyArray:
        """Return what a user is told of each output: the likeliest name, or values in their unit.

        Shape [n], or [n, size]; `inputs` are those of the network.
        """
        ...

    def targets(self, labels: AnyArray, inputs: Floats) -> AnyArray:
        """Return targets of labels as a user has them: names or numbers, or values in their unit.

        Args:
            labels: as `Task.labelled` reads them.
            inputs: of the network, which are what some heads learn to repeat.

        Raises:
            DataError: if one is of no class.
        """
        ...

    def answer_text(self, target: Any) -> str:
        """Return the target of one example as a person would say it."""
        ...

    def is_labelled(self, targets: AnyArray) -> Flags:
        """Tell which samples have a target, shape [n]."""
        ...

    def unlabelled(self, count: int) -> AnyArray:
        """Return targets of so many samples without one."""
        ...
