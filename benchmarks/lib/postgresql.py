"""A PostgreSQL server of a test's or benchmark's own: in a temporary folder, on a socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PORT = 5432  # names the socket; no port of the machine is used
_START_S = 30.0


def _programs() -> Path | None:
    """Return the folder of the newest server installed (Debian keeps it off the PATH)."""
    folders = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    found = shutil.which("postgres")
    if found:
        folders.append(Path(found).resolve().parent)
    return max((folder for folder in folders if (folder / "initdb").exists()), default=None)


def why_there_is_none() -> str | None:
    """Return why no server can be started here; None when one can."""
    if _programs() is None:
        return "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (pip install 'hwkd[postgresql]')"
    return None


class Server:
    """One server; `durable` makes it keep what it confirmed when it is killed."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder, self._data = folder, folder / "data"
        programs = _programs()
        assert programs is not None
        self._programs, self._durable = programs, durable
        # The server refuses root.
        self._user = "nobody" if os.getuid() == 0 else None
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        command = ["initdb", "-D", str(self._data), "-U", "hwkd", "-A", "trust", "--no-sync"]
        self._run([*command, "--no-instructions", "-E", "UTF8", "--locale", "C"])

    def url(self, database: str = "postgres") -> str:
        """Return what `--storage` takes."""
        return f"postgresql://hwkd@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        safe = "on" if self._durable else "off"
        options = {
            "listen_addresses": "", "unix_socket_directories": str(self.folder),
            "fsync": safe, "synchronous_commit": safe, "max_connections": "200",
            "shared_buffers": "64MB", "restart_after_crash": "on",
        }  # fmt: skip
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._data), *settings],
                stdout=log, stderr=log, user=self._user, cwd="/", start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            ready = [str(self._programs / "pg_isready"), "-q", "-h", str(self.folder), "-U", "hwkd"]
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])

    def stop(self) -> None:
        """End it at once, but in order."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash does: nothing is tidied up."""
        self._signal(signal.SIGQUIT)

    def crash(self) -> None:
        """Kill it, and start it again on what it had written."""
        self.kill()
        self.start()

    def drop_connections(self) -> None:
        """Cut every connection to it, as a network does."""
        self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hwkd' "
                   "AND pid <> pg_backend_pid()")  # fmt: skip

    def processor_s(self) -> float:
        """Return what its processes computed so far, in seconds."""
        if self._process is None:
            return 0.0
        ticks = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended
            if int(fields[3]) == self._process.pid:  # of its session
                is_first = path.parent.name == str(self._process.pid)
                ticks += sum(map(int, fields[11:15] if is_first else fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def query(self, statement: str) -> str:
        """Run one statement."""
        command = ["psql", "-qAt", "-h", str(self.folder), "-U", "hwkd", "-d", "postgres"]
        return self._run([*command, "-c", statement])

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=_START_S)
            self._process = None

    def _run(self, command: list[str]) -> str:
        command = [str(self._programs / command[0]), *command[1:]]
        found = subprocess.run(
            command, check=True, capture_output=True, text=True, user=self._user, cwd="/"
        )
        return found.stdout.strip()


@contextmanager
def running_server(*, durable: bool = False) -> Iterator[Server]:
    """Give a server that runs; nothing is left of it afterwards."""
    # The name of a socket may have 107 bytes, and the user of the server must reach it.
    folder = Path(tempfile.mkdtemp(prefix="hwkd-pg-", dir="/tmp"))
    try:
        server = Server(folder, durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.kill()  # at once: nothing of it is kept
    finally:
        shutil.rmtree(folder, ignore_errors=True)
