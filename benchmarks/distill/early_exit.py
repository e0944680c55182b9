"""What stopping early saves: mean instructions on an emulated Cortex-M4 against accuracy.

A student with exits is trained by `hwkd distill --scheme early_exit`, its int8 file is compiled and
run in the emulator, which counts the instructions of each exit; how many test samples leave where
is known from the file's own answers for every threshold.

    python -m benchmarks.distill.early_exit --epochs 40
    python -m benchmarks.distill.early_exit --data FOLDER --epochs 10
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.distill.setup import STUDENT_CHANNELS, load_data, student
from benchmarks.lib.verdict import Target, report
from hwkd.core.student import StudentSpec
from hwkd.core.student_record import StudentRecord
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.verify import verify_model
from hwkd.deploy.verify_exits import outputs_taken
from hwkd.deploy.verify_onnx import reference_outputs
from hwkd.deploy.verify_target import target_named
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.run import run_distillation
from hwkd.io.student_folder import EXITS_FILE

_CORE = "cortex-m4"
_LOST_RATIO = 0.003
_LOOKED_AT = 400


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=None, help="images; none: the digits")
    parser.add_argument("--size", default="8k", choices=STUDENT_CHANNELS)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--scheme", default="early_exit:exits=2")
    parser.add_argument("--inputs", type=int, default=12, help="that are emulated, of each exit")
    given = parser.parse_args()
    data = load_data(given.data)
    layers = student(given.size, data)
    with tempfile.TemporaryDirectory(prefix="hwkd-exits-") as folder:
        spec = StudentSpec(
            space="own", params={}, input_shape=data.input_shape, num_outputs=data.num_outputs
        )
        path = Path(folder) / "student.json"
        path.write_text(StudentRecord(spec=spec, network=layers).model_dump_json())
        made = run_distillation(
            DistillRequest(
                student=str(path), data=None if given.data is None else str(given.data),
                scheme=given.scheme, epochs=given.epochs, device=_CORE, workers=1,
                out=Path(folder) / "out",
            )
        )  # fmt: skip
        path = made.file(EXITS_FILE)
        known = data.test.inputs[:_LOOKED_AT]
        project = build_project(path)
        taken = outputs_taken(project, reference_outputs(path, project, known))
        some = [np.flatnonzero(taken == output)[: given.inputs] for output in np.unique(taken)]
        checked = verify_model(path, target_named(_CORE), known[np.concatenate(some)])
    run = made.record.run
    assert run is not None
    assert run.final is not None
    exits = run.final.exits
    assert exits is not None
    # Nobody leaves by an exit that has no instructions.
    instructions = np.array([each.instructions or 0 for each in checked.exits], float)
    print(
        "| split | threshold | accuracy | mean instructions | of the whole |\n|---|--:|--:|--:|--:|"
    )
    rows = [("validation", point) for point in exits.front]
    rows += [("validation, chosen", exits.validation), ("test, chosen", exits.test)]
    for split, point in rows:
        mean = float(np.dot(point.shares, instructions))
        print(
            f"| {split} | {point.threshold:.3f} | {100 * point.accuracy_ratio:.2f} % | {mean:,.0f} "
            f"| {100 * mean / instructions[-1]:.1f} % |"
        )
    saved = 1 - float(np.dot(exits.test.shares, instructions)) / instructions[-1]
    lost = exits.test_whole_ratio - exits.test.accuracy_ratio
    return report(
        [
            Target("instructions saved on test", saved, 0.25, at_least=True),
            Target("accuracy lost on test", lost, _LOST_RATIO, unit=" points"),
        ],
        {
            "data": "digits" if given.data is None else given.data.name,
            "instructions by exit": dict(zip(exits.outputs, map(int, instructions), strict=True)),
            "faults": list(checked.faults),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
