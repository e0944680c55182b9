"""Reads `run.json`, and names the files of a run."""

from __future__ import annotations

from pathlib import Path

from hwkd.core.errors import RunFolderError
from hwkd.core.run_record import RunRecord
from hwkd.core.strict_model import read_record
from hwkd.io.paths import require_there
from hwkd.io.run_lock import is_held

RUN_FILE = "run.json"
CONFIG_FILE = "config.toml"
# What workers load and what a resumed search must find unchanged.
PREPARED_FILE = "prepared.json"
# Holds the trials; without it and without the next file a run can be reported and no more.
JOURNAL_FILE = "journal.log"
# Names the database that holds the trials, where the folder does not.
PLACE_FILE = "storage.json"
TRIALS_FILE = "trials.jsonl"
# What each worker is at, and what it prints.
STATUS_FOLDER = "workers"


def read_run_record(path: Path) -> RunRecord:
    """Read `run.json`.

    A search that was killed cannot say so: "running" is read as "interrupted" when nobody holds
    the folder's lock.

    Raises:
        ConfigError: if the folder is not there.
        RunFolderError: if the file is missing, cut or of an unknown schema version.
    """
    require_there(path.parent, "the folder that `hwkd search --out` wrote")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"{path.parent}: not a run folder: cannot read {path.name}: {error.strerror}; "
            "give the folder that `hwkd search --out` wrote"
        ) from None
    run = read_record(RunRecord, text, where=str(path), what="run record")
    if run.status == "running" and not is_held(path.parent):
        return run.model_copy(update={"status": "interrupted"})
    return run
