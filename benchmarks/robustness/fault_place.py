"""A folder in which a small search runs while something happens to it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SEARCH = (
    "--device", "cortex-m7", "--space", "plain", "--trials", "4", "--brief-epochs", "2",
    "--full-epochs", "3", "--controls", "0", "--seed", "0",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def fault(self) -> str:
        """What no command may do, whatever happened to it."""
        if "Traceback" in self.err or "Traceback" in self.out:
            return f"traceback: {self.err.strip().splitlines()[-1]}"
        if self.code == 2 and len(self.err.strip().splitlines()) > 1:
            return f"{len(self.err.strip().splitlines())} lines instead of one: {self.err[:200]!r}"
        return ""


@dataclass(kw_only=True)
class Place:
    """A folder for one situation.

    Attributes:
        folder: of its own.
        cache: with the teacher of the digits in it.
        draw: of moments.
        longest_s: that a command may take.
        run: where the search goes.
    """

    folder: Path
    cache: Path
    draw: random.Random
    longest_s: float = 180.0
    run: Path = field(init=False)

    def __post_init__(self) -> None:
        """Name the run folder."""
        self.run = self.folder / "run"

    def command(self, *options: str) -> list[str]:
        """Return a new search, with further options."""
        return [*_hwkd(), "search", *_SEARCH, "--out", str(self.run), "--json", *options]

    def environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Return this process's environment; None takes a variable away."""
        found = {**os.environ, "HWKD_CACHE_DIR": str(self.cache), "OMP_NUM_THREADS": "1"}
        for name, value in changes.items():
            if value is None:
                found.pop(name, None)
            else:
                found[name] = value
        return found

    def search(
        self,
        *options: str,
        changes: Mapping[str, str | None] | None = None,
        before: Callable[[], None] | None = None,
        of: Sequence[str] | None = None,
    ) -> Done:
        """Run a search, or the command `of`, to its end."""
        done = subprocess.run(
            of or self.command(*options),
            env=self.environment(changes or {}),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=self.longest_s,
            preexec_fn=before,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Begin a search in a process group of its own."""
        return subprocess.Popen(
            self.command(*options),
            env=self.environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def next_command(self, *options: str) -> list[str]:
        """Return what goes on with the run, or starts it where there is none."""
        if (self.run / "journal.log").is_file():
            return [*_hwkd(), "search", "--resume", str(self.run), "--json"]
        return self.command(*options)

    def finishes(self) -> str:
        """Go on with the run, or start it again where there is none; returns what is wrong."""
        done = subprocess.run(
            self.next_command(), env=self.environment({}), capture_output=True, text=True,
            check=False, timeout=self.longest_s,
        )  # fmt: skip
        if done.returncode:
            return f"cannot go on: {done.stderr.strip()[:300]}"
        status = json.loads((self.run / "run.json").read_text())["status"]
        missing = [n for n in ("report.html", "best") if not (self.run / n).exists()]
        return f"{status}, without {missing}" if missing or status != "finished" else ""


def _hwkd() -> list[str]:
    return [sys.executable, "-m", "hwkd"]


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """Have a file system of its own in a folder; needs root."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into a folder, root neither; needs root."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
