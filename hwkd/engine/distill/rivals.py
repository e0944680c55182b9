"""Transfer learning beside distillation: other ways to get what a trained network knows.

A student that was trained before is fine-tuned; the teacher is pruned, or split into products of a
lower rank, until it costs no more on the device than the student, and fine-tuned. All learn from
labels alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import ConfigError, HwkdError
from hwkd.core.measure import CostEstimate
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.widened import widened
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.orders import ArmOrder, finished_orders, student_files
from hwkd.engine.arms.orders import order_folder as folder_of
from hwkd.engine.arms.recipes import FINE_TUNING, LOW_RANK, PRUNED
from hwkd.engine.distill.finetune import Start, run_of_student, start_of
from hwkd.engine.distill.own_model import OwnModel, normalised
from hwkd.engine.distill.request import FINE_TUNE
from hwkd.engine.distill.resolve import ResolvedStudent
from hwkd.engine.setup.context import SearchContext
from hwkd.io.student_folder import (
    DESCRIPTION_FILE,
    FLOAT_FILE,
    StudentFiles,
    StudentFolder,
    digests,
    read_student,
)
from hwkd.nn.build import build_module
from hwkd.nn.factorised import factor_weights, factorised, is_split
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher_matched import MatchedTeacher

# What `--arms` takes -> how the training is called.
RIVALS: Mapping[str, str] = {FINE_TUNE: FINE_TUNING, "prune": PRUNED, "low-rank": LOW_RANK}
_HALVINGS = 20
_LEAST = 1e-3
# Mean and deviation of a layer's outputs are known to a few per cent from so many.
_EXAMPLES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """One other way.

    Attributes:
        layers: of its network.
        begin: repetition -> file of weights in a folder.
        says: what it is, for people.
    """

    name: str
    layers: Layers
    begin: Callable[[int, Path], None]
    says: str


def parse_arms(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the rivals that `--arms` names.

    Raises:
        ConfigError: if one is none, or is named twice.
    """
    names = tuple(name.strip() for text in texts for name in text.split(","))
    for name in names:
        if name not in RIVALS or names.count(name) > 1:
            why = "is named twice" if name in RIVALS else "is none"
            raise ConfigError(f"--arms {','.join(names)}: {name!r} {why}; give {', '.join(RIVALS)}")
    return names


def rivals_of(
    asked: Sequence[str],
    resolved: ResolvedStudent,
    context: SearchContext,
    *,
    given: str,
    always: bool,
    say: Callable[[str], None],
) -> list[Rival]:
    """Return the rivals that were asked for, and fine-tuning where it is possible.

    Args:
        given: the student as the user names it.
        always: fine-tuning stands beside other comparisons, too; where it cannot, that is said.

    Raises:
        ConfigError: if one that was asked for cannot be; says why.
    """
    found: list[Rival] = []
    for name in asked:
        try:
            make = {FINE_TUNE: _fine_tuned, "prune": _pruned, "low-rank": _low_rank}[name]
            found.append(make(resolved, context, given))
        except HwkdError as error:
            raise ConfigError(f"--arms {name}: {error}") from None
    if always and FINE_TUNE not in asked and _is_trained(given):
        try:
            found.append(_fine_tuned(resolved, context, given))
        except HwkdError as error:
            say(f"No fine-tuning beside the others: {error}.")
    for rival in found:
        say(rival.says)
    return found


def orders_of_rivals(
    rivals: Sequence[Rival], orders: Sequence[ArmOrder], folder: Path
) -> list[ArmOrder]:
    """Return a training of each rival for each seed of other trainings; writes their beginnings.

    Args:
        orders: of the arm that was asked for.
        folder: of the run, where it is worked on.
    """
    found = []
    for rival in rivals:
        place = folder / "begun" / rival.name.replace(" ", "-")
        place.mkdir(parents=True, exist_ok=True)
        for order in orders:
            path = place / f"{order.repetition}.safetensors"
            if not path.is_file():
                rival.begin(order.repetition, path)
            found.append(
                order.model_copy(
                    update={
                        "name": ArmOrder.name_of(rival.name, order.repetition, -1),
                        "arm": rival.name,
                        "spec": _spec(order.spec, rival),
                        "network": rival.layers,
                        "start_from": str(path),
                    }
                )
            )
    return found


def _spec(spec: StudentSpec, rival: Rival) -> StudentSpec:
    """Return the name of the rival's network; that of the student where it is the student's."""
    if rival.name == FINE_TUNING:
        return spec
    space = rival.name.replace(" ", "_")
    return replace(spec, space=space, params={"network": rival.layers.key})


def _is_trained(given: str) -> bool:
    """Tell whether a student is a run's or a folder's, with weights."""
    path = Path(given.partition(":")[0])
    return path.is_dir() and ":" not in given


def _fine_tuned(resolved: ResolvedStudent, context: SearchContext, given: str) -> Rival:
    if not _is_trained(given):
        raise ConfigError(f"{given} has no weights; give a run or the folder of a student")
    student = read_student(Path(given))
    if student.layers.key != resolved.layers.key:
        raise ConfigError("the student was made narrower and has no weights of its own")
    files = _unseen(student, Path(given), context, given)
    start = replace(start_of(student, context.data, given=given), weights=files.weights_path)

    def begin(repetition: int, path: Path) -> None:
        seed = derive_seed(context.config.seed, "new outputs", repetition)
        save_student(start.module(seed), path)

    return Rival(
        name=FINE_TUNING,
        layers=resolved.layers,
        begin=begin,
        says=f"{FINE_TUNING.capitalize()} begins with the weights of {given}"
        + _kept(start)
        + ", at a tenth of the rate.",
    )


def _kept(start: Start) -> str:
    new = sum(row < 0 for row in start.rows)
    return f" and {new} new classes" if new else ""


def _unseen(
    student: StudentFolder, given: Path, context: SearchContext, shown: str
) -> StudentFiles:
    """Return weights that have not learned from what others are judged by.

    Raises:
        ConfigError: if there are none: their scores would be better than they are.
    """
    run, data = run_of_student(student), context.data
    if run.data.content_fingerprint != data.content_fingerprint:
        return StudentFiles(student.folder)
    if run.data.fingerprint != data.fingerprint:
        raise ConfigError(
            f"{shown} learned from these examples in other splits, so that it knows some of those "
            "that others are judged by"
        )
    if run.final is None or run.final.all_examples is None:
        return StudentFiles(student.folder)
    ships = digests(student.folder, [FLOAT_FILE])[FLOAT_FILE]
    for order, result in finished_orders(given) if given != student.folder else ():
        folder = folder_of(given, order)
        after = student_files(folder, result)
        if (after.folder / FLOAT_FILE).is_file() and (
            digests(after.folder, [FLOAT_FILE])[FLOAT_FILE] == ships
        ):
            return StudentFiles(folder)
    raise ConfigError(
        f"{shown} learned from validation, too, after it was chosen, and its weights of before are "
        "not there; give the run that it is of"
    )


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
    model = OwnModel.read(path)
    if (model.spec.input_shape, model.spec.num_outputs) != (
        context.data.input_shape,
        context.data.num_outputs,
    ):
        raise ConfigError(
            f"the teacher maps {model.spec.input_shape} to {model.spec.num_outputs} outputs, the "
            f"student {context.data.input_shape} to {context.data.num_outputs}"
        )
    return model


def _pruned(resolved: ResolvedStudent, context: SearchContext, given: str) -> Rival:
    del given
    model = _own_model(context)
    found = _cheapest(
        lambda share: _forms_of(model.layers, share), resolved, context, what="with fewer channels"
    )

    def begin(repetition: int, path: Path) -> None:
        seed = derive_seed(context.config.seed, PRUNED, repetition)
        module = build_module(found.layers, seed=seed)
        model.fill(module, _examples(context))
        save_student(module, path)

    return Rival(
        name=PRUNED,
        layers=found.layers,
        begin=begin,
        says=f"{PRUNED.capitalize()}: the strongest {found.share:.0%} of the channels of "
        f"{_name(context)}, {found.said}, fine-tuned at a tenth of the rate.",
    )


def _forms_of(layers: Layers, share: float) -> Layers:
    narrow = widened(layers, share)
    return layers if narrow.key == layers.key else normalised(narrow)


def _low_rank(resolved: ResolvedStudent, context: SearchContext, given: str) -> Rival:
    del given
    model = _own_model(context)
    found = _cheapest(
        lambda share: factorised(model.layers, share), resolved, context, what="of rank 1"
    )
    if not is_split(found.layers):
        raise ConfigError("the teacher itself costs no more than the student; nothing is split")
    weights = factor_weights(found.layers, model.weights)

    def begin(repetition: int, path: Path) -> None:
        del repetition
        module = build_module(found.layers, seed=0)
        for name, values in weights.items():
            state = module.steps[name].state_dict()
            for key, value in values.items():
                state[key].copy_(torch.from_numpy(np.ascontiguousarray(value)))
        save_student(module, path)

    return Rival(
        name=LOW_RANK,
        layers=found.layers,
        begin=begin,
        says=f"{LOW_RANK.capitalize()}: layers of {_name(context)} as products of "
        f"{found.share:.0%} of their rank, {found.said}, fine-tuned at a tenth of the rate.",
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

    whole, least = form(1.0), form(_LEAST)
    if amount(cost(least)) > amount(most):
        raise ConfigError(
            f"even {what} the teacher costs more than the student on {most.device}; give a larger "
            "student or a smaller teacher"
        )
    low, high = _LEAST, 1.0
    if amount(cost(whole)) <= amount(most):
        low = 1.0
    else:
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if amount(cost(form(middle))) <= amount(most) else (low, middle)
            )
    layers = form(low)
    found = cost(layers)
    unit = (
        f"{1e6 * amount(found):,.0f} us of the student's {1e6 * amount(most):,.0f}"
        if by_time
        else f"{found.macs:,} multiply-adds of the student's {most.macs:,}"
    )
    return _Found(share=low, layers=layers, said=f"{unit} on {most.device}")


def _examples(context: SearchContext) -> NDArray[np.float32]:
    return np.asarray(context.data.train.inputs[:_EXAMPLES])


def _name(context: SearchContext) -> str:
    return context.config.teacher.sources[0]
