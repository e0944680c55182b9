"""Trainings as processes: started side by side, watched, stopped at their end.

A student and its controls run one core each: small networks gain more from that than from threads.
A training that finished leaves its result and is not run again on resume.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.errors import HwkdError
from hwkd.core.progress import Progress
from hwkd.engine.arms.children import Child, Nursery, end_now, last_line
from hwkd.engine.arms.orders import ArmOrder, ArmResult, order_folder, read_result, write_order
from hwkd.io.machine import threads_per_worker
from hwkd.io.run_text import write_text
from hwkd.io.text_files import read_number

STAGE = "train in full"
_PROGRESS_FILE, _LOG_FILE = "progress.json", "log.txt"
_POLL_S = 0.1
# A training plans its own end so much of its time before it is stopped, without a result: one that
# is late on a busy machine may not take what the report needs.
_GRACE_RATIO, _GRACE_S = 0.02, 0.5
# One that starts later than the others needs about as long as they took.
_WORTH_STARTING = 0.9


@dataclass
class _Running:
    order: ArmOrder
    folder: Path
    process: Child
    started_s: float
    stop_s: float | None


def _nothing() -> None:
    """Do nothing."""


def run_orders(
    run: Path,
    nursery: Nursery,
    orders: Sequence[ArmOrder],
    *,
    end_s: float | None = None,
    slot_s: float | None = None,
    descriptors: Sequence[int] = (),
    meanwhile: Callable[[], object] = _nothing,
    progress: Progress,
) -> dict[str, ArmResult]:
    """Run trainings side by side; returns the results of those that finished, by name.

    Args:
        orders: the most important first, all with the same `processes`.
        end_s: when the stage is over, by `time.monotonic`. Trainings are given the time until then;
            those for which too little is left are not started.
        slot_s: time of one training, where several rounds share the stage; None is all that is
            left.
        descriptors: open files that the processes keep open.
        meanwhile: called once while the first ones train; takes seconds.

    Raises:
        HwkdError: if a training fails, with its last line.
    """
    waiting = [order for order in orders if read_result(order_folder(run, order)) is None]
    running: list[_Running] = []
    longest_s = 0.0
    try:
        while waiting or running:
            while waiting and len(running) < waiting[0].processes:
                if end_s is not None and end_s - time.monotonic() < _WORTH_STARTING * longest_s:
                    waiting.clear()
                    break
                stop_s = _stop_s(end_s, slot_s)
                running.append(_start(run, nursery, waiting.pop(0), descriptors, stop_s))
            meanwhile()
            meanwhile = _nothing
            time.sleep(_POLL_S)
            for entry in [e for e in running if e.process.poll() is not None or _is_late(e)]:
                running.remove(entry)
                _settle(entry)
                longest_s = max(longest_s, time.monotonic() - entry.started_s)
            done = sum(_done_ratio(order_folder(run, order)) for order in orders)
            progress(STAGE, round(100 * done), 100 * len(orders))
    finally:
        for entry in running:
            end_now(entry.process)
    found = ((order.name, read_result(order_folder(run, order))) for order in orders)
    return {name: result for name, result in found if result is not None}


def write_progress(folder: Path, ratio: float) -> None:
    """Say how much of a training is done, 0 to 1, for the process that watches it."""
    write_text(folder / _PROGRESS_FILE, json.dumps({"ratio": min(1.0, ratio)}))


def _stop_s(end_s: float | None, slot_s: float | None) -> float | None:
    """Return when a training that starts now is stopped."""
    if end_s is None or slot_s is None:
        return end_s
    # The last round gets what rounding left over.
    slot_end_s = time.monotonic() + slot_s
    return end_s if end_s - slot_end_s < slot_s / 2 else slot_end_s


def _planned_end_s(stop_s: float | None) -> float | None:
    """Return by when a training that starts now plans to be done."""
    if stop_s is None:
        return None
    return stop_s - _GRACE_S - _GRACE_RATIO * (stop_s - time.monotonic())


def _start(
    run: Path,
    nursery: Nursery,
    order: ArmOrder,
    descriptors: Sequence[int],
    stop_s: float | None,
) -> _Running:
    order = order.model_copy(update={"end_s": _planned_end_s(stop_s)})
    folder = write_order(run, order)
    process = nursery.start(
        "hwkd.engine.arms.train_arm",
        [str(run), str(folder)],
        log=folder / _LOG_FILE,
        threads=threads_per_worker(order.processes),
        descriptors=descriptors,
    )
    return _Running(order, folder, process, time.monotonic(), stop_s)


def _is_late(entry: _Running) -> bool:
    return entry.stop_s is not None and time.monotonic() > entry.stop_s


def _settle(entry: _Running) -> None:
    """End a training that is over or late; a failure counts only where there was time enough."""
    late = _is_late(entry)
    if entry.process.poll() is None:
        end_now(entry.process)
    if read_result(entry.folder) is None and not late:
        message = last_line(entry.folder / _LOG_FILE) or "no message"
        raise HwkdError(f"training {entry.order.name} failed: {message}")


def _done_ratio(folder: Path) -> float:
    if read_result(folder) is not None:
        return 1.0
    return min(1.0, read_number(folder / _PROGRESS_FILE, "ratio") or 0.0)
