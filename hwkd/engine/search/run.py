"""The search from the first byte of data to `best/`: what `hwkd search` and `hwkd.search` run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hwkd.core.errors import ConfigError
from hwkd.core.run_record import RunRecord
from hwkd.engine.arms.children import Nursery
from hwkd.engine.run.database import Database
from hwkd.engine.run.join import device_documents
from hwkd.engine.run.prepared import check_data_unchanged, prepared_json
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.run_record import make_run_record, run_json, with_phase
from hwkd.engine.run.shared_study import StudyPlace
from hwkd.engine.search.listener import SearchListener
from hwkd.engine.search.proposer import find_proposer
from hwkd.engine.search.result import SearchResult
from hwkd.engine.search.stages import SearchStages
from hwkd.engine.search.verify_best import require_verifiable
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.feasibility import require_feasible
from hwkd.engine.setup.prepare import prepare_data, survey_spaces
from hwkd.engine.setup.time_plan import TimeLimit
from hwkd.engine.setup.trust import trusted
from hwkd.io.device_catalog import folder_of, load_device
from hwkd.io.run_files import PREPARED_FILE, RUN_FILE, read_run_record

__all__ = ["SearchResult", "finish_run", "resume_search", "run_search"]


def run_search(
    config: SearchConfig,
    folder: Path,
    *,
    limit: TimeLimit,
    listener: SearchListener,
    command: Sequence[str],
    write_report: Callable[[Path], object],
    place: StudyPlace | None = None,
) -> SearchResult:
    """Search from the beginning.

    Args:
        config: what was asked for; open choices are filled from the device and the data.
        folder: run folder to create.
        limit: of the wall time of it all.
        listener: is told about every stage and candidate.
        command: the command line, for the record.
        write_report: writes the report of a run folder; called after the search and at the end.
        place: of a study in a database, which other machines reach; None keeps it in the folder.

    Raises:
        HwkdError: if anything asked for is wrong; nothing is left behind then.
        KeyboardInterrupt: after finished trials were saved.
    """
    limit.code_is_imported()
    store = RunFolder(folder)
    store.require_free()
    _require_what_verifying_needs(config)
    find_proposer(config.sampler)
    if place is not None:
        Database(place.url).require_reachable()
    with Nursery() as nursery:
        survey = survey_spaces(
            prepare_data(config, progress=listener),
            times_brief_training=config.training.brief_epochs is None,
        )
        prepared = survey.prepared
        listener.on_data(prepared.data)
        run = make_run_record(
            requested=config,
            resolved=prepared.config,
            device=prepared.screen.device,
            data=prepared.data,
            feasibility=survey.feasibility,
            accelerator=prepared.accelerator,
            command=command,
        )
        listener.on_feasibility(run)
        require_feasible(survey.feasibility, survey.references)
        limit.data_is_read(beside_s=nursery.cpu_s())
        limit.learning_s = survey.learning_s
        limit.require_enough(verifies=config.verify_best)
        run = with_phase(run, "prepare", limit.spent_s())
        unsettled = prepared_json(prepared.transfer, None, is_settled=False, rooms=survey.rooms)
        documents = {PREPARED_FILE: unsettled, RUN_FILE: run_json(run)}
        if place is not None:
            documents |= device_documents(prepared.config)
        store.create(prepared.config, documents, place=place)
        search = SearchStages(store, prepared, limit, nursery, listener, write_report)
        with store.lease.held() as descriptors:
            return search.run(run, descriptors, is_new=True)


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
        store: of the run.
        trials: candidates to sample in all; None keeps what was asked for first.
        limit: of the wall time of this call.
        workers: processes; None keeps the number asked for first.
        trusts: the user named the run as one whose Python files may run.
        listener: is told about every stage and candidate.
        write_report: writes the report of a run folder.

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
        store: of a run with a completed trial.
        limit: of the wall time of this call; without one trainings have their full length.
        seeds: over which the best student and its controls are trained; None keeps what was asked
            for first.
        trusts: the user named the run as one whose Python files may run.
        listener: is told about every stage and candidate.
        write_report: writes the report of a run folder.

    Raises:
        RunFolderError: as `resume_search`.
        DoesNotFitError: if no trial was completed.
    """
    with Nursery() as nursery, store.lease.held():
        search, run = _reopened(
            store, limit, nursery, listener, write_report, seeds=seeds, trusts=trusts
        )
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
) -> tuple[SearchStages, RunRecord]:
    limit.code_is_imported()
    store.check_journal()
    config = SearchConfig.from_toml(store.config_path)
    config = trusted(config, where=str(store.path), trusts=trusts)
    changes = {"trials": trials, "workers": workers}
    config = config.model_copy(
        update={"timeout_s": limit.limit_s, **{k: v for k, v in changes.items() if v is not None}}
    )
    if seeds is not None:
        training = config.training.model_copy(update={"controls": seeds})
        config = config.model_copy(update={"training": training})
    run = read_run_record(store.path / RUN_FILE)
    _require_what_verifying_needs(config)
    prepared = prepare_data(config, progress=listener)
    listener.on_data(prepared.data)
    check_data_unchanged(store, prepared.transfer, option="--resume")
    limit.data_is_read(beside_s=nursery.cpu_s())
    limit.require_enough(verifies=config.verify_best)
    run = run.model_copy(update={"workers": config.workers})
    return SearchStages(store, prepared, limit, nursery, listener, write_report), run


def _require_what_verifying_needs(config: SearchConfig) -> None:
    """Raise HwkdError, before anything is read, if the best student could not be verified."""
    if not config.verify_best:
        return
    if not config.train_best:
        raise ConfigError("--verify: checks the best student after full training; drop --no-final")
    require_verifiable(load_device(config.device), beside=folder_of(config.device))
