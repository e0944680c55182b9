"""Report and live page in headless Chromium; skipped where there is none, or none of its tools."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest
from support.synthetic_run import make_run, write_run

from benchmarks.lib.browser import browser, missing, opened
from hwkd.api.live import Watched
from hwkd.api.live_server import LiveServer
from hwkd.io.run_log import LogLine, note_line
from hwkd.report.write import write_report_files

REASON = missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    # Playwright's own loop is left open when its process ends.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
HOVERED = ".hoverlayer .hovertext"


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("page") / "run"
    write_run(folder, *make_run(trials=200))
    write_report_files(folder)
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1280])
def test_no_error_no_fault_and_nothing_wider_than_the_window(chromium, url, width, scheme):
    with opened(chromium, url, width=width, scheme=scheme) as page:
        page.read_down()
        assert page.page.locator(".plot .main-svg").count() >= 10  # every chart is drawn
        assert page.said == []
        assert list(page.faults()) == []
        assert page.overflow_px() <= 0


def test_a_point_under_the_mouse_says_what_it_is(chromium, url):
    with opened(chromium, url, width=1280) as page:
        page.page.locator("#chart-pareto .point").nth(3).hover(force=True)
        page.page.wait_for_selector(f"#chart-pareto {HOVERED}", state="attached")
        assert "trial" in page.page.locator(f"#chart-pareto {HOVERED}").first.text_content()


def test_buttons_change_the_view_and_the_theme(chromium, url):
    with opened(chromium, url, width=1280) as page:
        back = "getComputedStyle(document.body).backgroundColor"
        before = page.page.evaluate(back)
        page.page.click("#theme")
        assert page.page.evaluate(back) != before
        page.page.click("#chart-pareto .views button >> nth=1")
        page.page.wait_for_function(
            "document.querySelector('#chart-pareto .xtitle').textContent.includes('RAM')"
        )
        assert page.said == []


@pytest.fixture
def live(tmp_path: Path):
    """Serve a run that is held, as if its search went on."""
    run, trials = make_run(trials=30)
    folder = tmp_path / "run"
    write_run(folder, run.model_copy(update={"status": "running", "final": None}), trials)
    with (folder / "run.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with LiveServer(Watched(folder), host="127.0.0.1", port=0, every_s=0.3) as server:
            thread = threading.Thread(target=server.serve_for, args=(None,))
            thread.start()
            yield folder, server.url
            server.stop()
            thread.join()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_live_page_refreshes_itself_and_keeps_what_the_reader_did(chromium, live, scheme):
    folder, url = live
    with opened(chromium, url, width=420, scheme=scheme) as page:
        page.page.click("#chart-pareto .views button >> nth=1")
        page.page.evaluate("document.querySelector('details').open = true")
        note_line(folder, LogLine(at="2026-01-05T12:00:00+00:00", text="something new"))
        page.page.wait_for_selector("text=something new", timeout=60_000)
        assert page.page.locator("#chart-pareto .views button.active").text_content() == "Peak RAM"
        assert page.page.evaluate("document.querySelector('details').open")
        page.read_down()
        assert page.said == []
        assert list(page.faults()) == []
        assert page.overflow_px() <= 0


def test_a_page_whose_server_is_gone_says_so(chromium, live):
    _, url = live
    with opened(chromium, url, width=1280) as page:
        page.page.route("**/content*", lambda route: route.abort())
        page.page.wait_for_selector("#content.stale", timeout=60_000)
