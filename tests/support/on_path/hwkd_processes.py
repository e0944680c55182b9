"""Commands in processes of their own that import nothing: `support.processes` starts them.

The first argument says what is special about the process, the others are the command's:
"as it is"; "no file above BYTES"; "stuck" (a training does not end, and looks at no signal);
"deadly" (the network that `victim` in the working folder names, which is the first one that such a
process trains, ends it).
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hwkd.cli.app import main
from hwkd.engine.arms import children, seed_process
from hwkd.engine.arms.evaluation import train_student
from hwkd.engine.search import shared_worker, trial_run


class _ForkedSeed:
    """The process that forks the children of a search, as a fork of this one: all is imported."""

    def __init__(self, command: Sequence[str]) -> None:
        descriptor = int(command[-1])
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.closerange(3, descriptor)
            os.closerange(descriptor + 1, 1024)
            os._exit(seed_process.main(descriptor))

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(0.01)
        return code


def _popen(command: Sequence[str], **options: Any) -> Any:
    is_seed = "hwkd.engine.arms.seed_process" in command
    return _ForkedSeed(command) if is_seed else subprocess.Popen(command, **options)


def _stuck(*arguments: Any, **options: Any) -> Any:
    time.sleep(300)


def _deadly(*arguments: Any, **options: Any) -> Any:
    victim, (layers, *_) = Path("victim"), arguments
    if not victim.exists():
        victim.write_text(layers.key)
    if victim.read_text() == layers.key:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_student(*arguments, **options)


def run(arguments: Sequence[str], parent_pid: int | str) -> int:
    """Be a command; see `hwkd.engine.arms.children`."""
    special, *command = arguments
    # As a new process would find them: a test may have added to what it was when all was imported.
    sys.path[:0] = [p for p in os.environ["PYTHONPATH"].split(os.pathsep) if p not in sys.path]
    vars(children)["subprocess"] = SimpleNamespace(**{**vars(subprocess), "Popen": _popen})
    # For tests do not wait so long.
    vars(shared_worker).update(_FINISH_S=0.5, _GONE_S=3.0)
    if special.startswith("no file above "):
        most_bytes = int(special.split()[-1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    elif special != "as it is":
        vars(trial_run)["train_student"] = {"stuck": _stuck, "deadly": _deadly}[special]
    return main(list(command))
