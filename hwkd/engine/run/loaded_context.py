"""What trainings share, as every process that trains loads it from the run folder and the cache."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.errors import RunFolderError
from hwkd.core.progress import silent
from hwkd.engine.run.prepared import check_teacher_unchanged, named_teacher, read_prepared
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import SearchContext, make_context
from hwkd.engine.setup.hardware import accelerator_device
from hwkd.engine.setup.loaded_set import needs_live_teacher
from hwkd.engine.setup.methods import configured_methods
from hwkd.engine.setup.resolve import load_data
from hwkd.engine.setup.teacher import open_teachers
from hwkd.engine.setup.transfer import configured_transfer
from hwkd.engine.setup.trust import trusted
from hwkd.io.run_files import RUN_FILE, read_run_record


def load_context(store: RunFolder, *, trusts: bool = False) -> SearchContext:
    """Load what trainings share, from the run folder and the cache.

    Args:
        trusts: the user named the run as one whose search spaces may run.

    Raises:
        RunFolderError: if the data or a teacher that has to run is not what the run began with.
        ConfigError: if the user did not name the run's own search spaces, or they changed.
    """
    config = SearchConfig.from_toml(store.config_path)
    is_live = needs_live_teacher(configured_methods(config) or ())
    config = trusted(config, where=str(store.path), trusts=trusts, with_teacher=is_live)
    record = read_prepared(store.path)
    task, data = load_data(config)
    transfer = configured_transfer(config, data)
    if (data.fingerprint, transfer.fingerprint) != (
        record.data_fingerprint,
        record.transfer_fingerprint or data.fingerprint,
    ):
        if store.shared is not None:
            raise RunFolderError(
                f"--study {store.shared.place.study}: the data here is not the search's "
                f"(fingerprint {transfer.fingerprint[:12]}, there "
                f"{(record.transfer_fingerprint or record.data_fingerprint)[:12]}); give the same "
                "data with --data"
            )
        raise RunFolderError(f"{store.path}: the data changed while the run was going on")
    teacher = named_teacher(store)
    if teacher is not None and is_live:
        teacher = open_teachers(
            config, data, device=accelerator_device(config.accelerator), progress=silent
        )
        check_teacher_unchanged(store, teacher)
    # A run of one setting need not be described yet where its context is loaded.
    settings = read_run_record(store.path / RUN_FILE).settings if config.search_features else ()
    made = make_context(config, task, transfer, teacher, settings)
    return replace(made, rooms=record.rooms, known_symmetry=record.symmetry)
