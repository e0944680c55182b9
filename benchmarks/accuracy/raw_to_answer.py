"""From raw samples to the answer on emulated cores: a student of each task, checked bit by bit.

python -m benchmarks.accuracy.raw_to_answer [--only TASK] [--digits FOLDER] [--hey FOLDER]
       [--runs FOLDER] [--cores CORE ...]

One network of each task is trained for two passes within the task's budget of weights, and `hwkd
verify` checks its C: features against NumPy's, every layer against ONNX Runtime's. Beside it stand
instructions of features and of the network, and what flash and RAM were predicted to be before
anything was compiled, against the ELF and the stack that was used; where raw values are brought to
scale in floats (anomaly) those are of the network alone. Data comes from `tools.make_task_data`, of
speech a small cut; folders of digits and of "hey computer" that exist are not made again, nor are
students in `--runs`. Takes about eight minutes of one core.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import wavfile

import hwkd
from benchmarks.lib.verdict import Target, count, report
from hwkd.core.verification import Verification
from hwkd.io.core_files import core_names
from tools.make_task_data import make_task_data

OPTIONS: dict[str, dict[str, Any]] = {
    "keyword": {},
    "wake-word": {"window": "1.5s", "max_false_accepts": "60/h"},
    "gesture": {"label": "exercise", "group": "subject"},
    "anomaly": {"label": "anomaly", "false_alarms": "0.1%"},
    "regression": {"features": "imu:rate=50Hz", "max_weights": "30kB"},
    "classify": {"features": "imu:rate=50Hz", "max_weights": "30kB"},
}
_SHORT: dict[str, Any] = {
    "trials": 1, "brief_epochs": 1, "full_epochs": 2, "methods": ["none"], "workers": 1,
}  # fmt: skip
_WINDOW = 100  # 2 s of the watch
_CLIPS, _RECORDED_S = 60, 60  # of a word; of a recording
_WANTED_OFF = 0.03


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(OPTIONS))
    parser.add_argument("--digits", type=Path, help="of `make_task_data keyword`")
    parser.add_argument("--hey", type=Path, help="of `make_task_data wake-word`")
    parser.add_argument("--runs", type=Path, help="where students are kept, TASK each")
    parser.add_argument("--cores", nargs="+", default=core_names())
    given = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {core: [] for core in given.cores}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.runs or Path(temporary)
        ready = {"keyword": given.digits, "wake-word": given.hey}
        for task in [given.only] if given.only else OPTIONS:
            student = _student(task, folder, ready.get(task))
            for core in given.cores:
                rows[core].append(_row(task, hwkd.verify(student, device=core).verification))
                print(f"{core}: {rows[core][-1]}", flush=True)
    return report([one for core in rows for one in _judged(core, rows[core])], rows)


def _student(task: str, folder: Path, ready: Path | None) -> Path:
    """Return the folder of a run, searched unless it is there."""
    out = folder / task
    if not (out / "run.json").is_file():
        data = _made(task, folder) if ready is None else _cut(ready, folder / f"cut_{task}")
        hwkd.search("cortex-m4", task=task, data=data, seed=0, out=out, **_SHORT, **OPTIONS[task])
    return out


def _made(task: str, folder: Path) -> Path:
    """Make the data of a task; windows of the watch where it has none of signals."""
    if task not in ("classify", "regression"):
        name = task if task in ("keyword", "wake-word") else f"{task}.csv"
        made = make_task_data(task, folder / name)
        return _cut(made, folder / f"cut_{task}") if made.is_dir() else made
    table = folder / "gesture.csv"
    if not table.is_file():
        make_task_data("gesture", table)
    return _windows(table, folder / f"{task}.npz", of_classes=task == "classify")


def _cut(whole: Path, out: Path) -> Path:
    """Write some clips of each word, of every split, and the first minute of each recording."""
    for folder in (each for each in whole.iterdir() if each.is_dir() and each.name[0] != "_"):
        files = sorted(folder.glob("*.wav"))
        (out / folder.name).mkdir(parents=True)
        for path in files if folder.name == "recordings" else files[:: -(-len(files) // _CLIPS)]:
            rate_hz, samples = wavfile.read(path, mmap=True)
            wavfile.write(out / folder.name / path.name, rate_hz, samples[: _RECORDED_S * rate_hz])
    for listed in whole.glob("*_list.txt"):
        kept = [line for line in listed.read_text().splitlines() if (out / line).is_file()]
        (out / listed.name).write_text("\n".join(kept) + "\n")
    return out


def _windows(table: Path, out: Path, *, of_classes: bool) -> Path:
    """Write whole samples of windows, and which exercise it is or how much the arm is moved."""
    inputs, names = [], []
    with table.open(newline="") as file:
        rows = csv.DictReader(file)
        for _, recording in itertools.groupby(rows, key=lambda row: row["recording"]):
            samples = list(recording)
            axes = [name for name in samples[0] if name not in _NOT_AXES]
            signal = np.array([[int(row[name]) for row in samples] for name in axes], np.int16)
            for start in range(0, signal.shape[1] - _WINDOW + 1, _WINDOW):
                inputs.append(signal[:, start : start + _WINDOW])
                names.append(samples[0]["exercise"])
    windows = np.stack(inputs)
    moved = windows.astype(np.float64).std(axis=2).mean(axis=1)
    labels = np.array(names) if of_classes else moved
    np.savez(out, allow_pickle=False, x_train=windows, y_train=labels)
    return out


_NOT_AXES = ("recording", "time", "exercise", "subject")


def _row(task: str, found: Verification) -> dict[str, Any]:
    """Return what is printed and kept of one check."""
    assert found.flash_predicted_bytes is not None
    assert found.ram_predicted_bytes is not None
    ram = found.ram_bytes + found.stack_bytes
    compared = found.features or found.prepared
    assert compared is not None
    # Those of floats are counted in a program of their own.
    of_network = found.instructions_per_inference - (found.features is not None) * (
        compared.instructions
    )
    return {
        "task": task,
        "passed": "; ".join(found.faults) or "yes",
        "features compared": compared.values,
        "differing": compared.differing + compared.core_differing,
        "instructions of features": compared.instructions,
        "of the network": of_network,
        "flash": found.flash_bytes,
        "flash off": found.flash_predicted_bytes / found.flash_bytes - 1,
        "RAM": ram,
        "RAM off": found.ram_predicted_bytes / ram - 1,
    }


def _judged(core: str, rows: list[dict[str, Any]]) -> list[Target]:
    failed = sum(row["passed"] != "yes" for row in rows)
    return [
        count(f"{core}, of {len(rows)} tasks, failed `hwkd verify` from raw samples", failed, 0),
        *(
            Target(
                f"{core}, {name} predicted against the ELF, worst task",
                max(abs(row[f"{name} off"]) for row in rows),
                _WANTED_OFF,
            )
            for name in ("flash", "RAM")
        ),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
