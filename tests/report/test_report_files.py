from __future__ import annotations

import csv
import gzip
import json
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from plotly.offline import get_plotlyjs
from support.synthetic_run import make_run, write_run

from hwkd.core.errors import RunFolderError
from hwkd.report.axes import error_range
from hwkd.report.build import build_report
from hwkd.report.columns import front_columns, write_csv
from hwkd.report.document import Report
from hwkd.report.html import render_html
from hwkd.report.model_card import model_card
from hwkd.report.pareto_png import write_pareto_png
from hwkd.report.read import read_run
from hwkd.report.write import write_report_files

GOLDEN = Path(__file__).parent.parent / "golden" / "run_v1"
HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


class _Page(HTMLParser):
    """Collects what a browser would fetch, run and show."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.scripts: list[tuple[str | None, str]] = []
        self._kind: str | None = None
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.fetched += [
            value or "" for name, value in attrs if name in {"src", "href", "srcset", "action"}
        ]
        self._in_script = tag == "script"
        self._kind = values.get("type")

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append((self._kind, data))
        else:
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report(*make_run())


def _hostile_report() -> Report:
    run, records = make_run()
    names = (HOSTILE, *run.data.class_names[1:])
    data = run.data.model_copy(update={"class_names": names, "source": HOSTILE})
    renamed = [
        r.model_copy(update={"spec": replace(r.spec, space=HOSTILE)}) if r.spec else r
        for r in records
    ]
    failed = [r.model_copy(update={"reason": HOSTILE}) if r.reason else r for r in renamed]
    return build_report(run.model_copy(update={"data": data, "caveats": (HOSTILE,)}), failed)


def test_the_page_fetches_nothing(report: Report):
    page = _Page(render_html(report, picture_png=b"png"))
    assert page.fetched
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.fetched)
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    style = re.search(r"<style>(.*?)</style>", render_html(report), re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_the_chart_library_travels_inside_the_page(report: Report):
    scripts = dict(_Page(render_html(report)).scripts)
    assert gzip.decompress(b64decode(scripts["text/plain"])).decode() == get_plotlyjs()


def test_text_from_users_stays_text():
    page = _Page(render_html(_hostile_report()))
    assert "img" not in page.tags
    assert HOSTILE in page.text
    charts = [json.loads(text) for kind, text in page.scripts if kind == "application/json"]
    # plotly reads HTML in names and hovers, so they are escaped inside the figures too.
    assert charts
    assert "<img" not in json.dumps(charts)


def test_the_page_says_every_caveat_limit_and_basis(report: Report):
    shown = " ".join(_Page(render_html(report)).text)
    for caveat in report.caveats:
        assert caveat in shown
    for limit in ("latency 20.0 ms (option)", "peak RAM 14.0 KiB (option)", "flash 128 KiB (dev"):
        assert limit in shown
    assert report.run.data.fingerprint in shown
    assert "same student, cross-entropy" in shown
    assert "loss is not finite in epoch 2" in shown


def test_the_same_records_make_the_same_page(report: Report):
    assert render_html(report) == render_html(build_report(*make_run()))


def test_every_chart_has_a_place_and_data(report: Report):
    page = render_html(report)
    keys = re.findall(r'id="chart-([a-z-]+)"', page)
    assert keys == [
        "pareto", "operators", "memory", "full-terms", "full-gradients", "brief-terms", "history",
        "terms", "spaces", "rejections",
    ]  # fmt: skip
    assert page.count('class="plot"') == len(keys)


def test_golden_csv(tmp_path: Path):
    made = build_report(*read_run(GOLDEN))
    write_csv(front_columns(made), tmp_path / "pareto.csv")
    assert (tmp_path / "pareto.csv").read_bytes() == (GOLDEN / "pareto.csv").read_bytes()


def test_the_csv_is_in_si_units_and_says_the_basis(report: Report, tmp_path: Path):
    write_csv(front_columns(report), tmp_path / "pareto.csv")
    with (tmp_path / "pareto.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report.front)
    for row, point in zip(rows, report.front, strict=True):
        assert float(row["estimated_latency_s"]) == pytest.approx(point.latency_s, rel=1e-5)
        assert int(row["estimated_flash_bytes"]) == point.flash_bytes


def test_the_picture_is_a_png_with_marks_in_every_colour(report: Report, tmp_path: Path):
    write_pareto_png(report, tmp_path / "pareto.png")
    with Image.open(tmp_path / "pareto.png") as image:
        assert image.format == "PNG"
        assert image.size == (1280, 800)
        colours = {colour for _, colour in image.convert("RGB").getcolors(maxcolors=10**6) or []}
    assert (0xD1, 0x49, 0x5B) in colours  # the limit


@pytest.mark.parametrize("errors", [(60.0, 75.0), (1.0, 75.0), (0.0, 2.0), (50.0, 50.0), (0.0,)])
def test_no_marker_is_cut_by_an_end_of_the_axis_of_errors(errors):
    low, high = error_range(errors)
    room = 0.04 * (high - low)  # half of the largest marker, in a chart of 380 pixels
    assert low + room < min(errors)
    assert max(errors) < high - room
    assert low > 0 or min(errors) < 0.5 * max(errors) or max(errors) == 0


@pytest.mark.parametrize("records_kept", [0, 1])
def test_a_picture_of_few_trials_is_drawn_too(tmp_path: Path, records_kept: int):
    run, records = make_run()
    completed = [r for r in records if r.state == "completed"][:records_kept]
    made = build_report(run.model_copy(update={"final": None}), completed)
    write_pareto_png(made, tmp_path / "pareto.png")
    with Image.open(tmp_path / "pareto.png") as image:
        assert image.size == (1280, 800)


def test_names_with_dollar_signs_are_no_formulas(tmp_path: Path):
    run, records = make_run()
    device = run.device.model_copy(update={"name": r"$\frac{", "runtime": "$^$"})
    write_pareto_png(
        build_report(run.model_copy(update={"device": device}), records), tmp_path / "a.png"
    )
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_a_report_is_made_again_from_the_two_files_alone(tmp_path: Path):
    write_run(tmp_path, *make_run())
    write_report_files(tmp_path)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_report_files(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    made = {"pareto.csv", "pareto.png", "trials.csv", "report.html"}
    assert set(first) == made | {"run.json", "trials.jsonl"}


def test_the_card_of_the_best_student_is_made_again_where_there_is_one(tmp_path: Path):
    write_run(tmp_path, *make_run())
    report = write_report_files(tmp_path)
    assert not (tmp_path / "best").exists()
    (tmp_path / "best").mkdir()
    write_report_files(tmp_path)
    assert (tmp_path / "best" / "MODEL_CARD.md").read_text() == model_card(report.run, report.best)


def test_a_full_disk_leaves_the_old_report_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_run(tmp_path, *make_run())
    (tmp_path / "report.html").write_text("the old report")

    def no_space(self: Path, *args: object, **kwargs: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(RunFolderError, match="cannot write the report: No space left on device"):
        write_report_files(tmp_path)
    assert (tmp_path / "report.html").read_text() == "the old report"
    assert not list(tmp_path.glob(".*"))
