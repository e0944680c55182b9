"""The search from the first byte of data to `best/`: what `hwkd search` and `hwkd.search` run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hwkd.core.run_record import RunRecord
from hwkd.engine.arms.children import Nursery
from hwkd.engine.run.database import Database
from hwkd.engine.run.join import device_documents
from hwkd.engine.run.listener import SearchListener, noted
from hwkd.engine.run.prepared import prepared_json
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.run_record import make_run_record, run_json, with_phase
from hwkd.engine.run.study_place import StudyPlace
from hwkd.engine.search.logged import Logged
from hwkd.engine.search.proposer import find_proposer
from hwkd.engine.search.result import SearchResult
from hwkd.engine.search.stages import SearchStages
from hwkd.engine.search.verify_best import require_what_verifying_needs
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.feasibility import require_feasible
from hwkd.engine.setup.hardware import accelerator_device
from hwkd.engine.setup.new_search import prepare_new_search, require_time
from hwkd.engine.setup.own_runtime import own_runtime_alone
from hwkd.engine.setup.prepare import Survey, survey_spaces
from hwkd.engine.setup.reading_time import ReadInTime
from hwkd.engine.setup.resolve import most_epochs
from hwkd.engine.setup.time_plan import TimeLimit
from hwkd.io.run_files import PREPARED_FILE, RUN_FILE
from hwkd.train.choose_augmentation import asks_symmetry
from hwkd.train.symmetry import symmetry_of

# What a pass takes is predicted by arithmetic, and may take so much less.
_PASS_MAY_TAKE = 0.25


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
        listener: is told about every stage and candidate.
        write_report: writes the report of a run folder; called after the search and at the end.
        place: of a study in a database, which other machines reach; None keeps it in the folder.

    Raises:
        HwkdError: if anything asked for is wrong; nothing is left behind then.
        KeyboardInterrupt: after finished trials were saved.
    """
    limit.code_is_imported()
    require_time(config, limit)
    store = RunFolder(folder)
    store.require_free()
    require_what_verifying_needs(config)
    find_proposer(config.sampler)
    if place is not None:
        Database(place.url).require_reachable()
    with Nursery() as nursery:
        reading = ReadInTime(limit, verifies=config.verify_best, progress=listener)
        read = prepare_new_search(config, progress=reading)
        limit.data_is_read(imports_again=not nursery.forks)
        times_brief_training = config.training.brief_epochs is None
        survey = survey_spaces(read, times_brief_training=times_brief_training)
        prepared = survey.prepared
        listener.on_data(prepared.data)
        run = _feasible(survey, config, command, listener)
        limit.is_ready(beside_s=nursery.cpu_s())
        limit.learning_s, limit.pass_s = survey.learning_s, survey.pass_s
        limit.require_enough(verifies=config.verify_best)
        symmetry = symmetry_of(prepared.data.train) if _asks(survey, limit) else None
        run = with_phase(run, "prepare", limit.spent_s())
        unsettled = prepared_json(
            prepared.transfer,
            None,
            is_settled=False,
            rooms=survey.rooms,
            symmetry=symmetry,
        )
        documents = {PREPARED_FILE: unsettled, RUN_FILE: run_json(run)}
        if place is not None:
            documents |= device_documents(prepared.config)
        store.create(prepared.config, documents, place=place)
        told = Logged(listener, store.path)
        search = SearchStages(store, prepared, limit, nursery, told, write_report)
        with store.lease.held() as descriptors:
            return search.run(run, descriptors, is_new=True)


def _feasible(
    survey: Survey, config: SearchConfig, command: Sequence[str], listener: SearchListener
) -> RunRecord:
    """Return the facts of a run that may begin, as far as they are known.

    Args:
        config: what was asked for.

    Raises:
        DoesNotFitError: if nothing of the spaces fits.
    """
    prepared = survey.prepared
    run = make_run_record(
        requested=config,
        resolved=prepared.config,
        device=prepared.screen.device,
        data=prepared.data,
        settings=prepared.settings,
        feasibility=survey.feasibility,
        accelerator=str(accelerator_device(config.accelerator)),
        command=command,
    )
    listener.on_feasibility(run)
    advice = "" if survey.own_runtime is None else survey.own_runtime.advice
    require_feasible(survey.feasibility, survey.references, advice=advice)
    if advice:
        listener.on_note(advice)
    data = prepared.data
    alone = own_runtime_alone(
        prepared.screen, input_shape=data.input_shape, num_outputs=data.num_outputs
    )
    return run if alone is None else noted(run, alone, listener)


def _asks(survey: Survey, limit: TimeLimit) -> bool:
    """Tell whether any training may be so long that it matters what keeps an example of its class.

    Where it is not known each process asks when it needs it.
    """
    prepared = survey.prepared
    config, train = prepared.config, prepared.data.train
    passes: float = most_epochs(config, len(train), is_timed=limit.is_limited)
    if limit.is_limited and survey.pass_s:
        passes = min(passes, limit.left_s() / (_PASS_MAY_TAKE * survey.pass_s))
    return asks_symmetry(train, max(passes, config.training.brief_epochs or 0))
