"""A report in headless Chromium: what its console says, what axe finds wrong, how fast it is.

Needs `pip install 'hwkd[browser]'` and a Chromium of the system (`apt-get install chromium`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_READY = "document.documentElement.dataset.ready === 'yes'"
_PATIENCE_MS = 90_000
# A chart is drawn when it comes near what is in view.
_READ_DOWN = """async () => {
  const until = Date.now() + 60000;
  for (const plot of document.querySelectorAll(".plot")) {
    plot.scrollIntoView({ behavior: "instant" });
    while (!plot.querySelector(".main-svg") && Date.now() < until) {
      await new Promise((done) => setTimeout(done, 20));
    }
  }
  window.scrollTo({ top: 0, behavior: "instant" });
}"""
_FAULTS = "axe.run(document, { resultTypes: ['violations'] })"


def missing() -> str | None:
    """Say what there is not of what this module needs; None when all is there."""
    absent = [name for name in ("playwright", "axe_playwright_python") if find_spec(name) is None]
    if absent:
        return f"needs {' and '.join(absent)}: pip install 'hwkd[browser]'"
    return None if any(map(shutil.which, _PROGRAMS)) else "needs Chromium: apt-get install chromium"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A page that is open.

    Attributes:
        page: playwright's, for what else is asked of it.
        said: errors and warnings of the console, and exceptions, so far.
        ready_s: from the request until the page said that what is in view is drawn.
    """

    page: Any
    said: list[str]
    ready_s: float

    def faults(self) -> Sequence[str]:
        """Return what axe-core finds wrong with contrast, labels and the rest, everything unfolded.

        Charts are SVG, whose text axe does not judge.
        """
        self.page.evaluate(
            "document.querySelectorAll('details').forEach((d) => { d.open = true; })"
        )
        self.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
        return [
            f"{fault['id']}: {node['html'][:120]}"
            for fault in self.page.evaluate(_FAULTS)["violations"]
            for node in fault["nodes"]
        ]

    def read_down(self) -> None:
        """Scroll to the end and back, which draws every chart."""
        self.page.evaluate(_READ_DOWN)

    def overflow_px(self) -> int:
        """Return by how much the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium, without a network of its own."""
    from playwright.sync_api import sync_playwright

    program = next(path for path in map(shutil.which, _PROGRAMS) if path is not None)
    # Without user namespaces (in a container, as root) Chromium's own sandbox cannot start.
    with sync_playwright() as tool:
        started = tool.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(browser: Any, url: str, *, width: int, scheme: str = "light") -> Iterator[Opened]:
    """Open a page in a window of its own and wait until it is drawn.

    Args:
        width: of the window, in pixels.
        scheme: "light" or "dark", as the reader's system asks for.
    """
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    begun = time.perf_counter()
    page.goto(url, timeout=_PATIENCE_MS)
    page.wait_for_function(_READY, timeout=_PATIENCE_MS, polling=20)
    try:
        yield Opened(page=page, said=said, ready_s=time.perf_counter() - begun)
    finally:
        page.close()
