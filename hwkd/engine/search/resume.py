"""Goes on with a search in its run folder, or does its end again.

A run of thousands of trials goes on in a few seconds, so nothing here imports torch: the process
that workers are forked from does so meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwkd.core.best import ranked_trials
from hwkd.core.run_record import RunRecord
from hwkd.engine.arms.children import Nursery
from hwkd.engine.run.listener import SearchListener
from hwkd.engine.run.lost_records import require_nothing_lost
from hwkd.engine.run.prepared import check_data_unchanged
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search.end_needs import least_end_s
from hwkd.engine.search.logged import Logged
from hwkd.engine.search.result import SearchResult
from hwkd.engine.search.stages import SearchStages
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.prepare import prepare_data
from hwkd.engine.setup.reading_time import ReadInTime
from hwkd.engine.setup.time_plan import TimeLimit
from hwkd.engine.setup.trust import trusted
from hwkd.io.run_files import RUN_FILE, read_run_record


def resume_search(
    store: RunFolder,
    *,
    trials: int | None = None,
    limit: TimeLimit,
    workers: int | None = None,
    trusts: bool = False,
    listener: SearchListener,
    write_report: Callable[[Path], object],
) -> SearchResult:
    """Go on with a search that was interrupted, killed or finished.

    Args:
        trials: candidates to sample in all; None keeps what was asked for first.
        limit: of the wall time of this call.
        workers: processes; None keeps the number asked for first.
        trusts: the user named the run as one whose Python files may run.
        listener: is told about every stage and candidate.

    Raises:
        ConfigError: if the run names Python files that changed or are not trusted.
        RunFolderError: if it is no run folder, is in use, or its data or teacher changed.
    """
    with Nursery() as nursery, store.lease.held() as descriptors:
        search, run = _reopened(
            store,
            limit,
            nursery,
            listener,
            write_report,
            trials=trials,
            workers=workers,
            trusts=trusts,
        )
        return search.run(run, descriptors, is_new=False)


def finish_run(
    store: RunFolder,
    *,
    limit: TimeLimit,
    seeds: int | None = None,
    trusts: bool = False,
    listener: SearchListener,
    write_report: Callable[[Path], object],
) -> SearchResult:
    """Do the end of a search again: train its best students in full, and publish the best.

    No further candidate is tried. What the folder holds from earlier ends competes.

    Args:
        limit: of the wall time of this call; without one trainings have their full length.
        seeds: over which the best student and its controls are trained; None keeps what was asked
            for first.
        trusts: the user named the run as one whose Python files may run.
        listener: is told about every stage and candidate.

    Raises:
        RunFolderError: as `resume_search`.
        DoesNotFitError: if no trial was completed.
    """
    with Nursery() as nursery, store.lease.held():
        search, run = _reopened(
            store, limit, nursery, listener, write_report,
            seeds=seeds, trusts=trusts, ends_again=True,
        )  # fmt: skip
        return search.finish_again(run)


def _reopened(
    store: RunFolder,
    limit: TimeLimit,
    nursery: Nursery,
    listener: SearchListener,
    write_report: Callable[[Path], object],
    *,
    trials: int | None = None,
    workers: int | None = None,
    seeds: int | None = None,
    trusts: bool = False,
    ends_again: bool = False,
) -> tuple[SearchStages, RunRecord]:
    limit.code_is_imported()
    store.check_journal()
    require_nothing_lost(store)
    config = SearchConfig.from_toml(store.config_path)
    config = trusted(config, where=str(store.path), trusts=trusts)
    changes = {"trials": trials, "workers": workers}
    config = config.model_copy(
        update={"timeout_s": limit.limit_s, **{k: v for k, v in changes.items() if v is not None}}
    )
    limit.require_enough(verifies=config.verify_best)
    if seeds is not None:
        training = config.training.model_copy(update={"controls": seeds})
        config = config.model_copy(update={"training": training})
    run = read_run_record(store.path / RUN_FILE)
    if ends_again:
        require_time_to_end(store, run, config, limit)
    if config.verify_best:
        from hwkd.engine.search.verify_best import require_what_verifying_needs  # ONNX, compilers

        require_what_verifying_needs(config)
    reading = ReadInTime(limit, verifies=config.verify_best, progress=listener)
    prepared = prepare_data(config, progress=reading, settings=run.settings)
    listener.on_data(prepared.data)
    check_data_unchanged(store, prepared.transfer, option="--resume")
    limit.data_is_read(imports_again=not nursery.forks)
    limit.is_ready(beside_s=nursery.cpu_s())
    limit.require_enough(verifies=config.verify_best)
    run = run.model_copy(update={"workers": config.workers})
    told = Logged(listener, store.path)
    return SearchStages(store, prepared, limit, nursery, told, write_report), run


def require_time_to_end(
    store: RunFolder, run: RunRecord, config: SearchConfig, limit: TimeLimit
) -> None:
    """Refuse a limit that is too short by what candidates took: known before the data is read."""
    ranked = ranked_trials(run.objective, store.trials.records())
    if ranked:
        needed_s = least_end_s(ranked, has_scheme=config.scheme is not None)
        limit.require_training(needed_s, verifies=config.verify_best)
