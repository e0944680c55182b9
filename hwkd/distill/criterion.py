"""The loss of a distillation run: hard labels and any number of weighted, scheduled methods.

`DistillCriterion` is what `hwkd.train.loop` minimises. It owns what the methods train beside the
student, runs the student through its taps once per step, asks the source for the teacher's side and
logs what each term weighs and pulls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.teaching import TeacherSource, TrainingSet, TrainingStep
from hwkd.distill.checks import refuse_impossible, refuse_missing_taps, refuse_of_classes
from hwkd.distill.gradient_norms import ZeroGradientGuard, gradient_norms
from hwkd.distill.method import Loss, LossMethod, Method, RunShapes, ViewShapes, pair_term
from hwkd.distill.pairing import LayerPair, chosen_pairs, common_positions, propose_pairs
from hwkd.distill.schedules import at_temperature
from hwkd.distill.spec import WeightedMethod, require_combinable
from hwkd.distill.squares import before_repeats, squares_of
from hwkd.distill.taps import Places, Taps

_PROBE_SAMPLES = 4
# Beginning of the names of a source's tensors in a checkpoint.
_SOURCE = "source."
# Of what is known of the gradients of the terms.
_GRADIENTS = "gradients."
# Name of the run's source there; those that methods bring have the methods' names.
_SHARED = "teacher"


@dataclass(slots=True, kw_only=True)
class _Term:
    """One method in this run."""

    entry: WeightedMethod
    loss: Loss
    source: TeacherSource | None
    student_layers: dict[Signal, tuple[int, ...]]
    teacher_layers: dict[Signal, tuple[int, ...]]
    importance: Mapping[str, float]


class DistillCriterion:
    """The loss of the labels and distillation terms; see `hwkd.train.loop.Criterion`.

    Attributes:
        pairs: method name -> layer pairs in use, for the user to see.
    """

    def __init__(
        self,
        methods: Sequence[WeightedMethod],
        *,
        student: nn.Module,
        student_places: Places,
        source: TeacherSource | None,
        data: TrainingSet,
        importance: Sequence[float] | None = None,
        steps_between_norms: int = 1,
    ) -> None:
        """Check every method against both networks and build its adapters.

        Args:
            methods: to combine; none is the labels alone.
            student: in the state that training starts from; probed on a few samples.
            source: the teacher's views; None for teacher-free methods.
            importance: per student stage, multiplies that stage's terms; None is 1.
            steps_between_norms: gradient norms, a backward pass per term, are measured at most once
                in as many steps; epochs without a measurement have none.

        Raises:
            ConfigError: if a method cannot run here; says why.
        """
        require_combinable(methods)
        for entry in methods:
            refuse_of_classes(entry.method, data.head.kind)
        self._data = data
        self._taps = Taps(student, student_places, needed_signals(methods))
        self._source = source
        self._has_unlabelled = _has_unlabelled(data)
        self._guard = ZeroGradientGuard()
        self._wants_norms = True
        self._steps_between_norms = steps_between_norms
        self._steps_since_norms = 0
        self._norms: dict[str, float] = {}
        self.pairs: dict[str, tuple[LayerPair, ...]] = {}
        if source is not None:
            source.start(student, data)
        ours, theirs = self._probe(student)
        self._squares = (1, 1)
        if data.head.kind.of_squares:
            self._squares = squares_of(student, data.copies[0][:_PROBE_SAMPLES])
        self._terms = [self._build(entry, ours, theirs, importance) for entry in methods]
        self._teacher_shapes = theirs
        # What the run's teacher was last told to show: how many layers, and whether its answers.
        self._narrowed: tuple[Mapping[Signal, int], bool] | None = None
        # Those that methods bring themselves start last: a refused method starts nothing.
        self._own_sources = {
            t.entry.method.name: t.source
            for t in self._terms
            if t.source is not None and t.source is not source
        }
        for own in self._own_sources.values():
            own.start(student, data)
        self._owned = nn.ModuleDict(
            {t.entry.method.name: t.loss for t in self._terms if isinstance(t.loss, nn.Module)}
        ).to(data.labels.device)

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Run the student on the batch and return weighted scalar terms by name.

        Raises:
            ZeroGradientError: if a term had no gradient at the student in its first steps.
        """
        # The network may compute in half precision; the losses do not.
        views = self._taps.read(batch.inputs).map(Tensor.float)
        coarse = before_repeats(views, self._squares)
        weighted: dict[str, Tensor] = {}
        raw: dict[str, Tensor] = {}
        factors = [t.entry.schedule.factor(batch.epoch_ratio) * t.entry.weight for t in self._terms]
        active = [(t, factor) for t, factor in zip(self._terms, factors, strict=True) if factor > 0]
        teachers = self._shown([term for term, _ in active], batch)
        if not any(t.entry.method.includes_task_loss for t, _ in active):
            weighted[self._data.head.loss_name] = self._task_loss(coarse, batch)
        for term, factor in active:
            seen = coarse if term.entry.method.in_squares else views
            for name, value in self._evaluate(term, seen, teachers, batch).items():
                raw[name] = value
                weighted[name] = value * (factor * term.importance.get(name, 1.0))
        self._look_at_gradients(module, raw)
        step = TrainingStep(batch=batch, student=views)
        for _, source in self._sources():
            source.observe(step)
        # A stage between two methods without the labels' loss still needs a loss to step on.
        return weighted or {self._data.head.loss_name: 0.0 * views.need(Signal.LOGITS).sum()}

    def parameters(self) -> Sequence[nn.Parameter]:
        """Parameters of adapters, other parts of the methods and teachers; not the student's."""
        owned = [p for p in self._owned.parameters() if p.requires_grad]
        return [*owned, *(p for _, source in self._sources() for p in source.parameters())]

    def take_gradient_norms(self) -> dict[str, float]:
        """Return each term's unweighted gradient norm at the student, and measure again.

        The loop calls this after every epoch, so the norms are those of the epoch's first step;
        none if the last measurement is less than `steps_between_norms` ago.
        """
        norms, self._norms = self._norms, {}
        self._wants_norms = self._steps_since_norms >= self._steps_between_norms
        return norms

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors of adapters, memories and sources, for a checkpoint."""
        state: dict[str, Tensor] = self._owned.state_dict()
        for name, source in self._sources():
            beginning = f"{_SOURCE}{name}."
            state.update({f"{beginning}{n}": tensor for n, tensor in source.state().items()})
        return state | {f"{_GRADIENTS}{n}": t for n, t in self._guard.state().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`."""
        for name, source in self._sources():
            beginning = f"{_SOURCE}{name}."
            own = {n[len(beginning) :]: t for n, t in state.items() if n.startswith(beginning)}
            source.load_state(own)
        seen = {n: t for n, t in state.items() if n.startswith(_GRADIENTS)}
        self._guard.load_state({n.removeprefix(_GRADIENTS): t for n, t in seen.items()})
        owned = {n: t for n, t in state.items() if n not in seen and not n.startswith(_SOURCE)}
        self._owned.load_state_dict(owned)

    def _shown(self, active: Sequence[_Term], batch: Batch) -> dict[str, Views]:
        """Return what teachers show of a batch; what no term of this step looks at is not asked."""
        shown: dict[str, Views] = {}
        needs = {
            term.entry.method.name: term.entry.method.needs_at(batch.epoch_ratio) for term in active
        }
        of_teacher = [
            (term, needs[term.entry.method.name])
            for term in active
            if term.source is self._source and term.entry.method.uses_teacher
        ]
        if self._source is not None and of_teacher:
            wanted = self._looked_at(of_teacher)
            if wanted != self._narrowed:
                layers, with_logits = self._narrowed = wanted
                self._source.narrow(layers, with_logits=with_logits)
            shown[_SHARED] = self._source.views(batch)
        return shown | {
            name: own.views(batch) for name, own in self._own_sources.items() if name in needs
        }

    def _looked_at(
        self, terms: Sequence[tuple[_Term, frozenset[Signal]]]
    ) -> tuple[dict[Signal, int], bool]:
        """Return how many of the teacher's first layers of each signal, and whether its answers.

        Args:
            terms: those that look at it, with what they need.
        """
        found: dict[Signal, int] = {}
        for term, needs in terms:
            for signal in needs - {Signal.LOGITS, Signal.INPUTS, Signal.WEIGHTS}:
                if signal is Signal.EMBEDDING:
                    count = 1
                elif (chosen := term.teacher_layers.get(signal)) is not None:
                    count = 1 + max(chosen, default=-1)
                else:
                    count = len(getattr(self._teacher_shapes, signal.value))
                found[signal] = max(count, found.get(signal, 0))
        return found, any(needs & {Signal.LOGITS, Signal.INPUTS} for _, needs in terms)

    def _sources(self) -> list[tuple[str, TeacherSource]]:
        """Return (name, source): the run's and those that methods bring."""
        shared = [] if self._source is None else [(_SHARED, self._source)]
        return [*shared, *self._own_sources.items()]

    def _evaluate(
        self, term: _Term, student: Views, teachers: Mapping[str, Views], batch: Batch
    ) -> dict[str, Tensor]:
        loss = term.loss
        if isinstance(loss, LossMethod):
            loss = at_temperature(loss, term.entry.schedule, batch.epoch_ratio)
        ours = _chosen(student, term.student_layers)
        name = term.entry.method.name
        teacher = teachers.get(name if name in self._own_sources else _SHARED, Views())
        needs = term.entry.method.needs_at(batch.epoch_ratio)
        theirs = _chosen(teacher, {s: n for s, n in term.teacher_layers.items() if s in needs})
        if not term.entry.method.float32_only:
            return loss(ours, theirs, batch)
        # Autocast would run matrix products in half precision inside the loss.
        with torch.autocast(batch.inputs.device.type, enabled=False):
            return loss(ours, theirs, batch)

    def _task_loss(self, views: Views, batch: Batch) -> Tensor:
        return self._data.head.loss(
            views.need(Signal.LOGITS),
            batch.labels,
            some_unlabelled=self._has_unlabelled,
        )

    def _look_at_gradients(self, module: nn.Module, raw: Mapping[str, Tensor]) -> None:
        judged = {
            n: v for n, v in raw.items() if self._guard.wants(n) and not self._is_auxiliary(n)
        }
        self._steps_since_norms += 1
        looked_at = raw if self._wants_norms else judged
        if not looked_at:
            return
        parameters = [p for p in module.parameters() if p.requires_grad]
        norms = gradient_norms(looked_at, parameters)
        if self._wants_norms:
            self._norms, self._wants_norms, self._steps_since_norms = norms, False, 0
        self._guard.see({name: norms[name] for name in judged})

    def _is_auxiliary(self, name: str) -> bool:
        beginnings = tuple(b for term in self._terms for b in term.entry.method.auxiliary_terms)
        return name.startswith(beginnings) if beginnings else False

    def _probe(self, student: nn.Module) -> tuple[ViewShapes, ViewShapes]:
        """Look at both networks' shapes on a few samples, leaving the student as it was."""
        device = self._data.labels.device
        few = min(_PROBE_SAMPLES, len(self._data.labels))
        batch = self._probe_batch(torch.arange(few, device=device))
        was_training = student.training
        student.eval()
        with torch.no_grad():
            ours = ViewShapes.of(self._taps.read(batch.inputs))
        student.train(was_training)
        if self._source is None:
            return ours, ViewShapes()
        theirs = ViewShapes.of(self._source.views(batch))
        # A whole batch of other samples: a teacher whose shapes change says so before training.
        last = torch.arange(len(self._data.labels), device=device)[-self._data.batch_size :]
        self._source.views(self._probe_batch(last))
        return ours, theirs

    def _probe_batch(self, ids: Tensor) -> Batch:
        return Batch(
            inputs=self._data.copies[0].index_select(0, ids),
            labels=self._data.labels.index_select(0, ids).clamp(min=0),
            sample_ids=ids,
        )

    def _build(
        self,
        entry: WeightedMethod,
        ours: ViewShapes,
        theirs: ViewShapes,
        importance: Sequence[float] | None,
    ) -> _Term:
        method = entry.method
        student_layers: dict[Signal, tuple[int, ...]] = {}
        teacher_layers: dict[Signal, tuple[int, ...]] = {}
        weights: dict[str, float] = {}
        if self._source is not None and self._source.cached is None:
            refuse_missing_taps(method, ours, theirs)
        for signal in method.paired_signals:
            shapes = getattr(ours, signal.value), getattr(theirs, signal.value)
            pairs = chosen_pairs(entry.pairs, *shapes) if entry.pairs else propose_pairs(*shapes)
            if method.needs_positions and not entry.pairs:
                pairs = _with_positions(pairs)
            self.pairs[method.name] = pairs
            student_layers[signal] = tuple(pair.student - 1 for pair in pairs)
            teacher_layers[signal] = tuple(pair.teacher - 1 for pair in pairs)
            for index, pair in enumerate(pairs):
                if importance is not None and pair.student <= len(importance):
                    weights[pair_term(method.name, index)] = importance[pair.student - 1]
        shapes_of_run = RunShapes(
            student=_chosen_shapes(ours, student_layers),
            teacher=_chosen_shapes(theirs, teacher_layers),
            samples=len(self._data.labels),
            classes=self._data.head.size,
            of_classes=self._data.head.kind.of_classes,
            batch=self._data.batch_size,
            seed=self._data.seed,
            head=self._data.head,
            has_unlabelled=self._has_unlabelled,
            inputs=tuple(self._data.copies[0].shape[1:]),
            beside_teacher={} if self._source is None else self._source.beside,
        )
        refuse_impossible(
            method,
            shapes_of_run,
            has_teacher=self._source is not None,
            cached=None if self._source is None else self._source.cached,
            has_unlabelled=self._has_unlabelled,
        )
        return _Term(
            entry=entry,
            loss=_built(method, shapes_of_run),
            source=method.own_source() or self._source,
            student_layers=student_layers,
            teacher_layers=teacher_layers,
            importance=weights,
        )


def _built(method: Method, shapes: RunShapes) -> Loss:
    """Build a loss whose adapters depend on the seed of the run, and not on what ran before."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(shapes.seed)
        return method.build(shapes)


def needed_signals(methods: Sequence[WeightedMethod]) -> frozenset[Signal]:
    """Return what the taps of a run read: the methods' needs, and always the logits."""
    return frozenset({Signal.LOGITS}).union(*(entry.method.needs for entry in methods))


def _with_positions(pairs: Sequence[LayerPair]) -> tuple[LayerPair, ...]:
    """Leave out proposed pairs of one position, unless that is all of them (then it is refused)."""
    kept = [p for p in pairs if common_positions(p.student_shape, p.teacher_shape) > 1]
    return tuple(kept or pairs)


def _chosen(views: Views, layers: Mapping[Signal, tuple[int, ...]]) -> Views:
    if not layers:
        return views
    picked: dict[str, Any] = {
        signal.value: tuple(getattr(views, signal.value)[index] for index in indices)
        for signal, indices in layers.items()
    }
    return replace(views, **picked)


def _chosen_shapes(shapes: ViewShapes, layers: Mapping[Signal, tuple[int, ...]]) -> ViewShapes:
    picked = {
        signal.value: tuple(getattr(shapes, signal.value)[index] for index in indices)
        for signal, indices in layers.items()
    }
    return replace(shapes, **picked)


def _has_unlabelled(data: TrainingSet) -> bool:
    return not data.head.is_labelled(data.labels.cpu().numpy()).all()
