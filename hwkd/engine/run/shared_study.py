"""A study in a database: what it says besides its trials, so that other machines can join.

The study holds what a run folder holds (configuration, prepared facts, record of the run), which
version made it, where the artifacts are and how long leases last. A machine that joins writes the
same files into a folder of its own; from there on nobody asks where a run is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import optuna

from hwkd import __version__
from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.core.strict_model import StrictModel, read_record
from hwkd.engine.run.artifacts import Artifacts
from hwkd.engine.run.database import Database, patiently
from hwkd.engine.run.lease import FolderLease
from hwkd.engine.run.lease_rows import create_leases, forget_leases
from hwkd.engine.run.shared_lease import DatabaseLease
from hwkd.engine.run.storage import create_study, load_study
from hwkd.engine.run.study_place import StudyPlace
from hwkd.engine.run.url_artifacts import open_artifacts
from hwkd.io.paths import folder_written_once
from hwkd.io.run_files import PLACE_FILE
from hwkd.io.run_text import write_text

# "waiting" for the search, which has no teacher yet or was stopped; "over" when no further
# candidate is wanted.
StudyState: TypeAlias = Literal["waiting", "running", "over"]

_FACTS, _STATE, _OUTPUTS, _TIMES = "hwkd.facts", "hwkd.state", "hwkd.outputs", "hwkd.times"
_DOCUMENT = "hwkd.document:"


class _Facts(StrictModel):
    schema_version: Literal[1] = 1
    hwkd_version: str
    artifacts: str
    lease_s: float


@dataclass(frozen=True)
class SharedStudy:
    """A study that several machines work on."""

    place: StudyPlace

    @classmethod
    def create(
        cls, place: StudyPlace, documents: Mapping[str, str], *, objectives: int
    ) -> SharedStudy:
        """Make an empty study with its documents.

        Raises:
            RunFolderError: if there is one of that name.
            UnreachableError: if the database does not answer.
        """
        database = Database(place.url)
        create_study(database, objectives=objectives, name=place.study)
        create_leases(database)
        made = cls(place)
        made.enter()
        made.set_state("waiting")
        for name, content in documents.items():
            made.publish(name, content)
        return made

    @classmethod
    def find(cls, database: Database, study: str) -> SharedStudy:
        """Open a study that `hwkd search --storage` made.

        Raises:
            RunFolderError: if there is none of that name, or something else made it.
            UnreachableError: if the database does not answer.
        """
        found = load_study(database, name=study)
        facts = _facts(found, where=f"--study {study}")
        place = StudyPlace(
            url=database.url, study=study, artifacts=facts.artifacts, lease_s=facts.lease_s
        )
        return cls(place)

    @cached_property
    def study(self) -> optuna.Study:
        """The study, opened on first use."""
        return load_study(self.database, name=self.place.study)

    @cached_property
    def database(self) -> Database:
        """That holds it."""
        return Database(self.place.url)

    @cached_property
    def artifacts(self) -> Artifacts:
        """Files by the SHA-256 of their content."""
        return open_artifacts(self.place.artifacts)

    def lease(self, name: str, folder: FolderLease) -> DatabaseLease:
        """Return the leases of one process.

        Args:
            name: of the process, for people.
            folder: of the run on this machine.
        """
        place = self.place
        return DatabaseLease(
            self.database, place.study, name=name, folder=folder, lease_s=place.lease_s
        )

    def enter(self) -> None:
        """Note the version that goes on with the search."""
        facts = _Facts(
            hwkd_version=__version__, artifacts=self.place.artifacts, lease_s=self.place.lease_s
        )
        self.study.set_user_attr(_FACTS, facts.model_dump_json())

    def require_version(self) -> None:
        """Refuse to work for a search of another version: its records would not compare.

        Raises:
            ConfigError: naming both.
        """
        made_by = _facts(self.study, where=f"--study {self.place.study}").hwkd_version
        if made_by != __version__:
            raise ConfigError(
                f"--study {self.place.study}: hwkd {made_by} runs the search, this is hwkd "
                f"{__version__}; install that version for the worker"
            )

    @property
    def state(self) -> StudyState:
        """How far the search is."""
        found: StudyState = self.study.user_attrs[_STATE]
        return found

    def set_state(self, state: StudyState) -> None:
        """Tell workers how far the search is."""
        self.study.set_user_attr(_STATE, state)

    def publish(self, name: str, content: str) -> None:
        """Keep a file of the run folder for other machines."""
        self.study.set_user_attr(_DOCUMENT + name, content)

    def check_out(self, folder: Path) -> None:
        """Write the files of the run into a folder, which stands for the run from then on."""
        for name, content in self.study.user_attrs.items():
            if name.startswith(_DOCUMENT):
                write_text(folder / name.removeprefix(_DOCUMENT), content)
        write_text(folder / PLACE_FILE, self.place.text())

    def publish_folders(self, root: Path, folders: list[Path]) -> None:
        """Put folders of a cache among the artifacts.

        Args:
            folders: in it; those that are not there are left out.
        """
        found = {}
        for folder in folders:
            for file in sorted(folder.iterdir()) if folder.is_dir() else ():
                found[str(file.relative_to(root))] = self.artifacts.put(file)
        self.study.set_user_attr(_OUTPUTS, found)

    def fetch_folders(self, root: Path) -> None:
        """Fetch into a cache what it lacks of the folders that were published."""
        published: dict[str, str] = self.study.user_attrs.get(_OUTPUTS, {})
        for entry in sorted({str(Path(name).parent) for name in published}):
            if (root / entry).is_dir():
                continue
            with folder_written_once(root / entry) as folder:
                for name, digest in published.items():
                    if str(Path(name).parent) == entry:
                        content = self.artifacts.get(digest).read_bytes()
                        (folder / Path(name).name).write_bytes(content)

    def set_times(self, *, left_s: float | None, share_s: float | None) -> None:
        """Tell workers when the search ends and how long a candidate may take."""
        ends_at = None if left_s is None else self._now_s() + left_s
        self.study.set_user_attr(_TIMES, {"ends_at": ends_at, "share_s": share_s})

    def times(self) -> tuple[float | None, float | None]:
        """Return the seconds that are left, by the database's clock, and a candidate's share."""
        found: dict[str, Any] = self.study.user_attrs.get(_TIMES, {})
        ends_at = found.get("ends_at")
        left_s = None if ends_at is None else ends_at - self._now_s()
        return left_s, found.get("share_s")

    def _now_s(self) -> float:
        return patiently(self.database.time_s, where=self.place.url)

    def delete(self) -> None:
        """Take back a study that was just made."""
        optuna.delete_study(study_name=self.place.study, storage=self.study._storage)
        forget_leases(self.database, self.place.study)


def _facts(study: optuna.Study, *, where: str) -> _Facts:
    stored = study.user_attrs.get(_FACTS)
    if not isinstance(stored, str):
        raise RunFolderError(f"{where}: was not made by hwkd search --storage")
    return read_record(_Facts, stored, where=where, what="study of this version of hwkd")
