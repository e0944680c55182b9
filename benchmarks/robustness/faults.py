"""What a search makes of a machine that misbehaves: full disks, signals, clocks, missing folders.

usage: python -m benchmarks.robustness.faults [--quick] [--only TEXT] [--seed 0]
    [--longest 180]

Every situation is a real `hwkd search` of a few students that something happens to. Afterwards the
folder must be one that `--resume` finishes or that the same command starts again, no traceback may
have been printed, and a command that could not go on must have said so in one line with exit code
2. Situations that need root are left out, by name, for other users.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.lib.verdict import count, report
from benchmarks.robustness.fault_place import Done, Place, mounted, read_only

# Jumps back an hour and forward a day while the search runs.
_JUMPING_CLOCK = """
import time
_real, _start = time.time, time.monotonic()
def jumping():
    spent = time.monotonic() - _start
    return _real() + (0 if spent < 3 else -3600 if spent < 6 else 86400)
time.time = jumping
"""


def killed(place: Place, *, workers: str) -> str:
    """Kill everything at moments drawn over all phases, then go on."""
    shutil.rmtree(place.cache)  # so that the teacher and the cache's writing are among the phases
    for _ in range(4):
        process = subprocess.Popen(
            place.next_command("--workers", workers), env=place.environment({}),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=place.draw.uniform(0.5, 14.0))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, err = process.communicate()
        if "Traceback" in err or process.returncode == 2:
            return err.strip()[:300]
    return place.finishes()


def signalled(place: Place, number: signal.Signals) -> str:
    """Ask a search to end; it must save, say how to go on and be resumable."""
    process = place.start()
    time.sleep(place.draw.uniform(5.0, 9.0))
    asked = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=place.longest_s)
    if time.monotonic() - asked > 10.0:
        return f"took {time.monotonic() - asked:.0f} s to end"
    return Done(code=process.returncode, out=out, err=err).fault or place.finishes()


def full_disk(place: Place) -> str:
    """Give the run a file system of 400 KiB, then a larger one."""
    disk = place.folder / "disk"
    disk.mkdir()
    with mounted(disk, "size=400k"):
        place.run = disk / "run"
        done = place.search()
        if done.fault or done.code != 2:
            return done.fault or f"exit code {done.code} on a full disk"
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        return place.finishes()


def full_cache(place: Place) -> str:
    """Give the cache a full file system: the search goes on without, or says so before training."""
    disk = place.folder / "disk"
    disk.mkdir()
    with mounted(disk, "size=16k"):
        place.cache = disk
        done = place.search()
        if done.fault or done.code not in (0, 2):
            return done.fault or f"exit code {done.code}"
        place.cache = place.folder / "other"
        return place.finishes()


def file_size_limit(place: Place) -> str:
    """Let no file grow beyond 100 kB, as quotas do."""

    def bound() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = place.search(before=bound)
    return done.fault or place.finishes()


def clock_jump(place: Place) -> str:
    """Set the clock back and forth under a time limit; the limit must hold by the real time."""
    (place.folder / "sitecustomize.py").write_text(_JUMPING_CLOCK)
    begun = time.monotonic()
    done = place.search("--timeout", "60s", changes={"PYTHONPATH": str(place.folder)})
    if time.monotonic() - begun > 62.0:
        return f"a limit of 60 s took {time.monotonic() - begun:.0f} s"
    return done.fault or ("" if done.code == 0 else f"exit code {done.code}: {done.err[:200]}")


def worker_out_of_memory(place: Place) -> str:
    """Kill a worker as the kernel does when memory ends; the search must replace it."""
    process = place.start("--workers", "2")
    time.sleep(6.0)
    children = subprocess.run(
        ["pgrep", "-g", str(process.pid)], capture_output=True, text=True, check=False
    )
    workers = [int(pid) for pid in children.stdout.split() if int(pid) != process.pid]
    if workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(workers[-1], signal.SIGKILL)
    out, err = process.communicate(timeout=place.longest_s)
    return Done(code=process.returncode, out=out, err=err).fault or place.finishes()


def shared_cache(place: Place) -> str:
    """Start two searches of the same data on one empty cache."""
    shutil.rmtree(place.cache)
    other = Place(
        folder=place.folder / "second",
        cache=place.cache,
        draw=place.draw,
        longest_s=place.longest_s,
    )
    other.folder.mkdir()
    both = (place.start(), other.start())
    for process in both:
        out, err = process.communicate(timeout=2 * place.longest_s)
        found = Done(code=process.returncode, out=out, err=err)
        if found.fault or found.code:
            return found.fault or f"exit code {found.code}: {err[:200]}"
    records = [json.loads((p.run / "run.json").read_text()) for p in (place, other)]
    teachers = {record["teacher"]["identity"] for record in records}
    return "" if len(teachers) == 1 else f"two teachers: {teachers}"


def permission_lost(place: Place) -> str:
    """Take the right to write into the run folder away in the middle."""
    process = place.start()
    trials = place.run / "trials.jsonl"
    while process.poll() is None and not trials.is_file():
        time.sleep(0.1)
    with read_only(place.run):
        begun = trials.read_text().splitlines()
        out, err = process.communicate(timeout=place.longest_s)
        ended = Done(code=process.returncode, out=out, err=err)
        if ended.fault or ended.code != 2 or not err.strip():
            return ended.fault or f"exit code {ended.code} without the right to write: {err!r}"
        again = place.search(of=place.next_command())
        if again.fault or again.code != 2:
            return again.fault or f"exit code {again.code} of --resume in a read-only folder"
    wrong = place.finishes()
    lost = set(begun) - set(trials.read_text().splitlines())
    return wrong or (f"{len(lost)} finished trials lost" if lost else "")


def surroundings(place: Place, **changes: str | None) -> str:
    """Run in an environment that lacks what programs like to rely on."""
    done = place.search(changes=changes)
    if done.fault or done.code not in (0, 2):
        return done.fault or f"exit code {done.code}: {done.err[:200]}"
    return place.finishes()


def plain_locale(place: Place) -> str:
    """Name classes in letters that the C locale has not."""
    generator = np.random.default_rng(0)
    for label, name in enumerate(("größe", "日本")):
        folder = place.folder / "data" / name
        folder.mkdir(parents=True)
        for number in range(60):
            pixels = (generator.random((8, 8)) * 99 + 99 * label).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    plain = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": None}
    done = place.search("--data", str(place.folder / "data"), changes=plain)
    return done.fault or ("" if done.code == 0 else f"exit code {done.code}: {done.err[:200]}")


def closed_output(place: Place) -> str:
    """Close standard output before the search begins."""
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(place.command())} >&-"], env=place.environment({}),
        stderr=subprocess.PIPE, text=True, check=False, timeout=place.longest_s,
    )  # fmt: skip
    return Done(code=done.returncode, out="", err=done.stderr).fault or place.finishes()


def one_core(place: Place) -> str:
    """Leave one core for eight workers."""
    core = min(os.sched_getaffinity(0))
    done = place.search("--workers", "8", before=lambda: os.sched_setaffinity(0, {core}))
    return done.fault or ("" if done.code == 0 else f"exit code {done.code}: {done.err[:200]}")


SITUATIONS: dict[str, Callable[[Place], str]] = {
    "kill -9 in every phase, one worker": lambda place: killed(place, workers="1"),
    "kill -9 in every phase, two workers": lambda place: killed(place, workers="2"),
    "SIGINT": lambda place: signalled(place, signal.SIGINT),
    "SIGTERM": lambda place: signalled(place, signal.SIGTERM),
    "SIGHUP": lambda place: signalled(place, signal.SIGHUP),
    "a worker out of memory": worker_out_of_memory,
    "a disk that is full": full_disk,
    "a cache that is full": full_cache,
    "a bound on the size of files": file_size_limit,
    "a clock that jumps": clock_jump,
    "two searches on one cache": shared_cache,
    "permission lost midway": permission_lost,
    "one core and eight workers": one_core,
    "standard output closed": closed_output,
    "C locale": plain_locale,
    "no TMPDIR": lambda place: surroundings(place, TMPDIR="/nowhere/at/all"),
    "no HOME": lambda place: surroundings(place, HOME="/nowhere/at/all", XDG_CACHE_HOME=None),
}
_NEED_ROOT = {"a disk that is full", "a cache that is full", "permission lost midway"}
_QUICK = ("SIGTERM", "C locale", "no HOME")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="situations whose name holds this")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--longest", type=float, default=180.0, help="seconds that a command may take"
    )
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(_QUICK)}")
    arguments = parser.parse_args()
    wanted = _QUICK if arguments.quick else tuple(SITUATIONS)
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="hwkd-faults-") as temporary:
        warm = Place(
            folder=Path(temporary), cache=Path(temporary) / "warm", draw=random.Random(),
            longest_s=arguments.longest,
        )  # fmt: skip
        warm.search()
        for name in wanted:
            if arguments.only not in name:
                continue
            if name in _NEED_ROOT and os.geteuid() != 0:
                print(f"{name}: left out, it needs root", flush=True)
                continue
            folder = Path(temporary) / f"situation{len(found)}"
            folder.mkdir()
            shutil.copytree(warm.cache, folder / "cache")
            draw = random.Random(f"{arguments.seed} {name}")
            place = Place(
                folder=folder, cache=folder / "cache", draw=draw, longest_s=arguments.longest
            )
            begun = time.monotonic()
            fault = found[name] = _tried(SITUATIONS[name], place)
            taken_s = time.monotonic() - begun
            print(f"{name}: {fault or 'as it should be'} ({taken_s:.0f} s)", flush=True)
    faults = {name: fault for name, fault in found.items() if fault}
    return report([count(f"faults in {len(found)} situations", len(faults), 0)], faults)


def _tried(situation: Callable[[Place], str], place: Place) -> str:
    """Return what is wrong."""
    try:
        return situation(place)
    except subprocess.TimeoutExpired:
        return f"still running after {place.longest_s:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
