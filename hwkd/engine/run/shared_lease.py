"""Who works on what, where machines share no kernel: rows in a database, renewed by a thread."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from uuid import uuid4

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from hwkd.core.errors import HwkdError, LostLeaseError, RunFolderError
from hwkd.engine.run.database import Database, patiently
from hwkd.engine.run.lease import FolderLease
from hwkd.engine.run.lease_rows import MARKED_SHARE, LeaseRows
from hwkd.engine.run.study_place import LEASE_S

_RENEWALS_PER_LEASE = 4.0
_POLL_S = 0.05
_CHOOSES = text("SELECT pg_advisory_lock(hashtext('hwkd'), hashtext(:study))")
_HAS_CHOSEN = text("SELECT pg_advisory_unlock(hashtext('hwkd'), hashtext(:study))")


class DatabaseLease:
    """Leases of one process on one study; see `hwkd.engine.run.lease.Lease`."""

    def __init__(
        self,
        database: Database,
        study: str,
        *,
        name: str,
        folder: FolderLease | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        """Nothing is asked yet.

        Args:
            name: of this process, for people.
            folder: of the run on this machine, which a search holds, too.
            lease_s: how long a lease lasts without being renewed, seconds.
        """
        self.owner = f"{_process(name, os.getpid())}{uuid4().hex[:4]}"
        self._database, self._study, self._folder = database, study, folder
        self._rows = LeaseRows(database=database, study=study, owner=self.owner, lease_s=lease_s)
        # The same on the connection that holds the right to choose, while this process has it.
        self._choosing_rows = self._rows
        self._pulse: _Pulse | None = None

    @contextmanager
    def held(self) -> Iterator[tuple[int, ...]]:
        """Hold the study for one search, and its folder."""
        with self._folder.held() if self._folder else nullcontext(()) as descriptors:
            self._acquire_search()
            try:
                yield descriptors
            finally:
                self.leave()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Hold the right to choose: a lock of the server's, or of a row in SQLite."""
        if self._database.kind != "postgresql":
            while not self._acquire("asking"):
                time.sleep(_POLL_S)
            try:
                yield
            finally:
                self._rows.release("asking")
            return
        connection = patiently(self._locked_connection, where=self._database.url)
        self._choosing_rows = replace(self._rows, connection=connection)
        try:
            yield
        finally:
            self._choosing_rows = self._rows
            # A connection that was cut is free of the lock already. Two that choose at once then
            # are told apart by their claims.
            with suppress(SQLAlchemyError):
                self._unlock(connection)

    @contextmanager
    def present(self, note: Mapping[str, str]) -> Iterator[None]:
        """Be listed as a worker."""
        self._acquire(f"worker:{self.owner}", note)
        try:
            yield
        finally:
            self.leave()

    def begin(self, trial: int) -> None:
        """Hold a trial that was just taken; renewed until it is filed or given back.

        Raises:
            LostLeaseError: if somebody thought it abandoned meanwhile.
        """
        if not self._acquire(f"trial:{trial}"):
            raise LostLeaseError(f"trial {trial} was taken over")

    def claim(self, network: str) -> bool:
        """Hold a network for training; False when another process trains it."""
        return self._acquire(f"network:{network}")

    def filing(self, trial: int, write: Callable[[], object]) -> None:
        """Write while the row of the trial is locked; see `Lease.filing`."""
        self._rows.file(trial, write)

    def lost(self, running: Callable[[], Collection[int]]) -> Mapping[int, bool]:
        """Take over trials that nobody works on any more; see `Lease.lost`."""
        return self._choosing_rows.take_lost(running)

    def settle(self, trial: int) -> None:
        """Forget a trial that was queued again."""
        self._choosing_rows.release(f"trial:{trial}")

    def end(self, process: str, pid: int, requeue: Callable[[], object]) -> None:
        """Let all leases of a worker of this machine run out; whoever asks next finds them."""
        del requeue
        self._rows.expire(_process(process, pid))

    def leave(self) -> None:
        """Give back everything and stop renewing."""
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None
        self._rows.release_all()

    def _locked_connection(self) -> Connection:
        connection = self._database.autocommitting()
        try:
            connection.execute(_CHOOSES, {"study": self._study})
            connection.commit()  # the session holds the lock, not the transaction
        except BaseException:
            with suppress(SQLAlchemyError):
                self._unlock(connection)
            raise
        return connection

    def _unlock(self, connection: Connection) -> None:
        """Let others choose; a connection that may still hold the lock is never used again."""
        is_free = False
        try:
            connection.rollback()
            connection.execute(_HAS_CHOSEN, {"study": self._study})
            is_free = True
        finally:
            if not is_free:
                connection.invalidate()
            connection.close()

    def _acquire_search(self) -> None:
        """Raise RunFolderError if another search lives on."""
        lease_s = self._rows.lease_s
        deadline = time.monotonic() + (1.0 + MARKED_SHARE) * lease_s + 2.0
        while not self._acquire("search"):
            owners = self._rows.owners("search")
            if time.monotonic() > deadline and owners:
                raise RunFolderError(
                    f"--study {self._study}: a search holds it ({owners[0]}); wait for it, or add "
                    "workers with hwkd worker"
                )
            time.sleep(min(1.0, lease_s / 10))

    def _acquire(self, what: str, note: Mapping[str, str] | None = None) -> bool:
        is_held = self._choosing_rows.acquire(what, note)
        if is_held and self._pulse is None:
            self._pulse = _Pulse(self._rows.renew, self._rows.lease_s / _RENEWALS_PER_LEASE)
        return is_held


def _process(name: str, pid: int) -> str:
    """Return how the owners begin that a process of this machine is."""
    return f"{name}@{socket.gethostname()}:{pid}:"


class _Pulse:
    """Renews leases beside the work; a database that is away is asked again a moment later."""

    def __init__(self, renew: Callable[[], None], every_s: float) -> None:
        self._over = threading.Event()
        self._renew, self._every_s = renew, every_s
        threading.Thread(target=self._beat, daemon=True, name="hwkd-lease").start()

    def stop(self) -> None:
        self._over.set()

    def _beat(self) -> None:
        while not self._over.wait(self._every_s):
            with suppress(SQLAlchemyError, HwkdError):
                self._renew()
