"""Files of a run by the SHA-256 of their content: weights of students now.

What a name means never changes, so a file may be fetched from anywhere, kept anywhere and proved
where it is read. A store behind a URL is in `url_artifacts`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Protocol

from hwkd.core.errors import RunFolderError
from hwkd.io.paths import written_atomically


class Artifacts(Protocol):
    """Content by digest."""

    def put(self, content: bytes | Path) -> str:
        """Keep bytes, or those of a file that will not change; returns their SHA-256.

        Raises:
            RunFolderError: if they cannot be written.
        """
        ...

    def has(self, digest: str) -> bool:
        """Tell whether the content of a digest is there."""
        ...

    def get(self, digest: str) -> Path:
        """Return a local file with the content of a digest, to be read only.

        Raises:
            RunFolderError: if it is not there or is other content.
        """
        ...


class FolderArtifacts:
    """A folder with one file for each digest."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made when something is put."""
        self._folder = folder

    def put(self, content: bytes | Path) -> str:
        """Keep bytes or a file; see `Artifacts.put`."""
        digest = digest_of_content(content)
        path = self.place(digest)
        if path.is_file():
            return digest
        try:
            with written_atomically(path) as temporary:
                if isinstance(content, bytes):
                    temporary.write_bytes(content)
                else:
                    _link_or_copy(content, temporary)
        except OSError as error:
            raise RunFolderError(
                f"{path}: cannot write it: {error.strerror}; free some space and go on with "
                "--resume"
            ) from error
        return digest

    def has(self, digest: str) -> bool:
        """Tell whether a file of that digest is there."""
        return self.place(digest).is_file()

    def get(self, digest: str) -> Path:
        """Return the file of a digest, proved; see `Artifacts.get`."""
        path = self.place(digest)
        try:
            found = digest_of_content(path)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be read ({error.strerror})") from None
        if found != digest:
            raise RunFolderError(
                f"{path}: its content is not what its name says; it was changed or cut"
            )
        return path

    def place(self, digest: str) -> Path:
        """Return where the file of a digest is or would be."""
        return self._folder / digest[:2] / digest


def digest_of_content(content: bytes | Path) -> str:
    """Return the SHA-256 of bytes or of a file, 64 hex digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
