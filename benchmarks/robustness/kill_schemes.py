"""Kills trainings by schemes with SIGKILL and compares what they end with, bit by bit.

One scheme of each family is trained on the digits in a process of its own, which is killed at
random moments and begun again until it ends. Checkpoints are written after every epoch, so that
kills fall before, between and inside phases.

    python -m benchmarks.robustness.kill_schemes
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from multiprocessing.context import ForkProcess
from pathlib import Path

import numpy as np
import torch

from benchmarks.distill.setup import load_data, student
from benchmarks.lib.verdict import count, report
from hwkd.core.catalog import SCHEMES
from hwkd.core.teaching import TrainingSet
from hwkd.distill.scheme import Scheme
from hwkd.engine.arms.evaluation import student_bytes
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_course import train_scheme
from hwkd.engine.arms.scheme_stages import SchemeData
from hwkd.io.discovery import discover
from hwkd.tasks.base import TaskData
from hwkd.train.batches import TensorBatches
from hwkd.train.checkpoint import Checkpoints
from hwkd.train.config import TrainConfig

_PICTURES = 400
_RESULT = "student.safetensors"


def one_of_each_family() -> dict[str, Scheme]:
    """Return a family's first scheme with a source or a phase to lose, by family."""
    discover("hwkd.distill.schemes")
    found: dict[str, Scheme] = {}
    for name in SCHEMES.names():
        scheme: Scheme = SCHEMES.get(name)()
        known = found.get(scheme.family)
        if known is None or len(scheme.phases()) > len(known.phases()):
            found[scheme.family] = scheme
    return found


def _train(scheme: Scheme, data: TaskData, folder: Path, epochs: int) -> None:
    """Train and write the student; goes on where checkpoints say."""
    torch.set_num_threads(1)
    inputs = torch.from_numpy(np.array(data.train.inputs[:_PICTURES]))
    labels = torch.from_numpy(np.array(data.train.labels[:_PICTURES]))
    held = data.validation
    made, _ = train_scheme(
        student("2k", data),
        SchemeData(
            training=TrainingSet(copies=[inputs], labels=labels, head=data.head, batch_size=32),
            batches=TensorBatches([inputs], labels),
            held_inputs=torch.from_numpy(np.array(held.inputs)),
            held_labels=torch.from_numpy(np.array(held.labels)),
        ),
        TrainConfig(epochs=epochs, batch_size=32, learning_rate=0.01, seed=1),
        arm=Arm(name="scheme", scheme=scheme),
        checkpoints=Checkpoints(
            folder / "checkpoints", identity=scheme.describe(), say=print,
            period_s=0.0, share=1e9,
        ),
    )  # fmt: skip
    (folder / "new").write_bytes(student_bytes(made))
    (folder / "new").replace(folder / _RESULT)


def _started(scheme: Scheme, data: TaskData, folder: Path, epochs: int) -> ForkProcess:
    process = multiprocessing.get_context("fork").Process(
        target=_train, args=(scheme, data, folder, epochs)
    )
    process.start()
    return process


def killed_and_ended(
    scheme: Scheme, data: TaskData, folder: Path, *, epochs: int, kills: int, whole_s: float
) -> int:
    """Kill a training at random moments, let it end; returns how many kills met it at work."""
    draw, met = random.Random(scheme.describe()), 0
    for _ in range(kills):
        process = _started(scheme, data, folder, epochs)
        process.join(whole_s * draw.random() * 3 / kills)
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            met += 1
        process.join()
        if (folder / _RESULT).is_file():
            break
    if not (folder / _RESULT).is_file():
        _started(scheme, data, folder, epochs).join()
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10, help="of each scheme")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--quick", action="store_true", help="two kills of each")
    given = parser.parse_args()
    kills = 2 if given.quick else given.kills
    data = load_data(None)
    differ, met, rows = 0, 0, {}
    with tempfile.TemporaryDirectory(prefix="hwkd-kill-") as temporary:
        for family, scheme in one_of_each_family().items():
            folders = [Path(temporary) / family / part for part in ("whole", "killed")]
            for folder in folders:
                folder.mkdir(parents=True)
            begun = time.monotonic()
            _started(scheme, data, folders[0], given.epochs).join()
            own = killed_and_ended(
                scheme, data, folders[1], epochs=given.epochs, kills=kills,
                whole_s=time.monotonic() - begun,
            )  # fmt: skip
            whole, killed = ((folder / _RESULT).read_bytes() for folder in folders)
            differ, met = differ + (whole != killed), met + own
            rows[family] = {"scheme": scheme.name, "kills": own, "identical": whole == killed}
            print(f"{family}: {rows[family]}", flush=True)
    return report(
        [
            count("families whose student differs", differ, 0),
            count("kills at work", met, len(rows) * kills // 2, at_least=True),
        ],
        {"families": rows},
    )


if __name__ == "__main__":
    sys.exit(main())
