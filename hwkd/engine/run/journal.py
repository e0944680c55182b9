"""The journal file of an Optuna study: locked by the kernel, repaired after a kill, checked.

Optuna facts (5.0.0): a torn last line makes the next reader fail, and a line appended behind it
corrupts the file, so the lock below cuts a torn tail before anything is added.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from optuna.distributions import json_to_distribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, _storage
from optuna.storages.journal._file import BaseJournalFileLock

from hwkd.core.errors import RunFolderError
from hwkd.io.text_files import MalformedTextError, parse_json

# Replaying a journal, Optuna 5.0 reads the domain of each parameter of each trial: two thirds of
# the time it takes to open 5,000 trials, for a few hundred different texts. Domains never change.
vars(_storage)["json_to_distribution"] = lru_cache(maxsize=2**14)(json_to_distribution)


class _TailRepairingLock(BaseJournalFileLock):
    """A kernel lock, released by the kernel when its holder is killed."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._held = ExitStack()

    def acquire(self) -> bool:
        self._held.enter_context(_locked(self._journal))
        _cut_torn_tail(self._journal)
        return True

    def release(self) -> None:
        self._held.close()


def open_storage(journal: Path) -> JournalStorage:
    """Return the storage on a journal file; an absent file is created."""
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=_TailRepairingLock(journal)))


def check_journal_file(journal: Path) -> None:
    """Cut a torn last line, keeping a copy beside it; refuse any other damage.

    Raises:
        RunFolderError: naming the first line that is not JSON; nothing is changed then.
    """
    # Locked, because a line that a running search is writing looks torn.
    with _locked(journal), journal.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.endswith(b"\n"):
                break  # torn by a kill in the middle of a write; cut below
            try:
                parse_json(line)
            except MalformedTextError:
                raise RunFolderError(
                    f"{journal}: line {number} is damaged (not JSON); nothing was changed; keep "
                    f"the first {number - 1} lines in a copy of the folder and resume that one"
                ) from None
        _cut_torn_tail(journal)


@contextmanager
def _locked(journal: Path) -> Iterator[None]:
    with journal.with_suffix(".lock").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _cut_torn_tail(journal: Path) -> None:
    if not journal.is_file():
        return
    with journal.open("r+b") as handle:
        size = handle.seek(0, os.SEEK_END)
        if size == 0:
            return
        handle.seek(size - 1)
        if handle.read(1) == b"\n":
            return
        handle.seek(0)
        kept = handle.read().rfind(b"\n") + 1
        shutil.copyfile(journal, journal.with_suffix(".torn"))
        handle.truncate(kept)
