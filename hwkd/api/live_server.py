"""The server of `hwkd serve`: two addresses, GET alone, nothing that a page elsewhere can read."""

from __future__ import annotations

import hashlib
import ipaddress
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hwkd.api.live import Look, Watched
from hwkd.core.errors import ConfigError, HwkdError
from hwkd.report.html import Live, render_content, render_live

_CONTENT = "/content"
# The page holds its scripts and styles itself; it loads nothing and is shown in no other page.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LiveServer:
    """Serves the page of a run while the block lasts."""

    def __init__(self, watched: Watched, *, host: str, port: int, every_s: float) -> None:
        """Listen; nothing is answered before `serve_for`.

        Args:
            every_s: between two looks at the run, however many pages ask.

        Raises:
            ConfigError: if the address is not one of this computer's, or the port is taken.
        """
        self._content = _Content(watched, every_s)
        handler = type(
            "Handler",
            (_Handler,),
            {"content": self._content, "is_local": _names_this_computer(host)},
        )
        try:
            self._server = _Server((host, port), handler)
        except OverflowError:
            raise ConfigError(f"--port {port}: is no port; give 1 to 65535, or 0") from None
        except OSError as error:
            raise ConfigError(
                f"--host {host} --port {port}: cannot listen there: {error.strerror}; give another "
                "--port, or 0 for a free one"
            ) from None

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/"

    def __enter__(self) -> LiveServer:
        """Go on listening."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port."""
        self._server.server_close()

    def serve_for(self, seconds: float | None) -> None:
        """Answer until the time is over, or until Ctrl-C."""
        if seconds is not None:
            timer = threading.Timer(seconds, self.stop)
            timer.daemon = True
            timer.start()
        with suppress(KeyboardInterrupt):  # the page ends, and nothing of the search
            self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """End `serve_for`, from another thread."""
        self._server.shutdown()


class _Content:
    """The newest page, made once however many ask."""

    def __init__(self, watched: Watched, every_s: float) -> None:
        self._watched, self.every_s = watched, every_s
        self._lock = threading.Lock()
        self._made_s = -every_s
        self.version = ""
        self.content = ""
        self._look: Look | None = None

    def newest(self) -> tuple[Look, str, str]:
        """Return how the run is, the content that shows it and the content's version."""
        with self._lock:
            if self._look is None or time.monotonic() - self._made_s >= self.every_s:
                self._look = self._watched.look()
                self.content = render_content(self._look.live_page)
                self.version = hashlib.sha256(self.content.encode()).hexdigest()[:16]
                self._made_s = time.monotonic()
            return self._look, self.content, self.version


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away."""


class _Handler(BaseHTTPRequestHandler):
    content: _Content
    is_local: bool
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "hwkd", ""
    timeout = 30  # of a client that connects and says nothing

    def do_GET(self) -> None:
        """Answer with the page, or with its content where that is newer than what is known."""
        if self.is_local and not _names_this_computer(self.headers.get("Host", "")):
            # A page elsewhere whose name leads to this computer could read it otherwise.
            return self._answer(HTTPStatus.FORBIDDEN, b"hwkd serve answers on 127.0.0.1 alone\n")
        asked = urlsplit(self.path)
        if asked.path not in ("/", _CONTENT):
            return self._answer(HTTPStatus.NOT_FOUND, b"hwkd serve has one page: /\n")
        try:
            look, content, version = self.content.newest()
        except HwkdError as error:
            return self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode())
        if asked.path == "/":
            every_ms = round(1000 * self.content.every_s)
            live = Live(address=_CONTENT, version=version, every_ms=every_ms)
            page = render_live(look.live_page, content, live)
            return self._answer(HTTPStatus.OK, page.encode(), kind="text/html")
        if parse_qs(asked.query).get("known") == [version]:
            return self._answer(HTTPStatus.NO_CONTENT, b"")
        self._answer(HTTPStatus.OK, content.encode(), kind="text/html", version=version)
        return None

    def _answer(
        self, status: HTTPStatus, body: bytes, *, kind: str = "text/plain", version: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if version:
            self.send_header("X-Version", version)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: a line for every question of a page fills a terminal."""


def _names_this_computer(host: str) -> bool:
    """Tell whether a host, with or without a port, is this computer's own address."""
    name = urlsplit(f"//{host}").hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return name == "localhost"
