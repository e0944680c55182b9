"""What tests write need not reach the disk before they go on: none of them cuts the power."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event


@contextmanager
def unforced() -> Iterator[None]:
    """Let a commit of SQLite take one millisecond and not forty, and a journal's line none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        event.listen(Engine, "connect", _trust_the_machine)
        yield
        event.remove(Engine, "connect", _trust_the_machine)


def _trust_the_machine(connection: Any, record: object) -> None:
    if type(connection).__module__ == "sqlite3":
        connection.execute("PRAGMA synchronous = OFF").close()
