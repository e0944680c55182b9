"""One student taught on any inputs, and the accuracy of its int8 file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.distill.cells import methods_of
from benchmarks.distill.setup import student
from benchmarks.lib.scores import accuracy_ratio
from hwkd.core import catalog
from hwkd.engine.arms.evaluation import deploy_student, student_logits, train_student
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import make_context
from hwkd.engine.setup.trainings import full_training
from hwkd.engine.setup.transfer import transfer_set
from hwkd.nn.build import StudentModule
from hwkd.tasks.base import Split, TaskData
from hwkd.train.config import TrainConfig
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher import Teacher


def with_train(data: TaskData, inputs: NDArray[np.float32], labels: NDArray[Any]) -> TaskData:
    """Return data with another train split; its fingerprint names what it holds."""
    digest = hashlib.sha256(data.fingerprint.encode())
    digest.update(np.ascontiguousarray(inputs).data)
    digest.update(labels.tobytes())
    return replace(data, train=Split(inputs=inputs, labels=labels), fingerprint=digest.hexdigest())


def taught(
    data: TaskData, teacher: Teacher | None, *, size: str, seed: int, steps: int, method: str = "kd"
) -> tuple[float, StudentModule]:
    """Train a student on a train split; returns int8 test accuracy, 0 to 1, and the float student.

    Args:
        teacher: None trains on labels alone.
        size: of the student.
        steps: of 64 samples, about.
        method: as `--method` takes it; by which it follows the teacher.
    """
    methods = () if teacher is None else methods_of(method)
    layers = student(size, data)
    context = make_context(
        SearchConfig(device="host", spaces=(), accelerator="cpu"),
        catalog.TASKS.get("classify"),
        transfer_set(data),
        teacher,
    )
    batch = min(64, len(data.train))
    epochs = max(1, round(steps * batch / len(data.train)))
    training = full_training(context, layers, repetition=seed, epochs=epochs, methods=methods)
    config = TrainConfig(
        epochs=epochs, batch_size=batch, learning_rate=0.02,
        seed=derive_seed(seed, layers.key, "taught"),
    )  # fmt: skip
    arm = Arm(name="taught", methods=methods)
    module = train_student(layers, context, replace(training, config=config), arm=arm).module
    with TemporaryDirectory() as folder:
        calibration = data.train.inputs[:256]
        files = deploy_student(
            module, layers, Path(folder), calibration=calibration, ranges="minmax"
        )
        outputs = student_logits(files.int8_path, data.test.inputs)
    return accuracy_ratio(outputs, data.test.labels), module
