"""The candidates of a search: workers that run them, watched until they are done or time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from hwkd.core.trial import TrialRecord, read_trial_line
from hwkd.engine.arms.children import Nursery
from hwkd.engine.run.listener import SearchListener
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.trials import Trials
from hwkd.engine.search.workers import WorkerPool
from hwkd.engine.setup.config import SearchConfig

_POLL_S, _ASK_S = 0.1, 2.0
# A candidate plans its own end; one that misses it by this is stopped, and done again on resume.
_GRACE_RATIO, _GRACE_S = 0.05, 1.0
# Workers that find too little time left end before it is over; so late it was time that ended them.
_LATE_RATIO = 0.75


def run_trial_stage(
    store: RunFolder,
    config: SearchConfig,
    nursery: Nursery,
    descriptors: tuple[int, ...],
    listener: SearchListener,
    *,
    meanwhile: Callable[[], object],
    search_s: float | None,
    share_s: float | None = None,
    latest_s: float | None = None,
    scoring_s: float = 0.0,
) -> tuple[tuple[TrialRecord, ...], bool]:
    """Run candidates until enough were tried or time is up.

    Args:
        meanwhile: called once while the workers begin.
        search_s: seconds for the stage; None is no bound.
        share_s: of one candidate; None likewise.
        latest_s: seconds until it ends even if no candidate was completed: a search without a
            student is worth nothing, and may have the time of what would follow.
        scoring_s: what judging the first candidate of a worker takes at least.

    Returns:
        Every record of the run, and whether time cut short the number of candidates asked for.
    """
    started = time.monotonic()
    end_s = None if search_s is None else started + search_s
    pool = WorkerPool(
        store=store, nursery=nursery, count=config.workers, descriptors=descriptors,
        share_s=share_s, end_s=end_s, scoring_s=scoring_s,
    )  # fmt: skip
    wanted = config.most_trials
    shared = store.shared
    if shared is not None:
        shared.set_times(left_s=search_s, share_s=pool.share_s)
        shared.set_state("running")
    try:
        records, tail = _begun(store, config, pool)
        listener.on_records(records, wanted)
        meanwhile()
        while pool.is_running() or (shared is not None and shared.state == "running"):
            time.sleep(_POLL_S)
            if new := tail.new_records():
                records.extend(new)
                listener.on_records(records, wanted)
            if end_s is not None:
                _tell_time(listener, started, end_s)
                if time.monotonic() > _last_s(records, started, end_s, latest_s):
                    break
        if shared is not None:
            shared.set_state("over")
    finally:
        pool.stop()
    is_late = search_s is not None and time.monotonic() > started + _LATE_RATIO * search_s
    timed_out = is_late and wanted is not None and not store.trials.is_complete(config)
    return store.trials.rewrite_mirror(), timed_out


def _begun(
    store: RunFolder, config: SearchConfig, pool: WorkerPool
) -> tuple[list[TrialRecord], _Tail | _Asked]:
    """Start the workers; returns the records that there are, and what reads the next ones."""
    # The first candidates wait until the mirror is written; workers read the run meanwhile.
    with store.lease.asking() if store.shared is None else nullcontext():
        if not store.trials.is_complete(config):
            pool.start()
        records = list(store.trials.rewrite_mirror())
        return records, _Tail(store.trials_path) if store.shared is None else _Asked(store.trials)


def _last_s(
    records: list[TrialRecord], started: float, end_s: float, latest_s: float | None
) -> float:
    """Return when candidates that still run are stopped; a first student may take longer."""
    if any(record.state == "completed" for record in records):
        return end_s + _GRACE_S + _GRACE_RATIO * (end_s - started)
    return max(started + (latest_s or 0.0), end_s)


def _tell_time(listener: SearchListener, started: float, end_s: float) -> None:
    spent_s, whole_s = time.monotonic() - started, end_s - started
    listener("search", round(min(spent_s, whole_s)), round(whole_s))


class _Asked:
    """Asks a database for the records that workers of all machines filed, each once."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self._asked_s = time.monotonic()

    def new_records(self) -> list[TrialRecord]:
        if time.monotonic() - self._asked_s < _ASK_S:
            return []
        news = self._trials.mirror_news()
        self._asked_s = time.monotonic()
        return news


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
