"""`hwkd distill` from its request to a folder: student, data, teacher, trainings, verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from hwkd.core.objective import ObjectiveConfig
from hwkd.core.progress import Progress
from hwkd.core.run_record import TeacherRecord
from hwkd.core.student_record import NetworkRecord
from hwkd.engine.arms.children import Nursery
from hwkd.engine.arms.conclude import conclude
from hwkd.engine.arms.contest import contenders, judged
from hwkd.engine.arms.evaluation import student_criterion
from hwkd.engine.arms.jobs import run_orders
from hwkd.engine.arms.orders import (
    ArmOrder,
    finished_orders,
    order_folder,
    read_result,
    write_order,
)
from hwkd.engine.arms.recipes import Arm, arms_of
from hwkd.engine.arms.student_folder import write_student
from hwkd.engine.arms.train_arm import train_arm
from hwkd.engine.arms.verdict import shipping
from hwkd.engine.distill.record import distilled_record
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.resolve import ResolvedStudent, resolve_student
from hwkd.engine.distill.workplace import require_free_out, workplace
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search.listener import SearchListener, SilentListener
from hwkd.engine.setup.config import MethodConfig
from hwkd.engine.setup.context import SearchContext, make_context
from hwkd.engine.setup.hardware import accelerator_device
from hwkd.engine.setup.methods import configured_methods
from hwkd.engine.setup.teacher import judge_teacher, open_teachers
from hwkd.engine.setup.transfer import TransferSet, configured_transfer
from hwkd.io.machine import available_cores
from hwkd.io.student_folder import StudentFolder
from hwkd.nn.build import build_module
from hwkd.train.teacher import Teacher

__all__ = ["DistillRequest", "run_distillation"]

# Arms are judged by the task alone: nothing is compared that costs more than another.
_GOAL = ObjectiveConfig(alpha=1.0, beta=0.0, gamma=0.0)
_PROFILE_SECONDS = 1.0


def run_distillation(
    request: DistillRequest, *, listener: SearchListener | None = None
) -> StudentFolder:
    """Train the student in every way that was asked for and write the folder of the best.

    A call that was interrupted or killed goes on where it was when it is made again.

    Raises:
        HwkdError: if anything that was asked for cannot be; before any training.
        KeyboardInterrupt: after finished trainings were saved.
    """
    listener = listener or SilentListener()
    require_free_out(request.out)
    started_s = time.monotonic()
    resolved = resolve_student(request, progress=listener)
    listener.on_data(resolved.data)
    transfer = configured_transfer(resolved.config, resolved.data)
    teacher, record = _teacher(resolved, transfer, listener)
    if record is not None:
        listener.on_teacher(record)
    context = _with_methods(make_context(resolved.config, resolved.task, transfer, teacher))
    arms = arms_of(context.methods, context.data.head.kind)[: None if request.with_controls else 1]
    _require_possible(arms, resolved, context)
    orders = _orders(request, resolved, context, arms)
    with workplace(request.out, context) as (store, descriptors):
        done = sum(read_result(order_folder(store.path, order)) is not None for order in orders)
        if done:
            listener("trainings of the interrupted call", done, len(orders))
        if orders[0].processes == 1:
            _train_here(store, orders, context, listener)
        else:
            with Nursery() as nursery:
                run_orders(store.path, nursery, orders, descriptors=descriptors, progress=listener)
        wanted = {order.full_name for order in orders}
        trainings = {
            order.full_name: (order, result)
            for order, result in finished_orders(store.path)
            if order.full_name in wanted
        }
        ships = trainings[shipping(contenders((), trainings, context, _GOAL)).name]
        final, files = conclude(
            store.path,
            context,
            ships,
            judged(ships[0], trainings, context, networks_compared=None),
            profile_s=_PROFILE_SECONDS,
            started_s=started_s,
        )
        described = distilled_record(resolved, context, final, record, command=request.command)
        return write_student(request.out, files, described)


def _teacher(
    resolved: ResolvedStudent, transfer: TransferSet, progress: Progress
) -> tuple[Teacher | None, TeacherRecord | None]:
    """Open or train the teacher where methods ask for one, if only to choose the method."""
    config = resolved.config
    methods = configured_methods(config)
    if methods is not None and not any(entry.method.asks_teacher for entry in methods):
        return None, None
    begun = time.monotonic()
    device = accelerator_device(config.accelerator)
    teacher = open_teachers(config, resolved.data, device=device, progress=progress)
    seconds = time.monotonic() - begun
    return teacher, judge_teacher(teacher, transfer, seconds=seconds, progress=progress)


def _with_methods(context: SearchContext) -> SearchContext:
    """Write down the methods, also those that the teacher chose: workers go by them."""
    if context.config.distill:
        return context
    tables = tuple(MethodConfig.model_validate(entry.table()) for entry in context.methods)
    return replace(context, config=context.config.model_copy(update={"distill": tables}))


def _require_possible(
    arms: Sequence[Arm], resolved: ResolvedStudent, context: SearchContext
) -> None:
    """Refuse, before the first training, what a method cannot do with this student.

    Raises:
        ConfigError: says why.
    """
    layers = resolved.layers
    module = build_module(layers, seed=0).to(context.accelerator)
    for arm in arms:
        training = context.full_training(layers, repetition=0, epochs=1, methods=arm.methods)
        student_criterion(context, module, layers, arm.methods, training.config)


def _orders(
    request: DistillRequest, resolved: ResolvedStudent, context: SearchContext, arms: Sequence[Arm]
) -> list[ArmOrder]:
    """Return the trainings, seed by seed, so that what was interrupted can be compared."""
    most = request.workers or available_cores()
    network = NetworkRecord.of(resolved.layers)
    return [
        ArmOrder(
            name=ArmOrder.name_of(arm.name, seed, -1),
            spec=resolved.spec,
            network=network,
            repetition=seed,
            arm=arm.name,
            processes=min(most, len(arms) * len(request.seeds)),
            epochs=context.config.training.full_epochs or 1,
        )
        for seed in request.seeds
        for arm in arms
    ]


def _train_here(
    store: RunFolder, orders: Sequence[ArmOrder], context: SearchContext, progress: Progress
) -> None:
    """Train in this process, one after another, what is not finished."""
    for order in orders:
        if read_result(order_folder(store.path, order)) is None:
            folder = write_order(store.path, order)
            train_arm(order, context, folder, progress=progress)
