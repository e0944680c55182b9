"""The teacher itself, pruned or split into products of a lower rank, until it costs no more.

Its form is the largest that costs no more on the device than the student; its weights come from
the teacher.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwkd.core.errors import ConfigError
from hwkd.core.measure import CostEstimate
from hwkd.core.student import Layers
from hwkd.core.widened import widened
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.recipes import LOW_RANK, PRUNED
from hwkd.engine.distill.own_model import OwnModel, normalised
from hwkd.engine.distill.resolve import ResolvedStudent
from hwkd.engine.distill.rival import Rival
from hwkd.engine.setup.context import SearchContext
from hwkd.io.student_folder import DESCRIPTION_FILE, FLOAT_FILE, read_student
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.factorised import factor_weights, factorised, is_split
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher_matched import MatchedTeacher

_HALVINGS = 20
_LEAST = 1e-3
# Mean and deviation of a layer's outputs are known to a few per cent from so many.
_EXAMPLES = 512


def pruned(resolved: ResolvedStudent, context: SearchContext, given: str) -> Rival:
    """Return the teacher with its strongest channels alone.

    Raises:
        HwkdError: if its layers cannot be read, or none of its forms is cheap enough.
    """
    del given
    model = _own_model(context)
    found = _cheapest(
        lambda share: _narrowed(model.layers, share), resolved, context, what="with fewer channels"
    )
    if found.layers.key == model.layers.key:
        raise ConfigError("the teacher itself costs no more than the student; nothing is pruned")

    def filled(repetition: int) -> StudentModule:
        seed = derive_seed(context.config.seed, PRUNED, repetition)
        module = build_module(found.layers, seed=seed)
        model.fill(module, np.asarray(context.data.train.inputs[:_EXAMPLES]))
        return module

    form = f"the strongest {found.share:.0%} of the channels of {_name(context)}"
    return _rival(PRUNED, found, filled, form)


def _narrowed(layers: Layers, share: float) -> Layers:
    narrow = widened(layers, share)
    return layers if narrow.key == layers.key else normalised(narrow)


def low_rank(resolved: ResolvedStudent, context: SearchContext, given: str) -> Rival:
    """Return the teacher with layers split into products; see `pruned`."""
    del given
    model = _own_model(context)
    found = _cheapest(
        lambda share: factorised(model.layers, share), resolved, context, what="of rank 1"
    )
    if not is_split(found.layers):
        raise ConfigError("the teacher itself costs no more than the student; nothing is split")
    weights = factor_weights(found.layers, model.weights)

    def filled(repetition: int) -> StudentModule:
        del repetition
        module = build_module(found.layers, seed=0)
        module.begin_with(weights)
        return module

    form = f"layers of {_name(context)} as products of {found.share:.0%} of their rank"
    return _rival(LOW_RANK, found, filled, form)


def _rival(name: str, found: _Found, filled: Callable[[int], StudentModule], form: str) -> Rival:
    """Return a form of the teacher as a rival.

    Args:
        filled: repetition -> its network with weights.
        form: what it is, for people.
    """
    return Rival(
        name=name,
        layers=found.layers,
        begin=lambda repetition, path: save_student(filled(repetition), path),
        says=f"{name.capitalize()}: {form}, {found.said}, fine-tuned at a tenth of the rate.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The largest form of a teacher that costs no more than the student."""

    share: float
    layers: Layers
    said: str


def _cheapest(
    form: Callable[[float], Layers],
    resolved: ResolvedStudent,
    context: SearchContext,
    *,
    what: str,
) -> _Found:
    """Find the largest share whose form costs no more than the student.

    Raises:
        ConfigError: if even the smallest costs more.
    """

    def cost(layers: Layers) -> CostEstimate:
        return context.given.costed(resolved.spec, layers).cost

    most = cost(resolved.layers)
    by_time = most.latency_s is not None

    def amount(found: CostEstimate) -> float:
        return (found.latency_s or 0.0) if by_time else float(found.macs)

    def fits(share: float) -> bool:
        return amount(cost(form(share))) <= amount(most)

    if not fits(_LEAST):
        raise ConfigError(
            f"even {what} the teacher costs more than the student on {most.device}; give a larger "
            "student or a smaller teacher"
        )
    low, high = (1.0 if fits(1.0) else _LEAST), 1.0
    for _ in range(_HALVINGS if low < high else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    layers = form(low)
    found = cost(layers)
    unit = (
        f"{1e6 * amount(found):,.0f} us of the student's {1e6 * amount(most):,.0f}"
        if by_time
        else f"{found.macs:,} multiply-adds of the student's {most.macs:,}"
    )
    return _Found(share=low, layers=layers, said=f"{unit} on {most.device}")


def _name(context: SearchContext) -> str:
    return context.config.teacher.sources[0]


def _own_model(context: SearchContext) -> OwnModel:
    """Return the teacher as layers with weights.

    Raises:
        HwkdError: if it is none, or not for inputs and classes as the student's.
    """
    sources = context.config.teacher.sources
    path = Path(sources[0]) if sources else Path()
    if path.name == DESCRIPTION_FILE:
        path = read_student(path.parent).file(FLOAT_FILE)
    if len(sources) != 1 or path.suffix.lower() != ".onnx":
        raise ConfigError(
            "needs one --teacher whose layers can be read: an ONNX file, a run or a student's "
            "folder"
        )
    teacher = context.teacher
    if isinstance(teacher, MatchedTeacher):
        raise ConfigError("the teacher has other classes than the data")
    if context.config.teacher.inputs and set(context.config.teacher.inputs) != {"normalised"}:
        raise ConfigError("the teacher takes inputs at another scale than the student")
    model = OwnModel.read(path).answering_as(context.data.head)
    if (model.spec.input_shape, model.spec.num_outputs) != (
        context.data.input_shape,
        context.data.num_outputs,
    ):
        raise ConfigError(
            f"the teacher maps {model.spec.input_shape} to {model.spec.num_outputs} outputs, the "
            f"student {context.data.input_shape} to {context.data.num_outputs}"
        )
    return model
