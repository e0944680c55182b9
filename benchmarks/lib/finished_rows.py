"""Rows that a benchmark has finished, a line of JSON each, so that it goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class FinishedRows:
    """Rows by a name and the settings that they depend on; in memory alone without a file."""

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        """Read the rows of the same settings.

        Args:
            path: file to read and to append to, or None. hwkd itself is no setting: after a change
                of the code take a new file.
            settings: JSON values.
        """
        self._path = path
        self._settings = json.loads(json.dumps(settings))
        self._rows: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._read(line)

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return  # a line that was cut off is computed again
        if entry["settings"] == self._settings:
            self._rows[entry["name"]] = entry["row"]

    def find(self, name: str) -> dict[str, Any] | None:
        """Return a finished row, or None."""
        return self._rows.get(name)

    def all(self) -> list[dict[str, Any]]:
        """Return every finished row."""
        return list(self._rows.values())

    def add(self, name: str, row: dict[str, Any]) -> None:
        """Keep a row; it is in the file when this returns."""
        self._rows[name] = row
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        entry = {"name": name, "settings": self._settings, "row": row}
        with self._path.open("a", encoding="utf-8") as file:
            # A line of its own also behind one that was cut off.
            file.write("\n" * self._ends_in_a_line() + json.dumps(entry) + "\n")

    def _ends_in_a_line(self) -> bool:
        assert self._path is not None
        text = self._path.read_bytes() if self._path.exists() else b""
        return bool(text) and not text.endswith(b"\n")
