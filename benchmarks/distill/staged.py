"""Ever smaller students, each taught by the one before, against one taught directly.

`hwkd distill --compression` trains both: stages of 2, 4, 8 and 16 times less work while the gates
hold, and the last size once more from the first student for as long as its stages together. The
accuracy is that of int8 files on the test split. Fails if stages ship that a direct training beats
by more than its interval.

    python -m benchmarks.distill.staged --seeds 3
    python -m benchmarks.distill.staged --data FOLDER --epochs 3 --of latency --gate accuracy:3%
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.distill.setup import STUDENT_CHANNELS, load_data, student
from benchmarks.lib.verdict import count, report
from hwkd.core.ladder_record import CompressionRecord, RungRecord
from hwkd.core.student import StudentSpec
from hwkd.core.student_record import StudentRecord
from hwkd.engine.distill.compression import run_compression
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.run.listener import SilentListener


def compressed(given: argparse.Namespace, folder: Path) -> CompressionRecord:
    """Train the stages and the direct student."""
    data = load_data(given.data)
    spec = StudentSpec(
        space="own", params={}, input_shape=data.input_shape, num_outputs=data.num_outputs
    )
    path = folder / "student.json"
    record = StudentRecord(spec=spec, network=student(given.size, data))
    path.write_text(record.model_dump_json())
    made = run_compression(
        DistillRequest(
            student=str(path), data=None if given.data is None else str(given.data),
            methods=("kd",), epochs=given.epochs, device="cortex-m4", workers=1,
            seeds=tuple(range(given.seeds)), out=folder / "out",
        ),
        compression=f"{given.of}:{','.join(map(str, given.factors))}",
        gates=given.gate,
        listener=SilentListener(),
    )  # fmt: skip
    run = made.record.run
    assert run is not None
    assert run.compression is not None
    return run.compression


def _row(rung: RungRecord) -> dict[str, Any]:
    return {
        "student": rung.name,
        "channels": rung.width,
        "macs": rung.macs,
        "validation": float(np.mean(rung.validation_int8)),
        "test": float(np.mean(rung.test_int8)),
        "gates closed": "; ".join(rung.closed),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="images; none: the digits")
    parser.add_argument("--size", default="30k", choices=STUDENT_CHANNELS)
    parser.add_argument("--of", default="macs", help="what is divided")
    parser.add_argument("--factors", nargs="+", type=int, default=(2, 4, 8, 16))
    parser.add_argument("--gate", nargs="+", default=("accuracy:50%",), help="wide: to the end")
    parser.add_argument("--epochs", type=int, default=15, help="of each stage")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hwkd-staged-") as folder:
        found = compressed(given, Path(folder))
    rows = [_row(rung) for rung in (*found.rungs, *filter(None, [found.direct]))]
    print("| student | channels | int8 validation | int8 test | gates closed |")
    print("|---|--:|--:|--:|---|")
    for row in rows:
        shares = f"{100 * row['validation']:.2f} % | {100 * row['test']:.2f} %"
        print(f"| {row['student']} | {row['channels']:.3f} | {shares} | {row['gates closed']} |")
    gain = "none" if found.gain is None else found.gain.text(found.metric)
    print(
        f"stages over direct: {gain}; ended by {found.ended_by or 'nothing'}; ships {found.ships}"
    )
    beaten = found.gain is not None and found.gain.verdict == "loss"
    ships_stages = found.direct is None or found.ships != found.direct.name
    return report(
        [count("stages that ship although direct is better", int(beaten and ships_stages), 0)],
        {
            "data": "digits" if given.data is None else given.data.name,
            "stages over direct": gain,
            "ships": found.ships,
            "students": rows,
        },
    )


if __name__ == "__main__":
    sys.exit(main())
