"""Writes a folder of files in one step: it appears whole or stays as it was."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hwkd.core.errors import ExportError

__all__ = ["write_folder"]


def write_folder(files: Mapping[str, str | bytes], folder: Path, foreign: Sequence[str]) -> None:
    """Create a folder, or replace what an earlier export wrote into it.

    Args:
        files: name -> text or bytes.
        folder: to create or replace.
        foreign: names in it that an earlier export did not write.

    Raises:
        ExportError: if there are such names or the folder cannot be written.
    """
    if foreign:
        raise ExportError(
            f"{folder} holds other files ({', '.join(foreign[:3])}), expected an empty or new "
            "folder; give another --out"
        )
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for name, content in files.items():
                data = content if isinstance(content, bytes) else content.encode("utf-8")
                (temporary / name).write_bytes(data)
            temporary.chmod(0o755)
            if folder.exists():
                _replace_contents(temporary, folder)
            else:
                temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise ExportError(
            f"{folder}: cannot write: {error.strerror}; give another --out"
        ) from error


def _replace_contents(new: Path, folder: Path) -> None:
    """Move files into a folder that stays, for a shell may be in it; drop those of before."""
    names = {entry.name for entry in new.iterdir()}
    for name in sorted(names):
        (new / name).replace(folder / name)
    for entry in list(folder.iterdir()):
        if entry.name not in names:
            entry.unlink()
