"""The folder of a run: what its files are called, and how it comes to be."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from hwkd.core.errors import RunFolderError
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.artifacts import FolderArtifacts
from hwkd.engine.run.journal import check_journal_file
from hwkd.engine.run.lease import FolderLease
from hwkd.engine.run.storage import create_study, load_study
from hwkd.engine.run.trials import Trials
from hwkd.engine.run.whole_folder import created_whole, require_free
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.paths import require_there
from hwkd.io.run_files import TRIALS_FILE

__all__ = ["RunFolder"]

_JOURNAL_FILE = "journal.log"


class RunFolder:
    """One run folder; every process of a search has its own object on the same folder.

    Where a run is kept is three things: its trials, its artifacts and the lease on it. Here they
    are a journal, a folder and kernel locks.
    """

    def __init__(self, path: Path) -> None:
        """Name the files; nothing is opened or created yet."""
        self.path = path
        self.config_path = path / "config.toml"
        self.journal_path = path / _JOURNAL_FILE
        self.trials_path = path / TRIALS_FILE

    @cached_property
    def trials(self) -> Trials:
        """The trials, opened on first use."""
        self._require_journal()
        return Trials(load_study(self.journal_path), run=self.path, mirror=self.trials_path)

    @cached_property
    def artifacts(self) -> FolderArtifacts:
        """Files by the SHA-256 of their content."""
        return FolderArtifacts(self.path / "artifacts")

    @cached_property
    def lease(self) -> FolderLease:
        """Who works on the run."""
        self._require_journal()
        return FolderLease(self.path, asking_file=self.config_path)

    def weights_of(self, record: TrialRecord) -> Path:
        """Return the file with the weights of a completed trial.

        Raises:
            RunFolderError: if it is not there or was changed.
        """
        if record.weights is not None:
            return self.artifacts.get(record.weights)
        return self.path / "students" / f"{record.number}.safetensors"  # as older versions named it

    def require_free(self) -> None:
        """Refuse a folder that holds anything or cannot be made, before time is spent.

        Raises:
            RunFolderError: saying which of the two.
        """
        require_free(self.path, main_file=_JOURNAL_FILE)

    def create(self, config: SearchConfig, documents: Mapping[str, str]) -> None:
        """Make the folder, its configuration, further files and an empty study, all at once.

        Args:
            config: resolved.
            documents: file name -> text.

        Raises:
            RunFolderError: if the folder holds anything already or cannot be written.
        """
        self.require_free()
        texts = {self.config_path.name: config.to_toml(), **documents}
        try:
            with created_whole(self.path, main_file=_JOURNAL_FILE) as folder:
                for name, text in texts.items():
                    (folder / name).write_text(text, encoding="utf-8")
                create_study(folder / _JOURNAL_FILE, objectives=config.objective.objectives)
        except (OSError, RunFolderError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise RunFolderError(
                f"--out {self.path}: cannot write there: {reason}; choose another folder"
            ) from error

    def remove(self) -> None:
        """Take back a folder that this process has just created; nothing of it is left."""
        shutil.rmtree(self.path, ignore_errors=True)

    def check_journal(self) -> None:
        """Cut a torn last line; refuse a journal that is damaged in any other way.

        Raises:
            RunFolderError: naming the first line that is not JSON; nothing is changed.
        """
        self._require_journal()
        check_journal_file(self.journal_path)

    def _require_journal(self) -> None:
        require_there(self.path, "the run folder of an earlier hwkd search")
        if not self.journal_path.is_file():
            raise RunFolderError(
                f"{self.path}: no journal.log in it; it is not a run folder of hwkd search"
            )
