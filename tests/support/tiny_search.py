"""A search small enough for tests: three easy classes, a linear ONNX teacher, one epoch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hwkd.engine.run.database import Database
from hwkd.engine.run.loaded_context import load_context
from hwkd.engine.run.prepared import prepared_json
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.shared_study import SharedStudy
from hwkd.engine.run.study_place import StudyPlace
from hwkd.engine.run.teacher_stage import prepare_teacher
from hwkd.engine.search.trial_run import TrialRunner
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.prepare import Prepared, prepare_data
from hwkd.io.run_files import PREPARED_FILE

CLASSES = 3


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Hear nothing."""


def write_npz(
    path: Path, *, shape: tuple[int, ...] = (8, 8), count: int = 240, seed: int = 0
) -> Path:
    """Write noise with one bright place per class; (height, width) or (channels, time)."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    inputs = generator.normal(size=(count, *shape)).astype(np.float32)
    width = shape[-1] // CLASSES
    for index, label in enumerate(labels):
        inputs[index, ..., label * width : (label + 1) * width] += 2.5
    np.savez(path, x_train=inputs, y_train=labels)
    return path


def write_teacher(
    path: Path, *, shape: tuple[int, ...] = (1, 8, 8), classes: int = CLASSES, scale: float = 0.3
) -> Path:
    """Write a linear ONNX teacher that looks at the bright places; `scale` 0 knows nothing."""
    weights = np.zeros((*shape, classes), dtype=np.float32)
    width = shape[-1] // CLASSES
    for label in range(min(classes, CLASSES)):
        weights[..., label * width : (label + 1) * width, label] = scale
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "teacher",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(weights.reshape(-1, classes), "w")],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def make_config(folder: Path, **changes: Any) -> SearchConfig:
    """Write data and teacher into a folder and return the configuration of a search on them."""
    raw: dict[str, Any] = {
        "device": "cortex-m7",
        "data": str(write_npz(folder / "data.npz")),
        "spaces": ["narrow_deep", "depthwise"],
        "trials": 8,
        "teacher": {"source": str(write_teacher(folder / "teacher.onnx"))},
        "training": {"brief_epochs": 1, "full_epochs": 1, "controls": 0},
    }
    return SearchConfig.checked({**raw, **changes}, where="test")


@dataclass(frozen=True, kw_only=True)
class TinyRun:
    """A run folder that is ready for its first trial."""

    store: RunFolder
    prepared: Prepared

    @property
    def shared(self) -> SharedStudy:
        """The study in a database that is the run."""
        assert self.store.shared is not None
        return self.store.shared

    def runner(self) -> TrialRunner:
        return TrialRunner(
            context=load_context(RunFolder(self.store.path)),
            worker="test",
            artifacts=self.store.artifacts,
            check=lambda: None,
        )

    def reopened(self) -> RunFolder:
        """Return the store as another process would open it."""
        return RunFolder(self.store.path)


def make_run(
    folder: Path, name: str = "run", *, place: StudyPlace | None = None, **changes: Any
) -> TinyRun:
    """Create a run folder as `hwkd search` does, with no worker started."""
    folder.mkdir(parents=True, exist_ok=True)
    prepared = prepare_data(make_config(folder, **changes), progress=silent)
    teacher = prepare_teacher(prepared.config, prepared.transfer, progress=silent).teacher
    store = RunFolder(folder / name)
    documents = {PREPARED_FILE: prepared_json(prepared.transfer, teacher)}
    store.create(prepared.config, documents, place=place)
    return TinyRun(store=store, prepared=prepared)


def make_shared_run(folder: Path, *, lease_s: float = 30.0, **changes: Any) -> TinyRun:
    """Create the study `tiny` in a SQLite file, as a search that waits for workers."""
    url = Database.of(f"sqlite:///{folder / 'study.db'}").url
    artifacts = (folder / "artifacts").as_uri()
    place = StudyPlace(url=url, study="tiny", artifacts=artifacts, lease_s=lease_s)
    run = make_run(folder, place=place, **changes)
    run.shared.set_state("running")
    return run
