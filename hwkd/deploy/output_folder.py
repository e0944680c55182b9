"""Writes a folder of files in one step: it appears whole or stays as it was."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from hwkd.core.errors import ConfigError, ExportError
from hwkd.io.student_folder import DESCRIPTION_FILE

# What an export that is no student says of the network.
MODEL_DESCRIPTION_FILE = "model.json"
# Each export has one of them; a folder with none is somebody's own.
_OF_AN_EXPORT = (MODEL_DESCRIPTION_FILE, DESCRIPTION_FILE)


def require_free_out(out: Path, *, takes_force: bool = False) -> None:
    """Refuse a folder that holds anything: what is in the way stays, and nothing is mixed with it.

    Args:
        takes_force: the command replaces an export when it is told to.

    Raises:
        ConfigError: says what to do.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        is_export = takes_force and any((out / name).is_file() for name in _OF_AN_EXPORT)
        also = ", or --force to replace the export that is there" if is_export else ""
        raise ConfigError(f"--out {out}: is in use; give a new or an empty folder{also}")


def require_replaceable(out: Path, source: Path) -> None:
    """Refuse to replace anything but an export.

    Raises:
        ConfigError: says what to do.
    """
    place, origin = out.resolve(), source.resolve()
    if origin.is_relative_to(place) or place.is_relative_to(origin):
        raise ConfigError(f"--out {out} --force: is what is exported; give another folder")
    if not any((out / name).is_file() for name in _OF_AN_EXPORT):
        require_free_out(out)


def write_folder(files: Mapping[str, str | bytes], folder: Path) -> None:
    """Create a folder, or replace one as a whole.

    Args:
        files: name, with folders where it is in some -> text or bytes.

    Raises:
        ExportError: if the folder cannot be written.
    """
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            new = temporary / "new"
            new.mkdir()
            for name, content in files.items():
                data = content if isinstance(content, bytes) else content.encode("utf-8")
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(data)
            _put(new, folder, before=temporary / "before")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise ExportError(
            f"{folder}: cannot write: {error.strerror}; give another --out"
        ) from error


def require_as_written(
    files: Mapping[str, str | bytes], folder: Path, made_from: str, *, built: Iterable[str] = ()
) -> None:
    """Compare a folder with what an export writes, byte by byte.

    Names that begin with a dot are left aside: no build reads them.

    Args:
        files: name -> text or bytes, as in `write_folder`.
        made_from: file in the folder that the others follow from.
        built: patterns of what a build leaves in the folder.

    Raises:
        ExportError: if a file is missing or another, or one too many; names it.
    """
    for name, content in files.items():
        path = folder / name
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        if not path.is_file() or path.read_bytes() != data:
            raise ExportError(
                f"{path}: not what this hwkd exports for {made_from} beside it, so a check would "
                "be of other files; export again"
            )
    further = sorted(
        path.name for path in folder.iterdir()
        if path.name not in files and not path.name.startswith(".")
    )  # fmt: skip
    foreign = [name for name in further if not any(fnmatchcase(name, one) for one in built)]
    if foreign:
        raise ExportError(
            f"{folder}: holds {', '.join(foreign)}, which `hwkd export` did not write and a build "
            "may use; move that elsewhere"
        )
    if further:
        raise ExportError(
            f"{folder}: holds what a build left ({', '.join(further)}), which `make` would use "
            f"unchecked; the other files are as exported: run `make -C {folder} clean` and verify "
            "again"
        )


def _put(new: Path, folder: Path, *, before: Path) -> None:
    """Make a folder of what is in another; what it held goes away with `before`."""
    if folder.exists() and not any(folder.iterdir()):
        for entry in new.iterdir():  # a shell may be in it, so it stays
            entry.replace(folder / entry.name)
        return
    if folder.exists():
        folder.rename(before)
    try:
        new.rename(folder)
    except OSError:
        if before.exists():
            before.rename(folder)
        raise
