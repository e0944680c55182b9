"""Which study in which database is a run: read without a driver of any database."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hwkd.core.errors import RunFolderError
from hwkd.core.strict_model import StrictModel, read_record
from hwkd.io.run_files import PLACE_FILE

LEASE_S = 30.0


class StudyPlace(StrictModel):
    """`storage.json` in a run folder: which study in which database is the run.

    Attributes:
        url: of the database, without a password.
        artifacts: URL of the files by SHA-256.
        lease_s: how long a lease lasts without being renewed.
    """

    schema_version: Literal[1] = 1
    url: str
    study: str
    artifacts: str
    lease_s: float = LEASE_S

    @classmethod
    def read(cls, folder: Path) -> StudyPlace | None:
        """Return the place that a run folder names; None when it holds its trials itself."""
        path = folder / PLACE_FILE
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be read ({error.strerror})") from None
        return read_record(cls, content, where=str(path), what="place of a shared study")

    def text(self) -> str:
        """Return the text of `storage.json`."""
        return self.model_dump_json(indent=2) + "\n"
