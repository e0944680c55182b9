"""Runs side by side: names, differences, and numbers that must not be compared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.synthetic_run import make_run, write_run

import hwkd
from hwkd.cli import main
from hwkd.core.errors import ConfigError
from hwkd.core.pareto import pareto_front
from hwkd.report.comparison import fronts_chart, short_names

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def runs(tmp_path) -> tuple[Path, Path]:
    """Return two runs that differ in the seed and in two options."""
    for name, seed, epochs in (("a", 7, 8), ("b", 8, 12)):
        run, records = make_run(seed=seed)
        write_run(tmp_path / name, run.model_copy(update={"seed": seed}), records)
        (tmp_path / name / "config.toml").write_text(
            f"seed = {seed}\nspaces = ['plain']\n[training]\nbrief_epochs = {epochs}\n"
        )
    return tmp_path / "a", tmp_path / "b"


def changed(folder: Path, **data: object) -> None:
    path = folder / "run.json"
    record = json.loads(path.read_text())
    record["data"] |= data
    path.write_text(json.dumps(record))


def test_only_what_differs_is_listed_with_the_value_of_each_run(runs):
    found = {each.name: each.values for each in hwkd.compare(runs).differences}
    assert found == {"seed": ("7", "8"), "training.brief_epochs": ("8", "12")}


def test_runs_of_the_same_data_and_device_need_no_caution(runs):
    assert hwkd.compare(runs).cautions == ()


def test_other_data_and_another_split_are_told_apart(runs):
    changed(runs[1], fingerprint="0" * 64, source="elsewhere")
    (line,) = hwkd.compare(runs).cautions
    assert "different data" in line
    source = json.loads((runs[0] / "run.json").read_text())["data"]["source"]
    changed(runs[1], source=source, split_seed=99)
    (line,) = hwkd.compare(runs).cautions
    assert "other splits of the same data" in line


def test_splits_of_one_content_are_told_from_other_data_wherever_it_lay(runs):
    changed(runs[0], content_fingerprint="a" * 64)
    changed(runs[1], content_fingerprint="a" * 64, fingerprint="0" * 64, source="moved",
            split_seed=99)  # fmt: skip
    (line,) = hwkd.compare(runs).cautions
    assert "other splits of the same data" in line
    changed(runs[1], content_fingerprint="b" * 64)
    (line,) = hwkd.compare(runs).cautions
    assert "different data" in line


def test_each_front_is_drawn_over_each_cost(runs):
    compared = hwkd.compare(runs).runs
    chart = fronts_chart(compared)
    assert chart is not None
    assert [view.label for view in chart.views] == ["Latency", "Peak RAM", "Flash"]
    xs_of_all, ys_of_all = (chart.views[0].data[name] for name in "xy")
    lines = list(zip(xs_of_all[:2], ys_of_all[:2], strict=True))
    for run, line, xs, ys in zip(compared, lines, xs_of_all[2:], ys_of_all[2:], strict=True):
        front = pareto_front(run.page.records)
        assert list(line[1]) == sorted(line[1], reverse=True)  # a line never rises
        assert sorted(xs) == pytest.approx(sorted(1e3 * point.latency_s for point in front))
        assert sorted(ys) == pytest.approx(sorted(100 * point.error for point in front))


def test_measured_and_estimated_latencies_share_neither_column_nor_axis(runs, capsys):
    path = runs[1] / "run.json"
    record = json.loads(path.read_text())
    record["device"]["basis"] = {"name": "measured", "is_timed": True, "sizes": "estimated"}
    path.write_text(json.dumps(record))
    chart = fronts_chart(hwkd.compare(runs).runs)
    assert chart is not None
    assert [view.label for view in chart.views] == ["Peak RAM", "Flash"]
    assert main(["compare", *map(str, runs)]) == 0
    assert "latencies are not for the same" in " ".join(capsys.readouterr().out.split())


def test_the_page_escapes_what_runs_say(runs):
    changed(runs[1], source=HOSTILE)
    page = hwkd.compare(runs, page=runs[0].parent / "page.html").page
    assert page is not None
    text = page.read_text()
    assert HOSTILE not in re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert "2 runs compared" in text


def test_names_are_the_shortest_ends_that_differ():
    paths = [Path("/x/a/run"), Path("/x/b/run"), Path("/x/other")]
    assert short_names(paths) == ("a/run", "b/run", "other")


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_runs_are_refused(runs, count):
    with pytest.raises(ConfigError, match="two or more different ones"):
        hwkd.compare(runs[:count])
    with pytest.raises(ConfigError, match="two or more different ones"):
        hwkd.compare([runs[0], runs[0]])


def test_what_is_no_run_is_refused_in_one_line(runs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["compare", str(runs[0]), str(tmp_path / "empty")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
