"""Who works on what: one search in a run, one process that chooses the next candidate.

The folder's lease is a kernel lock: the kernel drops it when its holder dies, at once and without a
clock. The lease in a database, which machines share that share no kernel, is in `shared_lease`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

from hwkd.core.errors import HwkdError, RunFolderError
from hwkd.io.run_lock import LOCK_FILE, is_alive
from hwkd.io.run_text import run_writes

# One that still imports on a machine where it gets a twentieth of a core sees only then that its
# parent is gone.
_SECONDS_TO_WAIT_FOR_ORPHANS = 120.0
# A reader that looks whether the folder is held (`run_lock.is_held`) holds it for an instant.
_SECONDS_TO_WAIT_FOR_READERS = 0.5


class Lease(Protocol):
    """Rights that one process at a time has, until it gives them back or dies."""

    def held(self) -> AbstractContextManager[tuple[int, ...]]:
        """Hold the run for one search.

        Yields:
            Open files that worker processes must keep open, so that a search that was killed holds
            the run until its last worker is gone.

        Raises:
            RunFolderError: if another search holds it.
        """
        ...

    def asking(self) -> AbstractContextManager[None]:
        """Hold the right to choose and take the next candidate."""
        ...

    def present(self, note: Mapping[str, str]) -> AbstractContextManager[None]:
        """Be listed as a worker, with what it says of itself."""
        ...

    def begin(self, trial: int) -> None:
        """Hold a trial that was just taken, by Optuna's number."""
        ...

    def claim(self, network: str) -> bool:
        """Hold a network for training; False when another process trains it."""
        ...

    def filing(self, trial: int, write: Callable[[], object]) -> None:
        """File a trial or queue it again while nobody can take it over, then let go of it.

        Args:
            trial: Optuna's number.
            write: does it; it may be called again when a database lost its answer.

        Raises:
            LostLeaseError: if another process took it over.
        """
        ...

    def lost(self, running: Callable[[], Collection[int]]) -> Mapping[int, bool]:
        """Take over trials that nobody works on any more.

        Args:
            running: returns Optuna's numbers of the trials that run.

        Returns:
            Number -> whether a worker died in it.
        """
        ...

    def settle(self, trial: int) -> None:
        """Let go of a trial that was taken over and queued again."""
        ...

    def end(self, process: str, pid: int, requeue: Callable[[], object]) -> None:
        """Let go of what a worker of this search held that is known to be dead.

        Args:
            requeue: queues its trial again, where no other machine may have taken it.
        """
        ...


class FolderLease:
    """Kernel locks on two files of a run folder."""

    def __init__(self, folder: Path, *, asking_file: Path) -> None:
        """Name the files.

        Args:
            asking_file: that exists as long as the run; who locks it chooses.
        """
        self._folder = folder
        self._asking_file = asking_file

    @contextmanager
    def held(self) -> Iterator[tuple[int, ...]]:
        """Hold the folder; see `Lease.held`."""
        with ExitStack() as stack:
            with run_writes(self._folder):
                handle = stack.enter_context((self._folder / LOCK_FILE).open("a+"))
            asked = time.monotonic()
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    handle.seek(0)
                    self._wait(handle.read().strip(), time.monotonic() - asked)
            with run_writes(self._folder):
                handle.seek(0)
                handle.truncate()
                handle.write(str(os.getpid()))
                handle.flush()
            try:
                yield (handle.fileno(),)
            except Exception as error:
                # A refusal takes its new folder away itself, and says why.
                refuses = isinstance(error, HwkdError) and not isinstance(error, RunFolderError)
                if refuses or self._asking_file.exists():
                    raise
                # Whatever else failed, its cause is that the files are gone.
                raise RunFolderError(
                    f"{self._folder}: was moved or deleted while it was in use, so nothing more is "
                    "saved; begin again with a new --out, or resume it where it is now"
                ) from None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Hold the right to choose; the kernel frees it when a process dies."""
        with run_writes(self._folder), self._asking_file.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def present(self, note: Mapping[str, str]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Do nothing: workers note beside the run what they do."""
        return nullcontext()

    def begin(self, trial: int) -> None:
        """Do nothing: the search that holds the folder knows which worker runs what."""

    def claim(self, network: str) -> bool:  # noqa: ARG002
        """Say yes: who chooses sees what the others train."""
        return True

    def filing(self, trial: int, write: Callable[[], object]) -> None:  # noqa: ARG002
        """Write, no more; see `begin`."""
        write()

    def lost(self, running: Callable[[], Collection[int]]) -> Mapping[int, bool]:  # noqa: ARG002
        """Find none: the search sees its workers die."""
        return {}

    def settle(self, trial: int) -> None:
        """Do nothing; see `begin`."""

    def end(self, process: str, pid: int, requeue: Callable[[], object]) -> None:  # noqa: ARG002
        """Queue its trial again at once."""
        requeue()

    def _wait(self, owner: str, waited_s: float) -> None:
        is_other = owner.isdigit() and int(owner) != os.getpid() and is_alive(int(owner))
        if waited_s > (_SECONDS_TO_WAIT_FOR_READERS if is_other else _SECONDS_TO_WAIT_FOR_ORPHANS):
            raise RunFolderError(
                f"{self._folder}: a search is running in it (process {owner}); "
                "wait for it or choose another folder"
            ) from None
        time.sleep(0.1)
