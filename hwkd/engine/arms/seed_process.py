"""The process that imports once and forks: `python -m hwkd.engine.arms.seed_process DESCRIPTOR`.

Orders come through a socket, one message each, with the descriptors that the child keeps; answers
are the child's pid and, when it ends, its exit code. When the search that gave the socket is gone,
so is this process, and its children see that their parent changed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from typing import Any

from threadpoolctl import threadpool_limits

from hwkd.io.discovery import import_catalogue
from hwkd.io.runtime_files import load_runtime, runtime_names

# Also what a child would import on its first use.
_IMPORTED = ("hwkd.engine.search.worker", "hwkd.engine.arms.train_arm", "fvcore.nn")
# Plugins are left to the children, whose environment may want none.
_CATALOGUES = (
    "hwkd.backends",
    "hwkd.engine.search.proposers",
    "hwkd.search_spaces",
    "hwkd.signals.recipes",
    "hwkd.signals.steps",
    "hwkd.tasks",
)
_MOST_DESCRIPTORS, _MESSAGE_BYTES = 8, 262_144
_POLL_S = 0.05


def prepare() -> None:
    """Import what children use, and read the files of facts that every device is made of."""
    for name in _IMPORTED:
        importlib.import_module(name)
    for package in _CATALOGUES:
        import_catalogue(package)
    for runtime in runtime_names():
        load_runtime(runtime)


def main(descriptor: int) -> int:
    """Serve orders until the other side closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the search's to handle
    orders = socket.socket(fileno=descriptor)
    watch = threading.Thread(target=_leave_if_alone, args=(orders,), daemon=True)
    watch.start()
    # Nothing of this is garbage. Children share the memory that no later collection writes to.
    gc.disable()
    prepare()
    gc.freeze()
    gc.enable()
    watch.join()  # it ends with the first order; a fork takes no other thread along
    try:
        _serve(orders)
    except OSError:
        return 1  # the search is gone in the middle of a message
    return 0


def _leave_if_alone(orders: socket.socket) -> None:
    """Return when the first order is there; end the process if the search is gone before.

    Imports take seconds, on a busy machine a minute, and nobody is left to use them.
    """
    select.select([orders], [], [])
    try:
        is_gone = not orders.recv(1, socket.MSG_PEEK)
    except OSError:
        is_gone = True
    if is_gone:
        os._exit(0)


def _serve(orders: socket.socket) -> None:
    has_children = False
    while True:
        readable, _, _ = select.select([orders], [], [], _POLL_S if has_children else None)
        has_children = _report_ended(orders)
        if not readable:
            continue
        message, descriptors, _, _ = socket.recv_fds(orders, _MESSAGE_BYTES, _MOST_DESCRIPTORS)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            orders.close()
            os._exit(_run(json.loads(message)))
        for handle in descriptors:
            os.close(handle)
        orders.send(json.dumps({"pid": pid}).encode())
        has_children = True


def _report_ended(orders: socket.socket) -> bool:
    """Tell of every child that ended; returns whether any still runs."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        code = os.waitstatus_to_exitcode(status)
        orders.send(json.dumps({"ended": pid, "code": code}).encode())


def _run(order: dict[str, Any]) -> int:
    """Become the child: its own session, folder, environment, log and threads."""
    os.setsid()
    os.chdir(order["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(order["environment"], OMP_NUM_THREADS=str(order["threads"]))
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # Libraries that are loaded already do not read the environment again.
    threadpool_limits(order["threads"], user_api="blas")
    try:
        code = importlib.import_module(order["module"]).run(order["arguments"], os.getppid())
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
