"""Finds finished trials that a study lost: a journal that was cut, a database set back."""

from __future__ import annotations

from pathlib import Path

from pydantic_core import from_json

from hwkd.core.errors import RunFolderError
from hwkd.engine.run.run_folder import RunFolder


def require_nothing_lost(store: RunFolder) -> None:
    """Refuse a run whose `trials.jsonl` has records that its study no longer holds.

    A record enters the study first, and `trials.jsonl` is rewritten from the study when a search
    goes on; so what the study lost would be gone from there, too.

    Raises:
        RunFolderError: says how many there are, and what to do; nothing is changed.
    """
    mirrored = _numbers(store.trials_path)
    lost = sorted(mirrored - {record.number for record in store.trials.records()})
    if lost:
        name = store.journal_path.name if store.shared is None else "the study in the database"
        mirror = store.trials_path.name
        raise RunFolderError(
            f"{store.path}: {name} no longer holds {len(lost):,} of the {len(mirrored):,} trials "
            f"in {mirror} (the first is trial {lost[0]}): it was cut or set back; {mirror} was "
            f"left as it is; put the whole one back from a copy and resume again, or move {mirror} "
            "out of the folder to go on without them"
        )


def _numbers(mirror: Path) -> set[int]:
    """Return the numbers of all records that can be read; a line that is cut is none."""
    found = set()
    try:
        with mirror.open("rb") as lines:
            for line in lines:
                number = _number(line)
                if number is not None:
                    found.add(number)
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise RunFolderError(f"{mirror}: cannot be read ({error.strerror})") from None
    return found


def _number(line: bytes) -> int | None:
    try:
        content = from_json(line)
    except ValueError:
        return None
    number = content.get("number") if isinstance(content, dict) else None
    return number if isinstance(number, int) else None
