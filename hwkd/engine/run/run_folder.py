"""The folder of a run: what its files are called, and how it comes to be."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from hwkd.core.errors import LostLeaseError, RunFolderError
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.artifacts import Artifacts, FolderArtifacts
from hwkd.engine.run.journal import check_journal_file
from hwkd.engine.run.lease import FolderLease, Lease
from hwkd.engine.run.storage import create_study, load_study
from hwkd.engine.run.study_place import StudyPlace
from hwkd.engine.run.trials import Trials
from hwkd.engine.run.whole_folder import created_whole, never_began, require_free
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.paths import require_there
from hwkd.io.run_files import CONFIG_FILE, JOURNAL_FILE, PLACE_FILE, TRIALS_FILE
from hwkd.io.run_text import write_text

if TYPE_CHECKING:
    from hwkd.engine.run.shared_study import SharedStudy


class RunFolder:
    """One run folder; every process of a search has its own object on the same folder.

    Where a run is kept is three things: its trials, its artifacts and the lease on it. They are a
    journal, a folder and kernel locks, or what `storage.json` names: a study in a database.
    """

    def __init__(self, path: Path, *, process: str = "search") -> None:
        """Name the files; nothing is opened or created yet.

        Args:
            process: name of this process, which leases in a database show.
        """
        self.path = path
        self._process = process
        self.config_path = path / CONFIG_FILE
        self.journal_path = path / JOURNAL_FILE
        self.trials_path = path / TRIALS_FILE

    @cached_property
    def shared(self) -> SharedStudy | None:
        """The study in a database that is the run; None when the folder holds its trials."""
        place = StudyPlace.read(self.path)
        return None if place is None else _shared_study()(place)

    @cached_property
    def trials(self) -> Trials:
        """The trials, opened on first use."""
        self.require_run()
        if self.shared is not None:
            return Trials(self.shared.study, run=self.path, mirror=self.trials_path, appends=False)
        return Trials(load_study(self.journal_path), run=self.path, mirror=self.trials_path)

    @cached_property
    def artifacts(self) -> Artifacts:
        """Files by the SHA-256 of their content."""
        if self.shared is not None:
            return self.shared.artifacts
        return FolderArtifacts(self.path / "artifacts")

    @cached_property
    def lease(self) -> Lease:
        """Who works on the run."""
        self.require_run()
        folder = FolderLease(self.path, asking_file=self.config_path)
        return folder if self.shared is None else self.shared.lease(self._process, folder)

    def write(self, name: str, content: str) -> None:
        """Write a file of the run whole, and keep it for other machines that work on it."""
        write_text(self.path / name, content)
        if self.shared is not None:
            self.shared.publish(name, content)

    def note_death(self, process: str, pid: int, trial: int | None) -> None:
        """Queue again what a worker of this search left that died.

        Args:
            trial: Optuna's number of its last trial; None when it had none yet.
        """
        only = set() if trial is None else {trial}
        self.lease.end(process, pid, partial(self.trials.requeue_interrupted, only=only, died=True))

    def give_back(self, trial: int) -> None:
        """Queue a trial again that this process took and leaves unfinished, unless it lost it."""
        requeue = partial(self.trials.requeue_interrupted, only={trial})
        with suppress(LostLeaseError):
            self.lease.filing(trial, requeue)

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
        is_shared = (self.path / PLACE_FILE).exists()
        require_free(self.path, main_file=PLACE_FILE if is_shared else JOURNAL_FILE)

    def create(
        self,
        config: SearchConfig,
        documents: Mapping[str, str],
        *,
        place: StudyPlace | None = None,
    ) -> None:
        """Make the folder, its configuration, further files and an empty study, all at once.

        Args:
            documents: file name -> text.
            place: of a study in a database; None keeps it in the folder.

        Raises:
            RunFolderError: if the folder holds anything already or cannot be written, or the
                database has such a study.
        """
        self.require_free()
        texts = {self.config_path.name: config.to_toml(), **documents}
        objectives = config.objective.objectives
        if place is not None:
            _shared_study().create(place, texts, objectives=objectives)
            texts[PLACE_FILE] = place.text()
        main_file = JOURNAL_FILE if place is None else PLACE_FILE
        try:
            with created_whole(self.path, main_file=main_file) as folder:
                for name, text in texts.items():
                    (folder / name).write_text(text, encoding="utf-8")
                if place is None:
                    create_study(folder / JOURNAL_FILE, objectives=objectives)
        except (OSError, RunFolderError) as error:
            if place is not None:
                _shared_study()(place).delete()
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise RunFolderError(
                f"--out {self.path}: cannot write there: {reason}; choose another folder"
            ) from error

    def remove(self) -> None:
        """Take back a folder that this process has just created; nothing of it is left."""
        if self.shared is not None:
            self.shared.delete()
        shutil.rmtree(self.path, ignore_errors=True)

    def check_journal(self) -> None:
        """Cut a torn last line; refuse a journal that is damaged in any other way.

        Raises:
            RunFolderError: naming the first line that is not JSON; nothing is changed.
        """
        self.require_run()
        if self.shared is None:
            check_journal_file(self.journal_path)

    def require_run(self) -> None:
        """Refuse a folder that is no run.

        Raises:
            ConfigError: if there is none of that name.
            RunFolderError: if it holds something else.
        """
        require_there(self.path, "the run folder of an earlier hwkd search")
        if self.shared is None and not self.journal_path.is_file():
            if never_began(self.path):
                raise RunFolderError(
                    f"{self.path}: no trial was begun in it: the search was killed while it made "
                    f"the folder; start the search again with --out {self.path}"
                )
            raise RunFolderError(
                f"{self.path}: no {JOURNAL_FILE} in it; it is not a run folder of hwkd search"
            )


def _shared_study() -> type[SharedStudy]:
    """Return the class of a study in a database, which is slow to import, where a run has one."""
    from hwkd.engine.run.shared_study import SharedStudy

    return SharedStudy
