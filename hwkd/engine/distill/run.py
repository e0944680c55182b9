"""`hwkd distill` from its request to a folder: student, data, teacher, trainings, verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache

from hwkd.core.errors import HwkdError, TeacherError
from hwkd.core.objective import ObjectiveConfig
from hwkd.deploy.output_folder import require_free_out
from hwkd.distill.schemes.federated import FederatedScheme
from hwkd.distill.spec import is_taught
from hwkd.engine.arms.attacked import require_attackable
from hwkd.engine.arms.children import Nursery
from hwkd.engine.arms.conclude import conclude
from hwkd.engine.arms.contest import contenders, judged
from hwkd.engine.arms.evaluation import student_criterion
from hwkd.engine.arms.jobs import run_orders
from hwkd.engine.arms.orders import (
    ArmOrder,
    ArmResult,
    finished_orders,
    order_folder,
    read_result,
    write_order,
)
from hwkd.engine.arms.recipes import Arm, arms_of
from hwkd.engine.arms.scheme_course import require_possible
from hwkd.engine.arms.sent_bytes import sent_in_a_round
from hwkd.engine.arms.student_folder import write_student
from hwkd.engine.arms.train_arm import train_arm
from hwkd.engine.arms.verdict import shipping
from hwkd.engine.distill.finetune import started
from hwkd.engine.distill.record import distilled_record
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.resolve import ResolvedStudent, learned_without, resolve_student
from hwkd.engine.distill.rivals import orders_of_rivals, rivals_of
from hwkd.engine.distill.workplace import workplace
from hwkd.engine.run.listener import SearchListener, SilentListener
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.run_teacher import TeacherStage
from hwkd.engine.run.teacher_stage import prepare_teacher
from hwkd.engine.setup.config import MethodConfig
from hwkd.engine.setup.context import SearchContext, make_context
from hwkd.engine.setup.methods import configured_methods, scheme_wants_teacher
from hwkd.engine.setup.reading_time import ReadInTime
from hwkd.engine.setup.time_plan import TimeLimit
from hwkd.engine.setup.trainings import full_training, rates_of
from hwkd.engine.setup.transfer import TransferSet, configured_transfer
from hwkd.io.machine import available_cores
from hwkd.io.student_folder import StudentFolder
from hwkd.nn.build import build_module

__all__ = ["DistillRequest", "run_distillation"]

# Arms are judged by the task alone: nothing is compared that costs more than another.
_GOAL = ObjectiveConfig(alpha=1.0, beta=0.0, gamma=0.0)
_PROFILE_SECONDS = 1.0
# Mean and deviation of a layer's outputs are known to a few per cent from so many.
_EXAMPLES_OF_NORMS = 512
# Rather fewer trainings within a time limit than any that is shorter.
_LEAST_TRAINING_S = 10.0


def run_distillation(
    request: DistillRequest,
    *,
    limit: TimeLimit | None = None,
    listener: SearchListener | None = None,
) -> StudentFolder:
    """Train the student in every way that was asked for and write the folder of the best.

    A call that was interrupted or killed goes on where it was when it is made again.

    Args:
        limit: begun with the command; None begins now. It bounds what the request bounds.
        listener: is told about every stage; None is silence.

    Raises:
        HwkdError: if anything that was asked for cannot be; before any training.
        KeyboardInterrupt: after finished trainings were saved.
    """
    told = _Told(listener or SilentListener())
    limit = limit or TimeLimit(None, time.monotonic())
    limit.limit_s = request.timeout_s
    require_free_out(request.out)
    limit.require_enough(verifies=False)
    with ExitStack() as nurseries:

        @cache
        def nursery() -> Nursery:
            return nurseries.enter_context(Nursery())

        if limit.is_limited:
            nursery()  # imports while the data is read
        reading = ReadInTime(limit, verifies=False, progress=told.listener)
        resolved = resolve_student(request, progress=reading)
        told.listener.on_data(resolved.data)
        if limit.is_limited:
            limit.data_is_read(imports_again=not nursery().forks)
        limit.is_ready(beside_s=nursery().cpu_s() if limit.is_limited else 0.0)
        limit.require_enough(verifies=False)
        return _distilled(request, resolved, limit, nursery, told)


def _distilled(
    request: DistillRequest,
    resolved: ResolvedStudent,
    limit: TimeLimit,
    nursery: Callable[[], Nursery],
    told: _Told,
) -> StudentFolder:
    transfer = configured_transfer(resolved.config, resolved.data)
    stage = _teacher(resolved, transfer, limit, told)
    context = _with_methods(make_context(resolved.config, resolved.task, transfer, stage.teacher))
    arms = arms_of(context.methods, context.data.head.kind, context.scheme)
    arms = arms if request.with_controls else arms[:1]
    rivals = rivals_of(
        request.arms, resolved, context, given=request.student,
        always=request.with_controls and not request.finetunes, say=told.note,
    )  # fmt: skip
    _require_possible(arms, resolved, context)
    _say_what_is_sent(resolved, context, told)
    if context.config.training.layer_rates is not None:
        told.note(_said_rates(context, resolved))
    orders = _orders(request, resolved, context, arms)
    with workplace(request.out, context) as (store, descriptors):
        if resolved.start is not None:
            orders = started(orders, resolved.start, store.path, context)
        elif resolved.own is not None and context.scheme is None:
            seed, whole = context.config.seed, len(resolved.own.weights)
            examples = context.data.train.inputs[:_EXAMPLES_OF_NORMS]
            orders, count = resolved.own.answering_as(context.data.head).begun(
                orders, resolved.layers, store.path, seed=seed, examples=examples
            )
            told.note(f"{count} of {whole} layers begin with the weights of {request.student}.")
        orders += orders_of_rivals(
            rivals, [order for order in orders if order.arm == arms[0].name], store.path
        )
        if orders[0].processes == 1 and not limit.is_limited:
            _train_here(store, orders, context, told)
        else:
            _train_beside(store, orders, limit, nursery(), told, descriptors=descriptors)
        trainings = _finished(store, orders, limit, told)
        ships = trainings[shipping(contenders((), trainings, context, _GOAL)).name]
        final, files = conclude(
            store.path,
            context,
            ships,
            judged(ships[0], trainings, context, networks_compared=None),
            profile_s=_PROFILE_SECONDS,
            started_s=limit.started_s,
        )
        described = distilled_record(
            resolved, context, final, stage.record, command=request.command, notes=told.notes
        )
        return write_student(request.out, files, described)


@dataclass
class _Told:
    """What a user heard; notes are kept for the record."""

    listener: SearchListener
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.listener.on_note(text)
        self.notes.append(text)


def _teacher(
    resolved: ResolvedStudent,
    transfer: TransferSet,
    limit: TimeLimit,
    told: _Told,
) -> TeacherStage:
    """Open or train the teacher where methods ask for one, if only to choose the method."""
    config = resolved.config
    methods = configured_methods(config)
    is_wanted = methods is None or is_taught(methods) or scheme_wants_teacher(config)
    plan = limit.plan(trains_teacher=is_wanted, final=True, verifies=False, searches=False)
    if plan:
        told.listener.on_plan(plan, limit.left_s())
    if not is_wanted:
        return TeacherStage()
    if resolved.run is not None and not config.teacher.sources:
        without = learned_without(resolved.run)
        if without is not None:
            told.note(
                f"{without}. A teacher is trained here, or found in the cache; give --teacher for "
                "one of yours, or --method none for labels alone."
            )
    trained = None if resolved.run is None else resolved.run.teacher
    stage = prepare_teacher(
        config,
        transfer,
        budget_s=plan.get("teacher"),
        trained_within_s=None if trained is None else trained.trained_within_s,
        own_dir=None if trained is None else resolved.teacher_dir,
        progress=told.listener,
    )
    if stage.left_out is not None:
        if not limit.is_limited:
            raise TeacherError(stage.left_out)
        told.note(f"The student learns from labels alone: {stage.left_out}.")
    if stage.record is not None:
        told.listener.on_teacher(stage.record)
    return stage


def _with_methods(context: SearchContext) -> SearchContext:
    """Write down the methods, also those that the teacher chose: workers go by them."""
    if context.config.distill:
        return context
    tables = tuple(MethodConfig.model_validate(entry.table()) for entry in context.methods)
    return replace(context, config=context.config.model_copy(update={"distill": tables}))


def _said_rates(context: SearchContext, resolved: ResolvedStudent) -> str:
    """Say by what the rates of layers are multiplied, once for neighbours that have one."""
    rates = rates_of(context, resolved.layers)
    starts = [n for n, (_, factor) in enumerate(rates) if n == 0 or rates[n - 1][1] != factor]
    shown = ", ".join(f"from {rates[n][0]} on {rates[n][1]:.3g}" for n in starts)
    return f"Learning rates by layer ({context.config.training.layer_rates}): {shown}."


def _say_what_is_sent(resolved: ResolvedStudent, context: SearchContext, told: _Told) -> None:
    """Say how many bytes clients would send, of a scheme that has some."""
    scheme = context.scheme
    if isinstance(scheme, FederatedScheme):
        sent = sent_in_a_round(scheme, resolved.layers, samples=len(context.labelled))
        told.note(
            f"{scheme.clients} simulated clients would send and be sent {sent:,} bytes a round."
        )


def _require_possible(
    arms: Sequence[Arm], resolved: ResolvedStudent, context: SearchContext
) -> None:
    """Refuse, before the first training, what a method cannot do with this student.

    Raises:
        ConfigError: says why.
    """
    layers = resolved.layers
    if context.config.robustness is not None:
        require_attackable(context.data)
    module = build_module(layers, seed=0).to(context.accelerator)
    for arm in arms:
        if arm.scheme is not None:
            require_possible(arm, layers, context)
            continue
        training = full_training(context, layers, repetition=0, epochs=1, methods=arm.methods)
        student_criterion(context, module, layers, arm.methods, training.config)


def _orders(
    request: DistillRequest, resolved: ResolvedStudent, context: SearchContext, arms: Sequence[Arm]
) -> list[ArmOrder]:
    """Return the trainings, seed by seed, so that what was interrupted can be compared."""
    most = request.workers or available_cores()
    return [
        ArmOrder(
            name=ArmOrder.name_of(arm.name, seed, -1),
            spec=resolved.spec,
            network=resolved.layers,
            repetition=seed,
            arm=arm.name,
            processes=min(most, len(arms) * len(request.seeds)),
            epochs=context.config.training.full_epochs or 1,
            budget_s=request.timeout_s,
        )
        for seed in request.seeds
        for arm in arms
    ]


def _train_here(
    store: RunFolder, orders: Sequence[ArmOrder], context: SearchContext, told: _Told
) -> None:
    """Train in this process, one after another, what is not finished."""
    for order in _left(store, orders, told):
        folder = write_order(store.path, order)
        train_arm(order, context, folder, progress=told.listener, say=told.note)


def _train_beside(
    store: RunFolder,
    orders: Sequence[ArmOrder],
    limit: TimeLimit,
    nursery: Nursery,
    told: _Told,
    *,
    descriptors: Sequence[int],
) -> None:
    """Train in processes, which can be ended in time whatever they are at."""
    left, end_s, slot_s = _left(store, orders, told), None, None
    if limit.is_limited:
        left_s = max(0.0, limit.left_s() - limit.closing_s(verifies=False))
        end_s = limit.deadline_s(left_s)
        rounds = max(1, -(-len(left) // orders[0].processes))
        slot_s = max(left_s / rounds, limit.child_s + _LEAST_TRAINING_S)
    run_orders(
        store.path,
        nursery,
        orders,
        end_s=end_s,
        slot_s=slot_s,
        descriptors=descriptors,
        progress=told.listener,
    )


def _left(store: RunFolder, orders: Sequence[ArmOrder], told: _Told) -> list[ArmOrder]:
    """Return what is not finished, and say how much an interrupted call finished."""
    left = [o for o in orders if read_result(order_folder(store.path, o)) is None]
    if len(left) < len(orders):
        done = len(orders) - len(left)
        told.listener("trainings of the interrupted call", done, len(orders))
    return left


def _finished(
    store: RunFolder, orders: Sequence[ArmOrder], limit: TimeLimit, told: _Told
) -> dict[str, tuple[ArmOrder, ArmResult]]:
    """Return the trainings that ended, by name, and say how many were given up.

    Raises:
        HwkdError: if none ended within the time limit.
    """
    wanted = {order.full_name for order in orders}
    found = {
        order.full_name: (order, result)
        for order, result in finished_orders(store.path)
        if order.full_name in wanted
    }
    if not found:
        raise HwkdError(f"--timeout {limit.limit_s:g}s: no training ended in time; give more time")
    if len(found) < len(orders):
        told.note(
            f"Given up: {len(orders) - len(found)} of {len(orders)} trainings, for lack of time."
        )
    return found
