"""Artifacts behind a URL: a folder that machines share, S3 and what else fsspec opens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from hwkd.core.errors import ConfigError, HwkdError, RunFolderError, UnreachableError, first_line
from hwkd.engine.run.artifacts import Artifacts, FolderArtifacts, digest_of_content
from hwkd.io.paths import cache_root, written_atomically


def open_artifacts(url: str) -> Artifacts:
    """Return the artifacts behind a URL; nothing is asked of a server yet.

    What is fetched stays in the cache folder, for every process of this machine.

    Args:
        url: as file:///shared/folder or s3://bucket/folder.

    Raises:
        ConfigError: if nothing here opens such a URL.
    """
    try:
        system, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ConfigError(
            f"--artifacts {url}: {first_line(error)}; for S3: pip install 'hwkd[s3]'"
        ) from None
    except ValueError as error:
        raise ConfigError(
            f"--artifacts {url}: {first_line(error)}; give a folder or a URL as s3://bucket/folder"
        ) from None
    if isinstance(system, LocalFileSystem):
        return FolderArtifacts(Path(root))
    return UrlArtifacts(system, PurePosixPath(root), FolderArtifacts(cache_root() / "artifacts"))


class UrlArtifacts:
    """Files in a store that fsspec opens, each fetched once for each machine."""

    def __init__(self, system: Any, root: PurePosixPath, cache: FolderArtifacts) -> None:
        """Name the places."""
        self._system, self._root, self._cache = system, root, cache

    def put(self, content: bytes | Path) -> str:
        """Keep bytes or a file; see `Artifacts.put`."""
        digest = self._cache.put(content)
        place = self._place(digest)
        with self._asked(place):
            if not self._system.exists(place):
                # Under another name first: a reader never meets half a file.
                temporary = f"{place}.{uuid4().hex[:8]}"
                self._system.makedirs(str(PurePosixPath(place).parent), exist_ok=True)
                self._system.put_file(str(self._cache.get(digest)), temporary)
                self._system.mv(temporary, place)
        return digest

    def has(self, digest: str) -> bool:
        """Tell whether the store has the content of a digest."""
        with self._asked(self._place(digest)):
            return bool(self._system.exists(self._place(digest)))

    def get(self, digest: str) -> Path:
        """Return a local file, fetched at most once and proved; see `Artifacts.get`."""
        if self._cache.has(digest):
            return self._cache.get(digest)
        place = self._place(digest)
        with written_atomically(self._cache.place(digest)) as temporary:
            with self._asked(place):
                self._system.get_file(place, str(temporary))
            if digest_of_content(temporary) != digest:
                raise RunFolderError(
                    f"{place}: its content is not what its name says; it was changed or cut"
                )
        return self._cache.get(digest)

    def _place(self, digest: str) -> str:
        return str(self._root / digest[:2] / digest)

    @contextmanager
    def _asked(self, place: str) -> Iterator[None]:
        """Turn what a store's library raises, which may be anything, into one line."""
        try:
            yield
        except HwkdError:
            raise
        except FileNotFoundError:
            raise RunFolderError(f"{place}: is not in the store of artifacts") from None
        except PermissionError as error:
            raise ConfigError(f"{place}: the store refuses ({first_line(error)})") from error
        except Exception as error:
            raise UnreachableError(
                f"{place}: the store of artifacts does not answer ({first_line(error)}); try again "
                "later"
            ) from error
