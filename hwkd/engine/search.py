"""The search from the first byte of data to `best/`: what `hwkd search` and `hwkd.search` run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hwkd.core.device_catalog import load_device
from hwkd.core.errors import ConfigError, HwkdError, RunFolderError
from hwkd.core.pareto import FrontPoint, pareto_front
from hwkd.core.run_files import RUN_FILE, RunRecord, RunStatus, TeacherRecord, read_run_record
from hwkd.core.trial import TrialRecord, read_trial_line
from hwkd.engine.config import SearchConfig
from hwkd.engine.context import SearchContext
from hwkd.engine.feasibility import require_feasible
from hwkd.engine.final import BEST_FOLDER, best_trial, distil_best
from hwkd.engine.pace import affordable_training, reserved_s
from hwkd.engine.prepare import (
    PREPARED_FILE,
    Prepared,
    PreparedTeacher,
    check_unchanged,
    load_context,
    measure_teacher,
    prepare_data,
    prepare_teacher,
    prepared_json,
)
from hwkd.engine.run_record import make_run_record, search_caveats
from hwkd.engine.store import RunStore, write_text
from hwkd.engine.verify_best import require_verifiable, verify_best
from hwkd.engine.workers import WorkerPool
from hwkd.tasks.base import TaskData

__all__ = ["SearchListener", "SearchResult", "SilentListener", "resume_search", "run_search"]

_POLL_S = 0.2


class SearchListener(Protocol):
    """Hears how a search advances; the command line draws, a notebook may do something else."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear of an advance; see `hwkd.core.progress.Progress`."""
        ...

    def on_data(self, data: TaskData) -> None:
        """Hear what the data is."""
        ...

    def on_feasibility(self, run: RunRecord) -> None:
        """Hear what share of each space fits (`run.feasibility`)."""
        ...

    def on_teacher(self, teacher: TeacherRecord) -> None:
        """Hear which teacher there is and how good it is."""
        ...

    def on_records(self, records: Sequence[TrialRecord], total: int) -> None:
        """Hear all records so far, after each new one."""
        ...


class SilentListener:
    """Hears everything and says nothing."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Ignore."""

    def on_data(self, data: TaskData) -> None:
        """Ignore."""

    def on_feasibility(self, run: RunRecord) -> None:
        """Ignore."""

    def on_teacher(self, teacher: TeacherRecord) -> None:
        """Ignore."""

    def on_records(self, records: Sequence[TrialRecord], total: int) -> None:
        """Ignore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a finished search leaves.

    Attributes:
        folder: the run folder.
        run: facts of the search; `run.final` is the best student.
        records: every trial, by number.
        front: undominated trials.
        seconds: wall time of this call.
    """

    folder: Path
    run: RunRecord
    records: tuple[TrialRecord, ...]
    front: tuple[FrontPoint, ...]
    seconds: float


def run_search(
    config: SearchConfig, folder: Path, *, listener: SearchListener, command: Sequence[str]
) -> SearchResult:
    """Search from the beginning.

    Args:
        config: what was asked for; open choices are filled from the device and the data.
        folder: run folder to create.
        listener: hears how it goes.
        command: the command line, for the record.

    Raises:
        HwkdError: if anything asked for is wrong; nothing is left behind then.
        KeyboardInterrupt: after finished trials were saved.
    """
    started = time.monotonic()
    store = RunStore(folder)
    store.require_free()
    _require_what_verifying_needs(config)
    prepared = prepare_data(config, progress=listener)
    listener.on_data(prepared.data)
    run = make_run_record(
        requested=config,
        resolved=prepared.config,
        device=prepared.screen.device,
        data=prepared.data,
        feasibility=prepared.feasibility,
        accelerator=prepared.accelerator,
        command=command,
    )
    listener.on_feasibility(run)
    require_feasible(prepared.feasibility)
    teacher = prepare_teacher(prepared, progress=listener)
    listener.on_teacher(teacher.record)
    run = run.model_copy(update={"teacher": teacher.record})
    run = _with_phase(run, "prepare", time.monotonic() - started)
    documents = {PREPARED_FILE: prepared_json(prepared, teacher), RUN_FILE: _json(run)}
    store.create(prepared.config, documents)
    with store.locked() as lock_descriptor:
        return _search(store, prepared, teacher, run, listener, started, lock_descriptor)


def resume_search(
    folder: Path,
    *,
    trials: int | None = None,
    timeout_s: float | None = None,
    workers: int | None = None,
    listener: SearchListener,
) -> SearchResult:
    """Go on with a search that was interrupted, killed or finished.

    Args:
        folder: run folder.
        trials: candidates to sample in all; None keeps the number asked for first.
        timeout_s: bound on this call; None is none.
        workers: processes; None keeps the number asked for first.
        listener: hears how it goes.

    Raises:
        RunFolderError: if it is no run folder, is in use, or its data or teacher changed.
    """
    started = time.monotonic()
    store = RunStore(folder)
    with store.locked() as lock_descriptor:
        store.check_journal()
        config = SearchConfig.from_toml(store.config_path)
        changes = {"trials": trials, "workers": workers}
        config = config.model_copy(
            update={"timeout_s": timeout_s, **{k: v for k, v in changes.items() if v is not None}}
        )
        run = read_run_record(folder / RUN_FILE)
        _require_what_verifying_needs(config)
        prepared = prepare_data(config, progress=listener)
        listener.on_data(prepared.data)
        teacher = prepare_teacher(prepared, progress=listener)
        listener.on_teacher(teacher.record)
        check_unchanged(store, prepared, teacher)
        write_text(store.config_path, config.to_toml())
        run = run.model_copy(update={"workers": config.workers})
        return _search(store, prepared, teacher, run, listener, started, lock_descriptor)


def _search(
    store: RunStore,
    prepared: Prepared,
    teacher: PreparedTeacher,
    run: RunRecord,
    listener: SearchListener,
    started: float,
    lock_descriptor: int,
) -> SearchResult:
    status: RunStatus = "interrupted"
    try:
        context = load_context(store)
        _save(store, run, "running")
        with store.writes():
            store.requeue_interrupted()
        trials_started = time.monotonic()
        timed_out = _run_workers(store, context, lock_descriptor, listener, started)
        records = store.rewrite_trials_file()
        run = _with_phase(run, "trials", time.monotonic() - trials_started)
        run = run.model_copy(
            update={"caveats": search_caveats(prepared.config, prepared.screen.device, records)}
        )
        status = "stopped by timeout" if timed_out else "finished"
        run = _finish(store, context, prepared, teacher, run, records, listener, started)
        run = _verified(store, context, run, listener)
    except KeyboardInterrupt:
        store.rewrite_trials_file()
        _save(store, run, "interrupted")
        raise KeyboardInterrupt(
            f"finished trials are saved; go on with `hwkd search --resume {store.folder}`"
        ) from None
    except HwkdError:
        with suppress(RunFolderError):  # the error at hand says more than that the disk is full
            _save(store, run, status)
        raise
    run = _save(store, run, status)
    return SearchResult(
        folder=store.folder,
        run=run,
        records=records,
        front=pareto_front(records),
        seconds=time.monotonic() - started,
    )


def _run_workers(
    store: RunStore,
    context: SearchContext,
    lock_descriptor: int,
    listener: SearchListener,
    started: float,
) -> bool:
    """Run the trials; return True when the time limit cut them short."""
    timeout_s = context.config.timeout_s
    pool = WorkerPool(store=store, count=context.config.workers, lock_descriptor=lock_descriptor)
    records: list[TrialRecord] = list(store.rewrite_trials_file())
    tail = _Tail(store.trials_path)
    listener.on_records(records, context.config.trials)
    timed_out = False
    if store.trainings_started() < context.config.trials:
        pool.start()
    try:
        while pool.is_running():
            time.sleep(_POLL_S)
            new = tail.new_records()
            if new:
                records.extend(new)
                listener.on_records(records, context.config.trials)
            if timeout_s is not None and not timed_out:
                spent = time.monotonic() - started
                if spent + reserved_s(records, context, timeout_s) >= timeout_s:
                    timed_out = True
                    pool.finish_current()
    finally:
        pool.stop()
    return timed_out


def _finish(
    store: RunStore,
    context: SearchContext,
    prepared: Prepared,
    teacher: PreparedTeacher,
    run: RunRecord,
    records: Sequence[TrialRecord],
    listener: SearchListener,
    started: float,
) -> RunRecord:
    """Train the best student in full unless that was done for the same trial before."""
    config = context.config
    best = best_trial(records, mode=config.objective.mode)
    if not config.train_best or (run.final is not None and run.final.trial == best.number):
        return run
    final_started = time.monotonic()
    epochs, seeds = config.training.full_epochs or 1, config.training.controls
    if config.timeout_s is not None:
        left_s = config.timeout_s - (final_started - started)
        epochs, seeds = affordable_training(best, context, left_s)
    final = distil_best(best, context, store, epochs=epochs, seeds=seeds, progress=listener)
    measured = measure_teacher(teacher, prepared, progress=listener)
    run = run.model_copy(update={"final": final, "teacher": measured})
    return _with_phase(run, "final training", time.monotonic() - final_started)


def _require_what_verifying_needs(config: SearchConfig) -> None:
    """Raise HwkdError, before anything is read, if the best student could not be verified."""
    if not config.verify_best:
        return
    if not config.train_best:
        raise ConfigError("--verify: checks the best student after full training; drop --no-final")
    require_verifiable(load_device(config.device))


def _verified(
    store: RunStore, context: SearchContext, run: RunRecord, listener: SearchListener
) -> RunRecord:
    """Run the C of the best student on an emulated core, once, if that was asked for."""
    final = run.final
    if not context.config.verify_best or final is None or final.verification is not None:
        return run
    started = time.monotonic()
    device, test = context.screen.device, context.data.test
    found = verify_best(store.folder / BEST_FOLDER, device, test, listener)
    run = run.model_copy(update={"final": final.model_copy(update={"verification": found})})
    return _with_phase(run, "verification", time.monotonic() - started)


class _Tail:
    """Reads the records that workers append to `trials.jsonl`, each once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size

    def new_records(self) -> list[TrialRecord]:
        with self._path.open("rb") as handle:
            handle.seek(self._position)
            data = handle.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        return [
            read_trial_line(line.decode(), where=str(self._path)) for line in whole.splitlines()
        ]


def _with_phase(run: RunRecord, phase: str, seconds: float) -> RunRecord:
    total = run.phase_seconds.get(phase, 0.0) + seconds
    return run.model_copy(update={"phase_seconds": {**run.phase_seconds, phase: total}})


def _save(store: RunStore, run: RunRecord, status: RunStatus) -> RunRecord:
    run = run.model_copy(update={"status": status})
    write_text(store.folder / RUN_FILE, _json(run))
    return run


def _json(run: RunRecord) -> str:
    return run.model_dump_json(indent=2) + "\n"
