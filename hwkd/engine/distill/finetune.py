"""A finished student that goes on with further data: its own weights, scaling and device.

Classes are known by their names: the rows of the classifier that the new data still has are
copied, the others drawn. Values keep their meaning although the new data has another mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.core.finetune_record import FinetuneRecord
from hwkd.core.metric import Scores, ScoresRecord
from hwkd.core.reading import Reading
from hwkd.core.run_record import RunRecord
from hwkd.core.student import Layers
from hwkd.core.widened import outputs_of, with_outputs
from hwkd.engine.arms.evaluation import save_student, student_logits
from hwkd.engine.arms.orders import ArmOrder
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.setup.config import SearchConfig, TrainingConfig
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.stored_student import layers_of_record
from hwkd.io.student_folder import INT8_FILE, WEIGHTS_FILE, StudentFolder
from hwkd.nn.build import StudentModule, build_module
from hwkd.tasks.base import SplitName, TaskData
from hwkd.train.seeding import derive_seed
from hwkd.train.weights_file import WeightsError, fill_module

# Weights that are good are kept from being forgotten: few small steps.
FEWER_EPOCHS = 0.25
RATE_RATIO = 0.1
_START_FILE = "start.safetensors"
# Of outputs that a student did not have: no answer, and nothing that overflows.
_NEVER = -1e4
_FITTED = ("normalise", "standardise")
_FITTED_BEFORE = ("word-weights",)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a student brings to further data.

    Attributes:
        student: as it was.
        given: its name on the command line.
        layers: with as many outputs as the data has.
        rows: of each output, the number that it had; -1 is new.
        scale: of each output that it had, what turns the old one into the new.
        shift: added then.
        weights: of the network; None are those of the student.
    """

    student: StudentFolder
    given: str
    layers: Layers
    rows: tuple[int, ...]
    names: tuple[str, ...]
    scale: NDArray[np.float32]
    shift: NDArray[np.float32]
    weights: Path | None = None

    @cached_property
    def run(self) -> RunRecord:
        """Of the search or training that made it."""
        return run_of_student(self.student)

    def module(self, seed: int) -> StudentModule:
        """Return the network that training begins with.

        Args:
            seed: draws what the student did not have.

        Raises:
            RunFolderError: if the weights are not those of the student.
        """
        path = self.weights or self.student.file(WEIGHTS_FILE)
        try:
            fill_module(build_module(self.student.layers, seed=0), path)
        except WeightsError as error:
            raise RunFolderError(f"{path}: the student's weights: {error}") from None
        old, module = load_file(path), build_module(self.layers, seed=seed)
        ends = tuple(f"steps.{name}." for name in outputs_of(self.layers))
        state = module.state_dict()
        for name, tensor in state.items():
            if name.startswith(ends) and tensor.dim():
                self._fill(tensor, old[name], is_bias=name.endswith(".core.bias"))
            else:
                tensor.copy_(old[name])
        return module

    def _fill(self, tensor: Tensor, old: Tensor, *, is_bias: bool) -> None:
        for row, before in enumerate(self.rows):
            if before >= 0:
                moved = old[before] * float(self.scale[row])
                tensor[row] = moved + float(self.shift[row]) if is_bias else moved

    def compared(self, data: TaskData, after: ScoresRecord) -> FinetuneRecord:
        """Return both students on the new data.

        Args:
            after: of the one that ships.
        """
        before = ScoresRecord(
            validation_int8=self._scores(data, "validation"),
            test_int8=self._scores(data, "test"),
        )
        kept = tuple(n for n, row in zip(self.names, self.rows, strict=True) if row >= 0)
        return FinetuneRecord(
            metric=data.head.metrics[0],
            student=self.given,
            kept=kept,
            new=tuple(name for name in self.names if name not in kept),
            left_out=tuple(name for name in self.student.labels if name not in self.names),
            before=before,
            after=after,
        )

    def _scores(self, data: TaskData, name: SplitName) -> Scores:
        split, final = data.split(name), self.run.final
        old = student_logits(self.student.file(INT8_FILE), split.inputs)
        rows = np.array(self.rows)
        outputs = np.where(rows >= 0, old[:, rows] * self.scale + self.shift, np.float32(_NEVER))
        head = data.head.at(None if final is None else final.decision)
        return head.scores(outputs.astype(np.float32), split.labels, split.wholes)


def run_of_student(student: StudentFolder) -> RunRecord:
    """Return what a student's description says of its training.

    Raises:
        RunFolderError: if it says nothing.
    """
    run = student.record.run
    if run is None:
        raise RunFolderError(
            f"{student.folder}: does not say how its inputs are prepared; give the run it is of"
        )
    return run


def finetune_config(request: DistillRequest, student: StudentFolder, path: Path) -> SearchConfig:
    """Return the configuration under which a student goes on: its run's, with the new data.

    Args:
        path: of the run's configuration, which may not be there.
    """
    run = run_of_student(student)
    base = SearchConfig.from_toml(path) if path.is_file() else None
    config = base or SearchConfig(device=run.device.name, runtime=run.device.runtime)
    config = config.in_setting(student.record.spec.features)
    reading = read_alike(config.reading, run)
    return config.model_copy(
        update={
            "task": run.data.task,
            "data": request.data,
            "device": request.device or config.device,
            "reading": reading,
            "seed": request.seeds[0],
            "teacher": type(config.teacher)(),
            "training": TrainingConfig(rate_ratio=RATE_RATIO),
        }
    )


def read_alike(reading: Reading, run: RunRecord) -> Reading:
    """Return how data are read so that a student's weights are for them: with its own scaling."""
    pipeline = run.data.pipeline
    fitted = [step for step in pipeline.steps if step.kind in _FITTED]
    words = tuple(step for step in pipeline.steps if step.kind in _FITTED_BEFORE)
    return reading.model_copy(
        update={
            "scaling": fitted[-1] if fitted else None, "fitted": words,
            "raw_shape": pipeline.raw_shape,
        }
    )  # fmt: skip


def start_of(student: StudentFolder, data: TaskData, *, given: str) -> Start:
    """Return what a student brings to data.

    Args:
        given: its name on the command line.

    Raises:
        ConfigError: if the data has other inputs, or none of its classes.
    """
    old = run_of_student(student).data
    _require_same_inputs(student, data)
    known = {name: row for row, name in enumerate(old.class_names)}
    rows = tuple(known.get(name, -1) for name in data.class_names)
    is_of_classes = data.head.kind.of_classes
    fits = any(row >= 0 for row in rows) if is_of_classes else old.class_names == data.class_names
    if old.kind != data.head.kind.name or not fits:
        raise ConfigError(
            f"--data {data.source}: has {_some(data.class_names)} and {given} knows "
            f"{_some(old.class_names)}: {'no class' if is_of_classes else 'not all'} in common; "
            "name folders, labels or columns as for the first training, or begin with `hwkd search`"
        )
    layers = layers_of_record(student.record, where=given)
    scale, shift = np.ones(len(rows), np.float32), np.zeros(len(rows), np.float32)
    if old.answer_std:
        new = data.head
        scale = np.asarray(np.array(old.answer_std) / np.array(new.answer_std), np.float32)
        difference = np.array(old.answer_mean) - np.array(new.answer_mean)
        shift = np.asarray(difference / np.array(new.answer_std), np.float32)
    return Start(
        student=student,
        given=given,
        layers=with_outputs(layers, len(rows)),
        rows=rows,
        names=data.class_names,
        scale=scale,
        shift=shift,
    )


def started(
    orders: Sequence[ArmOrder], start: Start, folder: Path, context: SearchContext
) -> list[ArmOrder]:
    """Return orders that begin with the student's weights, which are written for them.

    Args:
        folder: where they are worked on.
    """
    path = folder / _START_FILE
    save_student(start.module(derive_seed(context.config.seed, "new outputs")), path)
    return [order.model_copy(update={"start_from": str(path)}) for order in orders]


def _require_same_inputs(student: StudentFolder, data: TaskData) -> None:
    stored, found = run_of_student(student).data.pipeline, data.pipeline.record()
    if stored.raw_shape != found.raw_shape:
        raise ConfigError(
            f"--data {data.source}: inputs are {_times(found.raw_shape)} and the student takes "
            f"{_times(stored.raw_shape)}; bring the new data to that shape"
        )
    if stored.steps != found.steps:
        raise ConfigError(
            f"--data {data.source}: cannot be prepared as for the student's training "
            f"({', '.join(step.kind for step in stored.steps)}); give the run folder, which knows "
            "how its data was read"
        )


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
