"""From nothing to C that knows gestures: data, search, report and export as a user types them.

python -m benchmarks.speed.gesture_chain [--timeout 4min] [--device cortex-m4]

Four commands, one after another, on an empty cache: `make_task_data` fetches the watch data,
`hwkd search` finds a network within its time for people whom it has not seen, `hwkd report` makes
the report again and `hwkd export` writes the C, whose program on this computer then names the first
gesture. Wall time is that of an otherwise idle machine of two cores; processor time stands beside.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.lib.search_command import search_environment
from benchmarks.lib.verdict import Target, report
from hwkd.io.run_files import RUN_FILE, read_run_record

WANTED_S = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timeout", default="4min", help="of the search")
    parser.add_argument("--device", default="cortex-m4")
    given = parser.parse_args()
    python, values = [sys.executable, "-m"], {}
    with tempfile.TemporaryDirectory(prefix="hwkd-chain-") as name:
        folder = Path(name)
        data, run, code = (str(folder / part) for part in ("gesture.csv", "run", "firmware"))
        search = ["hwkd", "search", "--device", given.device, "--task", "gesture", "--data", data]
        search += ["--label", "exercise", "--group", "subject", "--window", "8s", "--stride", "1s"]
        search += ["--timeout", given.timeout, "--out", run]
        stages = {
            "data": [*python, "tools.make_task_data", "gesture", data],
            "search": [*python, *search],
            "report": [*python, "hwkd", "report", run],
            "C": [*python, "hwkd", "export", run, "--target", "c", "--out", code],
            "the C says": ["make", "-s", "-C", code, "run"],
        }
        for stage, command in stages.items():
            values[stage] = _timed(command, folder / "cache")
            print(f"{stage}: {values[stage]}", flush=True)
        final = read_run_record(Path(run) / RUN_FILE).final
    wall_s = sum(each["wall s"] for each in values.values())
    if final is None:
        sys.exit("the search ended without a student")
    return report(
        [Target("from no data to C that answers", wall_s, WANTED_S, scale=1.0, unit=" s")],
        {"stages": values, "int8 test scores": final.scores.test_int8 or {}},
    )


def _timed(command: list[str], cache: Path) -> dict[str, float]:
    """Run a command and return what it took of the clock and of processors.

    Raises:
        SystemExit: with the command's exit code if it failed.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, env=search_environment(cache), check=False, stdout=subprocess.DEVNULL
    )
    if done.returncode:
        sys.exit(done.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall s": time.perf_counter() - started, "processor s": spent_s}


if __name__ == "__main__":
    raise SystemExit(main())
