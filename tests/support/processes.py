"""Processes of `hwkd` that tests interrupt, kill or starve; each is a fork that imports nothing."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hwkd.engine.arms.children import Child, Nursery

# Imported by name in processes that know nothing of the tests: its folder is in PYTHONPATH.
ON_PATH = Path(__file__).parent / "on_path"
_MODULE = "hwkd_processes"


class Started:
    """A command at work."""

    def __init__(self, child: Child, log: Path) -> None:
        self._child, self._log = child, log
        self.pid = child.pid

    def printed(self) -> str:
        """Return all that it has printed so far."""
        return self._log.read_text()

    def told(self) -> Any:
        """Return what it printed as JSON when it ended, after lines about its progress."""
        assert self.ended() == 0, self.printed()
        return json.loads(re.split(r"^(?=[{\[])", self.printed(), maxsplit=1, flags=re.M)[1])

    def is_running(self) -> bool:
        return self._child.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def ended(self) -> int:
        """Wait for its end; returns the exit code, negative for a signal."""
        return self._child.wait(timeout=120)


class Processes:
    """Starts commands of one test."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        """Keep what they print in a folder."""
        self._nursery, self._folder, self._count = nursery, folder, 0

    def start(self, command: Sequence[object], special: str = "as it is") -> Started:
        """Start `hwkd COMMAND`; `support/on_path/hwkd_processes.py` knows what may be special."""
        self._count += 1
        log = self._folder / f"process{self._count}.log"
        log.touch()
        words = [special, *map(str, command)]
        child = self._nursery.start(cast("Any", _MODULE), words, log=log, threads=1)
        return Started(child, log)
