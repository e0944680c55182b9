"""Is the exported C of a detector, a segmenter and two text models what was trained, with answers?

python -m benchmarks.accuracy.c_tasks [--runs FOLDER] [--inputs 128] [--epochs 4]
    [--only detect|segment|text|pieces | --quick]

One student of each task is searched for, briefly and on few scenes (`tools.scene_data`) and news
(`tools.text_data`), of these one of weights of words and one that looks pieces of words up in a
table; runs that lie in --runs, called so, are taken as they are. On an
emulated Cortex-M7, for examples of the test split:

1. `hwkd verify`: outputs, every layer, and the features of texts;
2. the folder of `hwkd export --target c`, compiled: outputs, and what `model_answer` says (boxes
   after decoding and non-maximum suppression, the class of each position, the class of a text),
   beside ONNX Runtime and what Python makes of its outputs.

Exit code 1 if a value differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hwkd
from benchmarks.lib.c_answers import ANSWERS, answers_on_core
from benchmarks.lib.verdict import count, report
from hwkd.api.student import Student
from hwkd.deploy.to_c.exported import read_exported
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.engine.arms.export import raw_input
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data
from hwkd.tasks.base import TaskData
from hwkd.tasks.things import CELL_UNITS
from tools.make_task_data import make_task_data
from tools.scene_data import make_detect, make_segment

_CORE = "cortex-m7"
_SCENES = {"train": 600, "val": 128, "test": 128}
_UNITS_PER_PIXEL = CELL_UNITS // 8
# Name of a run -> task, and features where they are not the task's own.
_MODELS: dict[str, tuple[str, str | None]] = {
    **{task: (task, None) for task in ANSWERS}, "pieces": ("text", "pieces"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """What differs of one student; counts of values."""

    task: str
    inputs: int
    outputs: int
    outputs_other: int
    layers: int
    layers_other: int
    features: int
    features_other: int
    answers: int
    answers_other: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, help="folder with runs called as --only names them")
    parser.add_argument("--inputs", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=4, help="of a search's full training")
    parser.add_argument("--only", choices=sorted(_MODELS))
    parser.add_argument("--quick", action="store_true", help="8 inputs")
    given = parser.parse_args()
    inputs = 8 if given.quick else given.inputs
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name in [given.only] if given.only else _MODELS:
            runs = given.runs or Path(folder) / "runs"
            task, features = _MODELS[name]
            if not (run := runs / name).exists():
                _search(task, features, runs / "data" / name, run, given.epochs)
            row = _checked(task, run, Path(folder) / name, inputs)
            rows.append(replace(row, task=name))
            print(rows[-1], flush=True)
    targets = [
        count(f"{row.task}: of {total:,} {what}, other", other, 0)
        for row in rows
        for what, total, other in (
            ("outputs", row.outputs, row.outputs_other),
            ("values of layers", row.layers, row.layers_other),
            ("features", row.features, row.features_other),
            ("values of answers", row.answers, row.answers_other),
        )
        if total
    ]
    return report(targets, {"inputs of each": inputs})


def _search(task: str, features: str | None, data: Path, out: Path, epochs: int) -> None:
    """Search for one student, on data that is made."""
    data.parent.mkdir(parents=True, exist_ok=True)
    if task == "text":
        make_task_data(task, data)
    else:
        (make_detect if task == "detect" else make_segment)(data, scenes=_SCENES)
    hwkd.search(
        _CORE, runtime="hwkd-c", task=task, data=data, features=features, methods=["none"],
        trials=1, full_epochs=epochs, workers=1, out=out,
    )  # fmt: skip


def _checked(task: str, run: Path, exported: Path, inputs: int) -> Row:
    found = hwkd.verify(run, device=_CORE, inputs=inputs).verification
    hwkd.export(run, target="c", out=exported)
    student = hwkd.open(run).best
    assert student is not None
    folder = read_exported(exported, raw_input)
    assert folder is not None
    project = folder.project()
    _, data = load_data(SearchConfig.from_toml(RunFolder(run).config_path))
    chosen = np.random.default_rng(0).permutation(len(data.test))[:inputs]
    prepared = data.test.inputs[chosen]
    if data.raw_test is None:  # what is compared begins with the network's input
        project = replace(project, raw=None)
    given = to_c_inputs(project, prepared) if data.raw_test is None else data.raw_test[chosen]
    outputs, answers = answers_on_core(exported, project, given, task=task, core_name=_CORE)
    expected = reference_outputs(folder.model_path, project, prepared)
    wanted = _wanted(task, student, data, prepared)
    layers = found.instructions_per_layer
    features = found.features
    return Row(
        task=task,
        inputs=len(prepared),
        outputs=expected.size,
        outputs_other=int((outputs != expected).sum())
        + found.mismatches.onnxruntime
        + found.mismatches.host_c,
        layers=sum(layer.values or 0 for layer in layers),
        layers_other=sum((layer.differing or 0) + layer.averages_within_bound for layer in layers),
        features=0 if features is None else features.values + features.core_values,
        features_other=0 if features is None else features.differing + features.core_differing,
        answers=wanted.size,
        answers_other=int((answers != wanted).sum()),
    )


def _wanted(
    task: str, student: Student, data: TaskData, prepared: NDArray[np.float32]
) -> NDArray[Any]:
    """Return what Python answers, as whole numbers, shape [inputs, values]."""
    head = data.head.at(student.final.decision)
    found = head.answers(student.network().of_prepared(prepared), prepared)
    if task == "detect":
        found = np.delete(found, 1, axis=2)  # of probabilities the C has the logit
        found[..., 1:] *= _UNITS_PER_PIXEL
    elif task == "text":
        found = np.array([head.names.index(str(name)) for name in found])
    return found.reshape(len(prepared), -1).astype(np.int32)


if __name__ == "__main__":
    sys.exit(main())
