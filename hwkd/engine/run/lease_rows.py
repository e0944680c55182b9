"""The table of leases in a database: rows that run out by the database's clock.

A row that has run out is not taken at once: whoever finds it marks it, and takes it when the mark
has stood for a while. So a database that was away, or all clocks that jump, cost nobody a lease:
the holder's next renewal removes the mark.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import SQLAlchemyError

from hwkd.core.errors import LostLeaseError
from hwkd.engine.run.database import Database, patiently

_T = TypeVar("_T")
# The mark of a row that ran out stands so long, in shares of the lease, before it is taken.
MARKED_SHARE = 0.5
_NOBODY = "nobody"
_TABLE = """
CREATE TABLE IF NOT EXISTS hwkd_leases (
    study VARCHAR(512) NOT NULL, what VARCHAR(512) NOT NULL, owner VARCHAR(200) NOT NULL,
    since DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION NOT NULL,
    marked DOUBLE PRECISION, note TEXT, PRIMARY KEY (study, what))
"""
_INDEX = "CREATE INDEX IF NOT EXISTS hwkd_leases_owner ON hwkd_leases (study, owner)"
# NOW is the clock of the database that is asked.
_ACQUIRE = """
INSERT INTO hwkd_leases (study, what, owner, since, expires, note)
VALUES (:study, :what, :owner, NOW, NOW + :lease_s, :note)
ON CONFLICT (study, what) DO UPDATE SET owner = excluded.owner, since = excluded.since,
    expires = excluded.expires, note = excluded.note, marked = NULL
WHERE hwkd_leases.owner = excluded.owner OR hwkd_leases.marked < NOW - :marked_s RETURNING what
"""
_RENEW = """
UPDATE hwkd_leases SET expires = NOW + :lease_s, marked = NULL
WHERE study = :study AND owner = :owner
"""
_MARK = """
UPDATE hwkd_leases SET marked = NOW
WHERE study = :study AND expires < NOW AND marked IS NULL
"""
_TAKE = """
UPDATE hwkd_leases SET owner = :owner, marked = NULL, expires = NOW + :lease_s
WHERE study = :study AND what = :what AND marked < NOW - :marked_s RETURNING what
"""
_ABANDONED = f"""
INSERT INTO hwkd_leases (study, what, owner, since, expires, marked)
VALUES (:study, :what, '{_NOBODY}', NOW, NOW, NOW) ON CONFLICT (study, what) DO NOTHING
"""
_EXPIRE = """
UPDATE hwkd_leases SET expires = NOW - 1, marked = 0 WHERE study = :study AND owner LIKE :prefix
"""
_FIND = "SELECT what, owner FROM hwkd_leases WHERE study = :study AND what LIKE :what"
_TRIALS = """
SELECT what, owner, marked < NOW - :marked_s AS may_be_taken, expires < NOW AS ran_out
FROM hwkd_leases WHERE study = :study AND what LIKE 'trial:%'
"""
_RELEASE = "DELETE FROM hwkd_leases WHERE study = :study AND owner = :owner"
_WORKERS = """
SELECT what, owner, NOW - since AS since_s, expires - NOW AS left_s, note FROM hwkd_leases
WHERE study = :study AND (what LIKE 'worker:%' OR what LIKE 'trial:%') ORDER BY owner
"""


def create_leases(database: Database) -> None:
    """Make the table, if it is not there."""
    with database.engine.begin() as connection:
        connection.execute(text(_TABLE))
        connection.execute(text(_INDEX))


def forget_leases(database: Database, study: str) -> None:
    """Delete all rows of a study."""
    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM hwkd_leases WHERE study = :study"), {"study": study})


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRows:
    """The rows of one owner in one study.

    Attributes:
        owner: unique name of a process.
        lease_s: how long a row lasts without being renewed, seconds.
        connection: that serves instead of one of the database's.
    """

    database: Database
    study: str
    owner: str
    lease_s: float
    connection: Connection | None = None

    def acquire(self, what: str, note: Mapping[str, str] | None = None) -> bool:
        """Hold something unless another owner does; who finds its row run out marks it."""
        kept = None if note is None else json.dumps(dict(note))

        def call(connection: Connection) -> bool:
            is_held = bool(self._run(connection, _ACQUIRE, what=what, note=kept))
            if not is_held:
                self._run(connection, _MARK)
            return is_held

        return self._patiently(call)

    def renew(self) -> None:
        """Let all rows last on."""
        with self.database.autocommitting() as connection:
            self._run(connection, _RENEW)

    def release(self, what: str) -> None:
        """Give one row back."""
        self._patiently(lambda c: self._run(c, f"{_RELEASE} AND what = :what", what=what))

    def release_all(self) -> None:
        """Give back every row, if the database is there; else they run out."""
        with suppress(SQLAlchemyError), self.database.engine.begin() as connection:
            self._run(connection, _RELEASE)

    def owners(self, what: str) -> list[str]:
        """Return who holds something."""
        return self._patiently(lambda c: [row.owner for row in self._run(c, _FIND, what=what)])

    def expire(self, prefix: str) -> None:
        """Let the rows of owners that begin so run out, marks and all."""
        self._patiently(lambda c: self._run(c, _EXPIRE, prefix=f"{prefix}%"))

    def file(self, trial: int, write: Callable[[], object]) -> None:
        """Write while the row of a trial is locked, and give back the trial and its network.

        Raises:
            LostLeaseError: if another owner has it; nothing is written.
        """
        locks = " FOR UPDATE" if self.database.kind == "postgresql" else ""

        def call() -> None:
            with self.database.engine.connect() as connection:
                found = self._run(
                    connection, f"{_FIND} AND owner = :owner{locks}", what=f"trial:{trial}"
                )
                if found and not locks:
                    connection.rollback()  # or Optuna waits for us
                if found:
                    write()
                self._run(
                    connection, f"{_RELEASE} AND (what LIKE 'trial:%' OR what LIKE 'network:%')"
                )
                connection.commit()
                if not found:
                    raise LostLeaseError(f"trial {trial} was taken over")

        patiently(call, where=self.database.url)

    def take_lost(self, running: Callable[[], Collection[int]]) -> Mapping[int, bool]:
        """Take trials that run although nobody holds them; this owner holds none of its own now.

        Args:
            running: asked after the rows were read, so that what is filed meanwhile has both or
                neither: only who may choose begins a trial.

        Returns:
            Number -> whether an owner let it run out; not so where none had begun.
        """

        def call(connection: Connection) -> Mapping[int, bool]:
            held = {row.what: row for row in self._run(connection, _TRIALS)}
            taken = {}
            for trial in running():
                what = f"trial:{trial}"
                row = held.get(what)
                if row is None:
                    self._run(connection, _ABANDONED, what=what)
                # It is ours already when the answer to an earlier call was lost.
                elif row.owner == self.owner or (
                    row.may_be_taken and self._run(connection, _TAKE, what=what)
                ):
                    taken[trial] = row.owner != _NOBODY
            if any(row.ran_out for row in held.values()):
                self._run(connection, _MARK)
            return taken

        return self._patiently(call)

    def _patiently(self, call: Callable[[Connection], _T]) -> _T:
        """Do something, each statement for itself, again while the database is away."""

        def once() -> _T:
            with self._connected() as connection, connection.begin():
                return call(connection)

        return patiently(once, where=self.database.url)

    def _connected(self) -> AbstractContextManager[Connection]:
        if self.connection is not None:
            return nullcontext(self.connection)
        return self.database.autocommitting()

    def _run(
        self, connection: Connection, statement: str, **values: object
    ) -> list[Row[tuple[str, ...]]]:
        known = {
            "study": self.study,
            "owner": self.owner,
            "lease_s": self.lease_s,
            "marked_s": MARKED_SHARE * self.lease_s,
        }
        asked = text(statement.replace("NOW", self.database.now))
        result = connection.execute(asked, known | values)
        return list(result) if result.returns_rows else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A worker that holds leases on a study.

    Attributes:
        owner: name, host and process.
        trial: Optuna's number of the trial that it runs; None between trials.
        left_s: until its lease runs out; negative when it should have renewed it.
    """

    owner: str
    trial: int | None
    since_s: float
    left_s: float
    note: Mapping[str, str]


def holders(database: Database, study: str) -> tuple[Holder, ...]:
    """Return who is at work on a study, by name."""
    with database.engine.connect() as connection:
        asked = text(_WORKERS.replace("NOW", database.now))
        rows = connection.execute(asked, {"study": study}).all()
    trials = {row.owner: row for row in rows if row.what.startswith("trial:")}
    return tuple(
        Holder(
            owner=row.owner,
            trial=int(trials[row.owner].what.partition(":")[2]) if row.owner in trials else None,
            since_s=trials.get(row.owner, row).since_s,
            left_s=row.left_s,
            note=json.loads(row.note or "{}"),
        )
        for row in rows
        if row.what.startswith("worker:")
    )
