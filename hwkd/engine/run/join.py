"""A machine joins a run that lies in a database: its files in a folder, its paths made local."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.paths import cache_root
from hwkd.io.run_text import write_text
from hwkd.io.trusted_code import digest_of, trust

if TYPE_CHECKING:
    from hwkd.engine.run.shared_study import SharedStudy

_DEVICE_FILE = "device.toml"


def device_documents(config: SearchConfig) -> Mapping[str, str]:
    """Return the user's own device file, which other machines do not have, by its name there."""
    path = Path(config.device)
    return {_DEVICE_FILE: path.read_text(encoding="utf-8")} if path.suffix == ".toml" else {}


def joined(shared: SharedStudy, folder: Path, *, process: str) -> RunFolder:
    """Make a folder that stands for the run, with what the cache lacks of the teacher's outputs.

    Raises:
        RunFolderError: if an artifact is not what its name says.
        UnreachableError: if the database or the store of artifacts does not answer.
    """
    shared.check_out(folder)
    shared.fetch_folders(cache_root())
    return RunFolder(folder, process=process)


def opened_run(
    path: Path, storage: str | None, study: str | None, *, process: str = "search"
) -> RunFolder:
    """Return a run folder; one that is not there is made of the study that `storage` holds.

    Args:
        storage: URL of a database; None is what the folder says.
        study: its name; None is the folder's.

    Raises:
        ConfigError: if there is neither a run nor a storage.
        RunFolderError: if the folder is another run, or the database holds no such study.
    """
    if storage is None:
        return RunFolder(path, process=process)
    from hwkd.engine.run.database import Database
    from hwkd.engine.run.shared_study import SharedStudy

    shared = SharedStudy.find(Database.of(storage), study or path.resolve().name)
    store = RunFolder(path, process=process)
    if path.exists() and (store.shared is None or store.shared.place.study != shared.place.study):
        raise RunFolderError(
            f"--storage: {path} is another run, not study {shared.place.study}; give a new folder "
            "or its own --study"
        )
    shared.check_out(path)  # the database may have another address now
    return RunFolder(path, process=process)


def read_again(path: Path, storage: str | None, study: str | None) -> None:
    """Write the records of a run in a database into its folder, whoever works on it.

    Raises:
        RunFolderError: as `opened_run`.
        UnreachableError: if the database does not answer.
    """
    store = opened_run(path, storage, study)
    if store.shared is not None:
        store.shared.check_out(path)
        store.trials.rewrite_mirror()


def localised(
    store: RunFolder, *, data: Path | None = None, spaces: Sequence[Path] = ()
) -> SearchConfig:
    """Put this machine's paths into the configuration of a folder that was joined.

    Args:
        data: where the data lies here; None is where the search read it.
        spaces: the user's search spaces, which are trusted because they are named.

    Raises:
        ConfigError: if a file is not one of the search's, or the search has one that is not here.
    """
    config = SearchConfig.from_toml(store.config_path)
    given = {_digest(path): path for path in spaces}
    changes: dict[str, object] = {}
    entries, code = list(config.spaces), dict(config.code)
    for index, entry in enumerate(entries):
        path = given.pop(code.get(entry, ""), None)
        if path is not None:
            entries[index] = str(path.resolve())
            code[entries[index]] = code.pop(entry)
            trust(code[entries[index]])
        elif entry.endswith(".py") and not Path(entry).is_file():
            raise ConfigError(
                f"--study {_name(store)}: its search space {entry} is not here; give the same "
                "file with --space FILE"
            )
    for digest, path in given.items():
        raise ConfigError(
            f"--space {path}: is not a file of the search (SHA-256 {digest[:12]}); give the one "
            "that it was started with"
        )
    changes |= {"spaces": tuple(entries), "code": code}
    if (store.path / _DEVICE_FILE).is_file():
        changes["device"] = str(store.path / _DEVICE_FILE)
    if data is not None:
        changes["data"] = str(data.resolve())
    config = config.model_copy(update=changes)
    write_text(store.config_path, config.to_toml())
    return config


def _digest(path: Path) -> str:
    digest = digest_of(path)
    if digest is None:
        raise ConfigError(f"--space {path}: cannot be read; give a Python file of the search")
    return digest


def _name(store: RunFolder) -> str:
    return store.path.name if store.shared is None else store.shared.place.study
