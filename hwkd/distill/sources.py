"""Where a teacher's views come from: run, looked up, averaged, or made by the student itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwkd.core.errors import TeacherError
from hwkd.core.signals import Batch, Signal, Views, moved
from hwkd.core.teaching import StillSource, TrainingSet, TrainingStep
from hwkd.distill.method import ViewShapes
from hwkd.distill.no_teacher import label_logits
from hwkd.distill.pair_sampler import PairSampler
from hwkd.distill.taps import Places, Taps

_SHAPED = tuple(entry.name for entry in fields(ViewShapes))


class LiveSource(StillSource):
    """Runs the teacher on every batch."""

    cached = None

    def __init__(
        self,
        network: nn.Module,
        places: Places,
        needs: frozenset[Signal],
        *,
        shown: Callable[[Tensor], Tensor] | None = None,
        outputs_of: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
        beside: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Prepare taps; the network is put in evaluation mode and frozen.

        Args:
            shown: inputs of a batch -> what the teacher is shown; None shows them as they are.
            outputs_of: its answers -> outputs of the head (`Head.of_teacher`); None takes them for
                outputs, as they also are where losses differentiate the teacher.
            beside: what was trained beside it, see `hwkd.core.teaching.TeacherLesson`.
        """
        self._beside = beside or {}
        network.eval()
        network.requires_grad_(False)
        self._taps = Taps(network, places, needs, shown=shown)
        self._differentiates = Signal.INPUTS in needs
        self._outputs_of = outputs_of
        self._shapes: ViewShapes | None = None
        self._layers: Mapping[Signal, int] | None = None

    @property
    def beside(self) -> Mapping[str, Tensor]:
        """Tensors of what the teacher was trained with."""
        return self._beside

    def start(self, student: nn.Module, data: TrainingSet) -> None:
        """Show everything that is tapped, until it is narrowed."""
        del student, data
        self._layers = self._shapes = None

    def narrow(self, layers: Mapping[Signal, int], *, with_logits: bool) -> None:
        """Run no layer behind the last one that is looked at."""
        self._layers = None if with_logits else dict(layers)
        self._shapes = None

    def views(self, batch: Batch) -> Views:
        """Run the teacher, or what is looked at of it.

        Raises:
            TeacherError: if its shapes change from batch to batch.
        """
        with torch.set_grad_enabled(self._differentiates):
            if self._layers is None:
                views = self._taps.read(batch.inputs)
            else:
                views = self._taps.read_first(batch.inputs, self._layers)
        shapes = ViewShapes.of(views)
        if self._shapes is None:
            self._shapes = shapes
        elif shapes != self._shapes:
            before, after = self._shapes, shapes
            name = next(s for s in _SHAPED if getattr(before, s) != getattr(after, s))
            raise TeacherError(
                f"the teacher's {name} changed shape between batches: "
                f"{getattr(before, name)} and then {getattr(after, name)}; give a teacher whose "
                "shapes depend on the input's shape only"
            )
        if self._differentiates:
            return views
        views = views.map(Tensor.detach)
        if self._outputs_of is None or views.logits is None:
            return views
        answers = views.need(Signal.LOGITS)
        outputs = self._outputs_of(answers.float().cpu().numpy())
        return replace(views, logits=torch.from_numpy(outputs).to(answers.device))


class CachedSource(StillSource):
    """Looks up views that were computed once, by sample and augmented copy."""

    def __init__(
        self, logits: Sequence[Tensor], *, embedding: Sequence[Tensor] | None = None
    ) -> None:
        """Keep the stored tensors.

        Args:
            logits: one [samples, classes] tensor per augmented copy, of any float type.
            embedding: one [samples, dim] tensor per augmented copy, or None.

        Raises:
            TeacherError: if the two hold different numbers of copies or samples.
        """
        if embedding is not None and [len(e) for e in embedding] != [len(z) for z in logits]:
            raise TeacherError("cached logits and embeddings hold different samples or copies")
        self._logits = tuple(logits)
        self._embedding = None if embedding is None else tuple(embedding)
        self._edges = 0
        held = {Signal.LOGITS} if embedding is None else {Signal.LOGITS, Signal.EMBEDDING}
        self.cached = frozenset(held)

    def start(self, student: nn.Module, data: TrainingSet) -> None:
        """Take note of which outputs change names where pictures are mirrored or turned."""
        del student
        self._edges = data.head.kind.edges or 0

    def views(self, batch: Batch) -> Views:
        """Return the rows of this batch, as float32."""
        embedding = None
        if self._embedding is not None:
            embedding = self._embedding[batch.copy].index_select(0, batch.sample_ids).float()
        logits = self._logits[batch.copy].index_select(0, batch.sample_ids)
        shown = moved(logits, batch.positions, edges=self._edges)
        return Views(logits=shown.float(), embedding=embedding)


class AnsweredSource(StillSource):
    """Runs a teacher for what it shows inside, and looks up what it says of the data's classes."""

    cached = None

    def __init__(self, live: LiveSource, answers: CachedSource) -> None:
        """Keep both."""
        self._live = live
        self._answers = answers

    @property
    def beside(self) -> Mapping[str, Tensor]:
        """Tensors of what the teacher was trained with."""
        return self._live.beside

    def start(self, student: nn.Module, data: TrainingSet) -> None:
        """Start both."""
        self._live.start(student, data)
        self._answers.start(student, data)

    def narrow(self, layers: Mapping[Signal, int], *, with_logits: bool) -> None:
        """Run no layer behind the last one that is looked at: logits are looked up."""
        del with_logits
        self._live.narrow(layers, with_logits=False)

    def views(self, batch: Batch) -> Views:
        """Return the layers of the one and the answers of the other."""
        return replace(self._live.views(batch), logits=self._answers.views(batch).logits)


class FunctionSource(StillSource):
    """Asks a function of arrays, such as an ONNX session, for logits."""

    def __init__(self, logits_of: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        """Keep the function: inputs [n, *input_shape] -> logits [n, classes]."""
        self._logits_of = logits_of
        self.cached = frozenset({Signal.LOGITS})

    def views(self, batch: Batch) -> Views:
        """Run the function on the batch."""
        inputs = np.ascontiguousarray(batch.inputs.detach().cpu().numpy(), dtype=np.float32)
        logits = torch.from_numpy(np.array(self._logits_of(inputs))).to(batch.inputs.device)
        return Views(logits=logits.float())


class PastSelfSource(StillSource):
    """The student's own logits of one epoch ago, sample by sample; at first, its labels."""

    cached = frozenset({Signal.LOGITS})

    def start(self, student: nn.Module, data: TrainingSet) -> None:
        """Begin with nothing seen."""
        del student
        samples, device = len(data.labels), data.labels.device
        self._logits = torch.zeros(samples, data.head.size, device=device)
        self._is_seen = torch.zeros(samples, dtype=torch.bool, device=device)

    def views(self, batch: Batch) -> Views:
        """Return what was observed for these samples when they were last drawn."""
        fresh = label_logits(batch.labels, self._logits.shape[1], 0.999)
        seen = self._is_seen[batch.sample_ids][:, None]
        return Views(logits=torch.where(seen, self._logits[batch.sample_ids], fresh))

    def observe(self, step: TrainingStep) -> None:
        """Remember the student's logits of this step."""
        logits = step.student.need(Signal.LOGITS).detach()
        self._logits[step.batch.sample_ids] = logits.to(self._logits.dtype)
        self._is_seen[step.batch.sample_ids] = True

    def state(self) -> Mapping[str, Tensor]:
        """Return what was observed."""
        return {"logits": self._logits, "is_seen": self._is_seen}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore it."""
        self._logits.copy_(state["logits"])
        self._is_seen.copy_(state["is_seen"])


class ClassmateSource(StillSource):
    """The student's own logits of another sample of the same class."""

    cached = frozenset({Signal.LOGITS})

    def start(self, student: nn.Module, data: TrainingSet) -> None:
        """Sort the samples by class."""
        self._student = student
        self._copies = data.copies
        self._partners = PairSampler(data.labels, seed=data.seed)

    @torch.no_grad()
    def views(self, batch: Batch) -> Views:
        """Run the student on a partner of each sample."""
        partners = self._partners.partners(batch.sample_ids)
        logits: Tensor = self._student(self._copies[batch.copy].index_select(0, partners))
        return Views(logits=logits.float())

    def state(self) -> Mapping[str, Tensor]:
        """Return how far the draws are."""
        return {"draws": self._partners.generator.get_state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore it."""
        self._partners.generator.set_state(state["draws"])
