"""Time in which a browser shows the report of a search, and what is wrong with the page.

Run: python -m benchmarks.speed.report_page [--trials 200] [--repeats 5]

Records are made up, like those of a search with three limits. The page is a file on disk; the time
is from its request until everything in view is drawn, the median of several loads of a warm
browser. Faults are those of axe-core (contrast, labels, keyboard) with every table unfolded, on a
phone's and a desk's width, dark and light.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.lib.browser import browser, missing, opened
from benchmarks.lib.verdict import Target, count, report
from hwkd.report.write import write_report_files

WIDTHS = (420, 1280)
SCHEMES = ("light", "dark")
_MOST_READY_S = 2.0
_TESTS = Path(__file__).parents[2] / "tests"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5, help="loads at each width and scheme")
    arguments = parser.parse_args()
    if (reason := missing()) is not None:
        print(reason)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        writes = [sys.executable, "-m", "support.synthetic_run", str(folder), str(arguments.trials)]
        subprocess.run(writes, cwd=_TESTS, check=True)
        write_report_files(folder)
        page = folder / "report.html"
        rows = [
            _row(page.as_uri(), width, scheme, arguments.repeats)
            for width in WIDTHS
            for scheme in SCHEMES
        ]
        values = {"trials": arguments.trials, "MB": round(page.stat().st_size / 1e6, 2)}
    slowest_s = max(row["median ready, s"] for row in rows)
    targets = [
        Target("until drawn, slowest median", slowest_s, _MOST_READY_S, scale=1.0, unit=" s"),
        count("errors on the console", sum(row["console"] for row in rows), 0),
        count("faults found by axe-core", sum(row["faults"] for row in rows), 0),
        count("pixels wider than the window", max(row["overflow, px"] for row in rows), 0),
    ]
    return report(targets, {**values, "windows": rows})


def _row(url: str, width: int, scheme: str, repeats: int) -> dict[str, Any]:
    ready_s = []
    with browser() as chromium:
        for _ in range(repeats + 1):  # the first one starts the browser's own processes
            with opened(chromium, url, width=width, scheme=scheme) as page:
                ready_s.append(page.ready_s)
                page.read_down()
                faults, said, wider = page.faults(), len(page.said), page.overflow_px()
    for fault in faults:
        print(f"{width} px, {scheme}: {fault}")
    return {
        "width, px": width,
        "scheme": scheme,
        "median ready, s": round(statistics.median(ready_s[1:]), 3),
        "console": said,
        "faults": len(faults),
        "overflow, px": wider,
    }


if __name__ == "__main__":
    sys.exit(main())
