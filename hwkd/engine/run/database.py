"""A database that several machines reach: its URL, its clock, and patience while it is away."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from hwkd.core.errors import ConfigError, UnreachableError, first_line

_T = TypeVar("_T")
# A restart of the server, or of what lies between, takes less; a search outlives it.
PATIENCE_S = 120.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
# Seconds since 1970 by the clock of the database, within a statement that takes a moment.
_CLOCKS = {
    "postgresql": "EXTRACT(EPOCH FROM clock_timestamp())::float8",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}
# Two processes that write at once wait for each other; SQLite's own five seconds end a busy search.
_SQLITE_WAITS_S = 60
# The server notices within half a minute that a machine which held a lock is gone.
_POSTGRESQL_WATCHES = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
}
# Classes of SQLSTATE that pass: connection, transaction, resources, operator's intervention.
_PASSING_STATES = ("08", "40", "53", "57")
_PASSING_REFUSALS = ("starting up", "shutting down", "recovery", "too many", "remaining connection")


@dataclass(frozen=True)
class Database:
    """Where a shared study lies.

    Attributes:
        url: with its driver, without a password: libpq finds that in PGPASSWORD or ~/.pgpass.
    """

    url: str

    @classmethod
    def of(cls, given: str) -> Database:
        """Read what a user gave, as postgresql://user:password@host/name.

        A password goes to the environment (PGPASSWORD), which worker processes inherit, so that no
        file of a run holds it.

        Raises:
            ConfigError: if it is no URL of a database that hwkd knows.
        """
        try:
            url = make_url(given)
        except ArgumentError:
            raise ConfigError(
                f"--storage {given}: is no URL of a database; give one as "
                "postgresql://user@host/name"
            ) from None
        kind, _, driver = url.drivername.partition("+")
        kind = "postgresql" if kind == "postgres" else kind
        if kind not in _CLOCKS:
            raise ConfigError(
                f"--storage {_shown(url)}: {kind} is no database that hwkd can share a search in; "
                "give postgresql://user@host/name, or sqlite:///FILE on one machine"
            )
        if kind == "postgresql":
            query = dict(url.query)
            password = query.pop("password", url.password)
            if password is not None:
                os.environ["PGPASSWORD"] = str(password)
            url = URL.create(
                f"{kind}+{driver or 'psycopg'}",
                username=url.username,
                host=url.host,
                port=url.port,
                database=url.database,
                query=query,
            )
        return cls(url.render_as_string(hide_password=False))

    @property
    def kind(self) -> str:
        """Name of the database system, "postgresql" or "sqlite"."""
        return make_url(self.url).get_backend_name()

    @property
    def now(self) -> str:
        """SQL of the seconds since 1970 by the database's clock."""
        return _CLOCKS[self.kind]

    @property
    def connect_args(self) -> dict[str, object]:
        """What the driver is given for every connection."""
        if self.kind == "sqlite":
            return {"timeout": _SQLITE_WAITS_S}
        return dict(_POSTGRESQL_WATCHES)

    @property
    def pooling(self) -> dict[str, Any]:
        """How connections are kept: one to a server, which takes milliseconds to make another."""
        if self.kind == "sqlite":
            return {"poolclass": NullPool}
        return {"pool_size": 2, "max_overflow": 1}

    @cached_property
    def engine(self) -> Engine:
        """Connections beside those of Optuna's.

        Raises:
            ConfigError: if the driver is not installed.
        """
        try:
            engine = create_engine(self.url, connect_args=self.connect_args, **self.pooling)
        except (ImportError, NoSuchModuleError) as error:
            raise ConfigError(
                f"{self.url}: the driver of this database is not installed ({first_line(error)}); "
                "install it with pip install 'hwkd[postgresql]', or use another URL"
            ) from None
        weakref.finalize(self, engine.dispose)  # or connections stay open without it
        return engine

    def autocommitting(self) -> Connection:
        """Return a connection on which each statement is a transaction of its own."""
        return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def require_reachable(self) -> None:
        """Ask the server once for its time.

        Raises:
            UnreachableError: if it does not answer, which may pass.
            ConfigError: if it refuses, or the driver is not installed.
        """
        patiently(self.time_s, where=self.url, patience_s=0.0)

    def time_s(self) -> float:
        """Return the seconds since 1970 by the database's clock."""
        with self.engine.connect() as connection:
            return float(connection.execute(text(f"SELECT {self.now}")).scalar_one())


def patiently(call: Callable[[], _T], *, where: str, patience_s: float = PATIENCE_S) -> _T:
    """Call again while the database is away.

    What was called may have been done although its answer was lost, so it must stand being done
    twice.

    Args:
        patience_s: how long; 0 asks once.

    Raises:
        UnreachableError: if it stays away.
        ConfigError: if it refuses whoever asks.
    """
    begun, pause_s = time.monotonic(), _FIRST_PAUSE_S
    while True:
        try:
            return call()
        except (SQLAlchemyError, StorageInternalError) as error:
            cause = _cause(error)
            if cause is None:
                raise
            reason = first_line(cause)
            if not _passes(cause):
                raise ConfigError(
                    f"{where}: the database refuses ({reason}); check the URL and the rights of "
                    "its user"
                ) from error
            waited_s = time.monotonic() - begun
            if waited_s >= patience_s:
                raise UnreachableError(
                    f"{where}: the database does not answer ({reason}); try again later"
                ) from error
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _cause(error: Exception) -> Exception | None:
    """Return what the driver said of the server; None when the statement was at fault."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, DBAPIError):
        found = found.__cause__ or found.__context__  # a session says first that it is broken
    if found is None or found.orig is None:
        return None
    if "no such table" in str(found.orig):
        return None
    is_gone = found.connection_invalidated
    is_operational = type(found.orig).__name__ in ("OperationalError", "InterfaceError")
    state = getattr(found.orig, "sqlstate", None) or ""
    cause = found.orig
    if not isinstance(cause, Exception):
        return None
    return cause if is_gone or is_operational or state[:2] in _PASSING_STATES else None


def _passes(cause: Exception) -> bool:
    state, message = getattr(cause, "sqlstate", None), str(cause)
    if state is not None:
        return state[:2] in _PASSING_STATES
    if type(cause).__module__ == "sqlite3":  # has no server that could be away
        return "locked" in message
    return "FATAL" not in message or any(text in message for text in _PASSING_REFUSALS)


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
