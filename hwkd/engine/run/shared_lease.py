"""Who works on what, in a database: rows that run out by the database's clock.

A holder renews its rows while it lives. A row that has run out is not taken at once: whoever finds
it marks it, and takes it when the mark has stood for a while. So a database that was away, or all
clocks that jump, cost nobody a lease: the holder's next renewal removes the mark.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import SQLAlchemyError

from hwkd.core.errors import HwkdError, LostLeaseError, RunFolderError
from hwkd.engine.run.database import Database, patiently
from hwkd.engine.run.lease import FolderLease

__all__ = ["DatabaseLease", "Holder", "create_leases", "holders"]

LEASE_S = 30.0
# The mark of a row that ran out stands so long, in shares of the lease, before it is taken.
_MARKED_SHARE = 0.5
_RENEWALS_PER_LEASE = 4.0
_POLL_S = 0.05
_NOBODY = "nobody"
_TABLE = """
CREATE TABLE IF NOT EXISTS hwkd_leases (
    study VARCHAR(512) NOT NULL, what VARCHAR(512) NOT NULL, owner VARCHAR(200) NOT NULL,
    since DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION NOT NULL,
    marked DOUBLE PRECISION, note TEXT, PRIMARY KEY (study, what))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A worker that holds leases on a study.

    Attributes:
        owner: name, host and process.
        trial: Optuna's number of the trial that it runs; None between trials.
        since_s: since when, in seconds.
        left_s: until its lease runs out; negative when it should have renewed it.
        note: what it said of itself.
    """

    owner: str
    trial: int | None
    since_s: float
    left_s: float
    note: Mapping[str, str]


def create_leases(database: Database) -> None:
    """Make the table, if it is not there."""
    with database.engine.begin() as connection:
        connection.execute(text(_TABLE))


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
            database: that holds the study.
            study: its name.
            name: of this process, for people.
            folder: of the run on this machine, which a search holds, too.
            lease_s: how long a lease lasts without being renewed, seconds.
        """
        self._database = database
        self._study = study
        self._folder = folder
        self._lease_s = lease_s
        self.owner = f"{_process(name, os.getpid())}{uuid4().hex[:4]}"
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
                self._release("asking")
            return
        connection = patiently(self._locked_connection, where=self._database.url)
        try:
            yield
        finally:
            # Closing frees the lock; a connection that was cut is free of it already. Two that
            # choose at once then are told apart by their claims.
            with suppress(SQLAlchemyError):
                connection.close()

    @contextmanager
    def present(self, note: Mapping[str, str]) -> Iterator[None]:
        """Be listed as a worker."""
        self._acquire(f"worker:{self.owner}", note=json.dumps(dict(note)))
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
        """Write while the row of the trial is locked; see `Lease.filing`.

        Raises:
            LostLeaseError: if somebody took the trial over.
        """
        locks = " FOR UPDATE" if self._database.kind == "postgresql" else ""

        def call() -> None:
            with self._database.engine.connect() as connection:
                found = self._run(
                    connection,
                    "SELECT owner FROM hwkd_leases WHERE study = :study AND what = :what "
                    f"AND owner = :owner{locks}",
                    what=f"trial:{trial}",
                )
                if found and not locks:
                    connection.rollback()  # or Optuna waits for us
                if found:
                    write()
                self._run(
                    connection,
                    "DELETE FROM hwkd_leases WHERE study = :study AND owner = :owner "
                    "AND (what LIKE 'trial:%' OR what LIKE 'network:%')",
                )
                connection.commit()
                if not found:
                    raise LostLeaseError(f"trial {trial} was taken over")

        patiently(call, where=self._database.url)

    def lost(self, running: Callable[[], Collection[int]]) -> Mapping[int, bool]:
        """Take over trials that nobody works on any more.

        Args:
            running: returns Optuna's numbers of the trials that run.

        Returns:
            Number -> whether a worker died in it; not so where none had begun.
        """
        numbers = running()

        def call() -> Mapping[int, bool]:
            with self._database.engine.begin() as connection:
                held = {row.what: row for row in self._rows(connection, "trial:%")}
                taken = {}
                for trial in numbers:
                    row = held.get(f"trial:{trial}")
                    if row is None:
                        self._insert_abandoned(connection, trial)
                    elif self._take_marked(connection, row.what):
                        taken[trial] = row.owner != _NOBODY
                self._mark(connection)
            return taken

        return patiently(call, where=self._database.url)

    def settle(self, trial: int) -> None:
        """Forget a trial that was queued again."""
        self._release(f"trial:{trial}")

    def end(self, name: str, pid: int) -> None:
        """Let all leases of a process of this machine run out that is known to be dead."""
        with self._database.engine.begin() as connection:
            self._run(
                connection,
                f"UPDATE hwkd_leases SET expires = {self._now} - 1, marked = 0 "
                "WHERE study = :study AND owner LIKE :prefix",
                prefix=f"{_process(name, pid)}%",
            )

    def leave(self) -> None:
        """Give back everything and stop renewing."""
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None
        with suppress(SQLAlchemyError), self._database.engine.begin() as connection:
            self._run(
                connection,
                "DELETE FROM hwkd_leases WHERE study = :study AND owner = :owner",
            )

    @property
    def _now(self) -> str:
        return self._database.now

    def _locked_connection(self) -> Connection:
        connection = self._database.engine.connect()
        try:
            connection.execute(
                text("SELECT pg_advisory_lock(hashtext('hwkd'), hashtext(:study))"),
                {"study": self._study},
            )
        except BaseException:
            with suppress(SQLAlchemyError):
                connection.close()
            raise
        return connection

    def _acquire_search(self) -> None:
        """Raise RunFolderError if another search lives on."""
        deadline = time.monotonic() + (1.0 + _MARKED_SHARE) * self._lease_s + 2.0
        while not self._acquire("search"):
            owners = patiently(self._searches, where=self._database.url)
            if time.monotonic() > deadline and owners:
                raise RunFolderError(
                    f"--study {self._study}: a search holds it ({owners[0]}); wait for it, or add "
                    "workers with hwkd worker"
                )
            time.sleep(min(1.0, self._lease_s / 10))

    def _searches(self) -> list[str]:
        with self._database.engine.connect() as connection:
            return [row.owner for row in self._rows(connection, "search")]

    def _acquire(self, what: str, note: str | None = None) -> bool:
        def call() -> bool:
            with self._database.engine.begin() as connection:
                found = self._run(
                    connection,
                    "INSERT INTO hwkd_leases (study, what, owner, since, expires, note) "
                    f"VALUES (:study, :what, :owner, {self._now}, {self._now} + :lease_s, :note) "
                    "ON CONFLICT (study, what) DO UPDATE SET owner = excluded.owner, "
                    "since = excluded.since, expires = excluded.expires, note = excluded.note, "
                    "marked = NULL WHERE hwkd_leases.owner = excluded.owner "
                    f"OR hwkd_leases.marked < {self._now} - :marked_s RETURNING what",
                    what=what,
                    note=note,
                )
                if not found:
                    self._mark(connection)
                return bool(found)

        held = patiently(call, where=self._database.url)
        if held and self._pulse is None:
            self._pulse = _Pulse(self._renew, self._lease_s / _RENEWALS_PER_LEASE)
        return held

    def _renew(self) -> None:
        with self._database.engine.begin() as connection:
            self._run(
                connection,
                f"UPDATE hwkd_leases SET expires = {self._now} + :lease_s, marked = NULL "
                "WHERE study = :study AND owner = :owner",
            )

    def _mark(self, connection: Connection) -> None:
        self._run(
            connection,
            f"UPDATE hwkd_leases SET marked = {self._now} "
            f"WHERE study = :study AND expires < {self._now} AND marked IS NULL",
        )

    def _take_marked(self, connection: Connection, what: str) -> bool:
        return bool(
            self._run(
                connection,
                "UPDATE hwkd_leases SET owner = :owner, marked = NULL, "
                f"expires = {self._now} + :lease_s WHERE study = :study AND what = :what "
                f"AND marked < {self._now} - :marked_s RETURNING what",
                what=what,
            )
        )

    def _insert_abandoned(self, connection: Connection, trial: int) -> None:
        self._run(
            connection,
            "INSERT INTO hwkd_leases (study, what, owner, since, expires, marked) VALUES "
            f"(:study, :what, '{_NOBODY}', {self._now}, {self._now}, {self._now}) "
            "ON CONFLICT (study, what) DO NOTHING",
            what=f"trial:{trial}",
        )

    def _release(self, what: str) -> None:
        def call() -> None:
            with self._database.engine.begin() as connection:
                self._run(
                    connection,
                    "DELETE FROM hwkd_leases WHERE study = :study AND what = :what "
                    "AND owner = :owner",
                    what=what,
                )

        patiently(call, where=self._database.url)

    def _rows(self, connection: Connection, pattern: str) -> list[Row[tuple[str, ...]]]:
        return self._run(
            connection,
            "SELECT what, owner FROM hwkd_leases WHERE study = :study AND what LIKE :pattern",
            pattern=pattern,
        )

    def _run(
        self, connection: Connection, statement: str, **values: object
    ) -> list[Row[tuple[str, ...]]]:
        known = {
            "study": self._study,
            "owner": self.owner,
            "lease_s": self._lease_s,
            "marked_s": _MARKED_SHARE * self._lease_s,
        }
        result = connection.execute(text(statement), known | values)
        return list(result) if result.returns_rows else []


def holders(database: Database, study: str) -> tuple[Holder, ...]:
    """Return who is at work on a study, by name."""
    with database.engine.connect() as connection:
        rows = connection.execute(
            text(
                f"SELECT what, owner, {database.now} - since AS since_s, "
                f"expires - {database.now} AS left_s, note FROM hwkd_leases "
                "WHERE study = :study AND (what LIKE 'worker:%' OR what LIKE 'trial:%')"
            ),
            {"study": study},
        ).all()
    trials = {row.owner: row for row in rows if row.what.startswith("trial:")}
    found = []
    for row in rows:
        if row.what.startswith("worker:"):
            at = trials.get(row.owner)
            found.append(
                Holder(
                    owner=row.owner,
                    trial=None if at is None else int(at.what.partition(":")[2]),
                    since_s=row.since_s if at is None else at.since_s,
                    left_s=row.left_s,
                    note=json.loads(row.note or "{}"),
                )
            )
    return tuple(sorted(found, key=lambda worker: worker.owner))


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
