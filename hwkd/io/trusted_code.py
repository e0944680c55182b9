"""Which Python files the user named on this command line, by content.

Files of a run or a student are data and may name Python files; naming one must not run it. What the
user names is remembered here as a SHA-256, so that another file under the same name is another
matter. The list lives in the environment, for workers of a search run the same files.
"""

from __future__ import annotations

import hashlib
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

VARIABLE = "HWKD_TRUSTED_CODE"


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file, 64 hex digits; None where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def trust(digest: str) -> None:
    """Remember a file that the user named, for this process and those that it starts."""
    if not is_trusted(digest):
        os.environ[VARIABLE] = " ".join([*os.environ.get(VARIABLE, "").split(), digest])


def is_trusted(digest: str) -> bool:
    """Say whether the user named a file of this content."""
    return digest in os.environ.get(VARIABLE, "").split()


def module_file(module: str) -> Path | None:
    """Return the file that `import module` would run, found without running any.

    Args:
        module: dotted name; the working folder is searched first, as for a teacher's factory.

    Returns:
        None where there is no such module or it is no file.
    """
    folders = [str(Path.cwd()), *sys.path]
    found = None
    for name in module.split("."):
        found = PathFinder.find_spec(name, folders)
        if found is None:
            return None
        folders = list(found.submodule_search_locations or ())
    return Path(found.origin) if found and found.has_location and found.origin else None
