"""Child processes of a search: workers and full trainings, started without importing all anew.

Importing torch and what comes with it takes four processor seconds, and a search of a minute
starts four processes. On Linux one process imports everything once and forks the others from
itself; it has never run a tensor operation, so there are no threads that a fork would lose. The
next search of the same program takes it over. Elsewhere every child is an interpreter of its own.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from hwkd.core.errors import HwkdError

ChildModule: TypeAlias = Literal["hwkd.engine.search.worker", "hwkd.engine.arms.train_arm"]
MESSAGE_BYTES = 65_536
_POLL_S = 0.02
# Without the working folder: what lies there is data, and might be named like a module.
_PYTHON = (sys.executable, "-P")


class Child(Protocol):
    """A running process; `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raises `subprocess.TimeoutExpired`."""
        ...

    def send_signal(self, sig: int, /) -> None:
        """Send a signal unless it is over."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


def end_now(child: Child) -> None:
    """End a child whatever it is at, and wait until it is gone."""
    child.kill()
    child.wait()


def last_line(log: Path) -> str:
    """Return the last line of what a child printed; empty if it printed nothing."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def import_ahead() -> None:
    """Let the process that forks children begin to import; returns at once.

    A command calls this before it imports what it needs itself, so that both import at once. What
    was imported before the last call is none of the coming search's time.
    """
    if _IDLE:
        _IDLE[-1].note_time()
    elif sys.platform == "linux":
        _IDLE.append(_Seed())


class Nursery:
    """Starts the children of one search; ends what is left of them when it is closed."""

    def __init__(self) -> None:
        """Begin to import unless an earlier search has; returns at once."""
        self._seed: _Seed | None = _take_seed() if sys.platform == "linux" else None

    @property
    def forks(self) -> bool:
        """Whether its children have everything imported when they start."""
        return self._seed is not None

    def start(
        self,
        module: ChildModule,
        arguments: Sequence[str],
        *,
        log: Path,
        threads: int,
        descriptors: Sequence[int] = (),
    ) -> Child:
        """Start a child.

        Args:
            module: whose `run(arguments, parent_pid)` it calls; the pid is of the process that must
                live for the child to go on.
            descriptors: open files that it keeps open.
        """
        if self._seed is None:
            return _interpreter(module, arguments, log, threads, descriptors)
        return self._seed.fork(module, arguments, log, threads, descriptors)

    def cpu_s(self) -> float:
        """Return the processor time that importing for the children has taken in this search."""
        return 0.0 if self._seed is None else self._seed.cpu_s() - self._seed.earlier_cpu_s

    def __enter__(self) -> Nursery:
        """Return itself."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Leave the importing process to the next search.

        With children that still run it is ended instead; they notice and stop.
        """
        if self._seed is None:
            return
        if self._seed.is_idle():
            self._seed.note_time()
            _IDLE.append(self._seed)
        else:
            self._seed.close()


class _Seed:
    """This side of the process that forks; see `hwkd.engine.arms.seed_process` for the other."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*_PYTHON, "-m", "hwkd.engine.arms.seed_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._socket = ours
        self._orders = 0
        self._pids: list[int] = []
        self.codes: dict[int, int] = {}
        self.earlier_cpu_s = 0.0  # processor time of earlier searches

    def cpu_s(self) -> float:
        """Return its processor time, without that of its children."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return self.earlier_cpu_s
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user, system

    def note_time(self) -> None:
        """Count the processor time from now on for a next search."""
        self.earlier_cpu_s = self.cpu_s()

    def fork(
        self,
        module: ChildModule,
        arguments: Sequence[str],
        log: Path,
        threads: int,
        descriptors: Sequence[int],
    ) -> Child:
        order = {
            "module": module,
            "arguments": list(arguments),
            "log": str(log),
            "threads": threads,
            "folder": str(Path.cwd()),
            "environment": dict(os.environ),
        }
        self._orders += 1
        try:
            socket.send_fds(self._socket, [json.dumps(order).encode()], list(descriptors))
            while True:
                answer = self._receive()
                if "pid" in answer:
                    self._pids.append(answer["pid"])
                    self.codes.pop(answer["pid"], None)  # of an earlier child of the same number
                    return _Forked(answer["pid"], self)
        except OSError as error:
            raise HwkdError(f"cannot start a worker process: {error.strerror or error}") from error

    def collect(self) -> None:
        """Note every child that ended since the last call."""
        self._socket.setblocking(False)
        try:
            with suppress(BlockingIOError):
                while True:
                    self._receive()
        except OSError:
            pass  # the forking process is gone, and its children with it
        finally:
            self._socket.setblocking(True)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def is_idle(self) -> bool:
        """Tell whether it lives, answered every order and has no child that runs."""
        self.collect()
        all_ended = self._orders == len(self._pids) and self.codes.keys() >= set(self._pids)
        return all_ended and self.is_alive()

    def close(self) -> None:
        self._socket.close()
        self._process.kill()  # it may still be importing
        self._process.wait()

    def _receive(self) -> dict[str, int]:
        message = self._socket.recv(MESSAGE_BYTES)
        if not message:
            raise ConnectionResetError(0, "the process that starts them is gone")
        answer: dict[str, int] = json.loads(message)
        if "ended" in answer:
            self.codes[answer["ended"]] = answer["code"]
        return answer


_IDLE: list[_Seed] = []


def _take_seed() -> _Seed:
    while _IDLE:
        seed = _IDLE.pop()
        if seed.is_idle():
            return seed
        seed.close()
    return _Seed()


@atexit.register
def end_idle() -> None:
    """End the importing process that waits for a next search; the next one imports anew."""
    while _IDLE:
        _IDLE.pop().close()


class _Forked:
    """A child of the importing process."""

    def __init__(self, pid: int, seed: _Seed) -> None:
        self.pid = pid
        self._seed = seed

    def poll(self) -> int | None:
        if self.pid not in self._seed.codes:
            self._seed.collect()
        if self.pid not in self._seed.codes and not self._seed.is_alive():
            return -signal.SIGKILL
        return self._seed.codes.get(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("child of a search", timeout or 0.0)
            time.sleep(_POLL_S)
        return code

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _interpreter(
    module: ChildModule,
    arguments: Sequence[str],
    log: Path,
    threads: int,
    descriptors: Sequence[int],
) -> Child:
    code = f"import sys; from {module} import run; raise SystemExit(run(sys.argv[2:], sys.argv[1]))"
    with log.open("wb") as handle:
        return subprocess.Popen(
            [*_PYTHON, "-c", code, str(os.getpid()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            pass_fds=tuple(descriptors),
            start_new_session=True,
        )
