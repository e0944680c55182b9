"""Who teaches, over the life of a training: what a teacher source is and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hwkd.core.head import Head
from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.strict_model import StoredInt

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """What a criterion and its teachers must know about the data.

    Attributes:
        copies: augmented versions of the inputs, each [samples, *input_shape].
        labels: as the head has them; some may be unlabelled.
        batch_size: samples per step.
        seed: of what methods and sources draw.
    """

    copies: Sequence[Tensor]
    labels: Tensor
    head: Head
    batch_size: StoredInt
    seed: StoredInt = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStep:
    """A step that was made, up to its gradients.

    Attributes:
        student: what the student showed for it, with gradients.
    """

    batch: Batch
    student: Views


@runtime_checkable
class RepeatsOutputs(Protocol):
    """A module that may end by repeating its output in squares."""

    def before_repeats(self, x: Tensor) -> Tensor | None:
        """Return the output before it is repeated; None if it is not."""
        ...


class TeacherCriterion(Protocol):
    """What a teacher minimises in place of the labels' loss alone; its own parts are kept."""

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return weighted scalar terms by name, that of the labels under the head's name."""
        ...

    def parameters(self) -> Sequence[nn.Parameter]:
        """Return what is trained beside the teacher."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """Return the tensors of what is trained beside the teacher."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherLesson:
    """How a teacher is trained that brings more than itself.

    Attributes:
        name: says all that decides what is trained, as teachers in the cache are known by it.
        build: (head, shape of an input without batch) -> what is minimised; its weights come from
            torch's current generator.
    """

    name: str
    build: Callable[[Head, tuple[int, ...]], TeacherCriterion]


class TeacherSource(Protocol):
    """Gives the teacher's views of a batch, and lives as long as a training.

    `start` comes first, then `views` and `observe` for every step in turn; `narrow` may come before
    any step once shapes are known, and nobody asks for views at a step that does not look at them.
    Views carry no gradient to a teacher that does not train; `parameters` of one that does belong
    to the loop's optimizer.
    """

    @property
    def cached(self) -> frozenset[Signal] | None:
        """Signals that are stored; None for a source that computes any signal it has places for."""
        ...

    @property
    def beside(self) -> Mapping[str, Tensor]:
        """Tensors of what the teacher was trained with, see `TeacherLesson`; mostly none."""
        ...

    def start(self, student: nn.Module, data: TrainingSet) -> None:
        """Prepare for the training of a student, in the state that it starts from."""
        ...

    def narrow(self, layers: Mapping[Signal, int], *, with_logits: bool) -> None:
        """Take note of what is looked at from here on; more need not be shown.

        Args:
            layers: how many of the first ones of each signal; of an embedding 1.
            with_logits: logits are looked at, too.
        """
        ...

    def views(self, batch: Batch) -> Views:
        """Return what the teacher shows for these samples and this augmented copy."""
        ...

    def observe(self, step: TrainingStep) -> None:
        """Take note of a step."""
        ...

    def parameters(self) -> Sequence[nn.Parameter]:
        """Return what is trained beside the student; usually nothing."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """Return the tensors that a checkpoint must hold."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state`, after `start`."""
        ...


class StillSource:
    """The life of a teacher that does not change while a student trains."""

    @property
    def beside(self) -> Mapping[str, Tensor]:
        """Nothing."""
        return {}

    def start(self, student: nn.Module, data: TrainingSet) -> None:
        """Need nothing."""
        del student, data

    def narrow(self, layers: Mapping[Signal, int], *, with_logits: bool) -> None:
        """Show what there is."""
        del layers, with_logits

    def observe(self, step: TrainingStep) -> None:
        """Learn nothing."""
        del step

    def parameters(self) -> Sequence[nn.Parameter]:
        """Train nothing."""
        return ()

    def state(self) -> Mapping[str, Tensor]:
        """Keep nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Have nothing to restore."""
        del state
