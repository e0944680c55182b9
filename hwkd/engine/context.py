"""What every trial of a search shares: the data, the teacher's logits, the settings.

Each process builds its own context from the run folder; the expensive parts (decoded data, the
teacher, its logits) were prepared once and are read from the cache.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.core import catalog
from hwkd.core.device import Device
from hwkd.core.device_catalog import load_device
from hwkd.core.errors import ConfigError
from hwkd.core.machine import available_cores
from hwkd.core.progress import Progress, silent
from hwkd.distill.spec import WeightedMethod
from hwkd.engine.config import SearchConfig
from hwkd.engine.quantise import calibration_inputs
from hwkd.engine.references import ReferenceStudent, reference_students
from hwkd.engine.rooms import fit_spaces
from hwkd.engine.screening import Screen, load_spaces
from hwkd.engine.search_methods import configured_methods, default_methods
from hwkd.tasks.base import Task, TaskData
from hwkd.train.loop import TrainConfig
from hwkd.train.seeding import derive_seed

_T = TypeVar("_T", int, float)

__all__ = [
    "SearchContext",
    "accelerator_device",
    "load_data",
    "make_context",
    "resolve_config",
    "screen_of",
    "threads_per_worker",
]

# Brief training sees about this many samples, full training this many; both within the bounds
# below. Chosen so that a trial on the digits takes about a second and a full training on 60,000
# small images a few minutes on two cores.
_BRIEF_SAMPLES = 30_000
_FULL_SAMPLES = 1_000_000
_MAX_BRIEF_EPOCHS = 12
_MIN_FULL_EPOCHS = 15
_MAX_FULL_EPOCHS = 60
# Of a time limit, what training a teacher may take: students gain more from the rest.
_TEACHER_SHARE = 0.18


@dataclass(frozen=True, kw_only=True)
class SearchContext:
    """Everything that a trial reads; nothing in here changes during a search.

    Attributes:
        config: with every open choice resolved.
        screen: device, limits and spaces, fitted to the limits.
        references: textbook designs that fit the limits, the first to try first.
        task: scores outputs.
        data: all splits; trials look at train and validation only.
        accelerator: where networks are trained.
        train_inputs: shape [samples, *input_shape], on the accelerator.
        train_labels: shape [samples], on the accelerator.
        teacher_train_logits: shape [samples, classes], on the accelerator, float32.
        teacher_validation_logits: shape [samples, classes].
        methods: that students learn by beside the labels; none is labels alone.
        calibration: inputs that set the int8 ranges, a fixed random part of train.
    """

    config: SearchConfig
    screen: Screen
    references: tuple[ReferenceStudent, ...]
    task: Task
    data: TaskData
    accelerator: torch.device
    train_inputs: Tensor
    train_labels: Tensor
    teacher_train_logits: Tensor
    teacher_validation_logits: NDArray[np.float32]
    methods: tuple[WeightedMethod, ...]
    calibration: NDArray[np.float32]

    def brief_config(self, network_key: str) -> TrainConfig:
        """Return the training of one candidate; seeded by the network, not by its turn."""
        training = self.config.training
        return TrainConfig(
            epochs=_resolved(training.brief_epochs),
            batch_size=_resolved(training.batch_size),
            learning_rate=_resolved(training.learning_rate),
            seed=derive_seed(self.config.seed, network_key, "brief"),
            time_limit_s=training.trial_timeout_s,
            samples_per_epoch=training.brief_samples,
        )

    def full_config(self, network_key: str, *, repetition: int, epochs: int) -> TrainConfig:
        """Return a full-length training; `repetition` numbers further seeds."""
        training = self.config.training
        return TrainConfig(
            epochs=epochs,
            batch_size=_resolved(training.batch_size),
            learning_rate=_resolved(training.learning_rate),
            seed=derive_seed(self.config.seed, network_key, "full", repetition),
        )


def resolve_config(config: SearchConfig, device: Device, data: TaskData) -> SearchConfig:
    """Fill every open choice from the device and the size of the data."""
    runtime = device.runtime(config.runtime)
    limits = config.limits
    filled_limits = limits.model_copy(
        update={
            "ram_bytes": limits.ram_bytes
            or _available(device.sram_bytes, device.reserved_ram_bytes),
            "flash_bytes": limits.flash_bytes
            or _available(device.flash_bytes, device.reserved_flash_bytes),
        }
    )
    objective = config.objective.model_copy(
        update={
            "target_latency_s": config.objective.target_latency_s
            or limits.latency_s
            or device.target_latency_s
        }
    )
    teacher = config.teacher
    if config.timeout_s is not None and teacher.source is None and teacher.time_budget_s is None:
        budget_s = _TEACHER_SHARE * config.timeout_s
        teacher = teacher.model_copy(update={"time_budget_s": budget_s})
    samples = len(data.train)
    training = config.training.model_copy(
        update={
            "brief_epochs": config.training.brief_epochs
            or _clamp(_BRIEF_SAMPLES / samples, 1, _MAX_BRIEF_EPOCHS),
            "brief_samples": None if config.training.brief_epochs else min(samples, _BRIEF_SAMPLES),
            "full_epochs": config.training.full_epochs
            or _clamp(_FULL_SAMPLES / samples, _MIN_FULL_EPOCHS, _MAX_FULL_EPOCHS),
            "batch_size": config.training.batch_size or (64 if samples < 10_000 else 128),
            "learning_rate": config.training.learning_rate or 0.02,
        }
    )
    return config.model_copy(
        update={
            "runtime": runtime.name,
            "clock_hz": config.clock_hz or device.clock_hz,
            "limits": filled_limits,
            "objective": objective,
            "teacher": teacher,
            "training": training,
        }
    )


def load_data(config: SearchConfig, *, progress: Progress = silent) -> tuple[Task, TaskData]:
    """Read the data of a search through its task."""
    catalog.discover("hwkd.tasks")
    task: Task = catalog.TASKS.get(config.task)
    source = Path(config.data) if config.data is not None else None
    data = task.data(
        source,
        split_seed=config.seed,
        input_size=config.input_size,
        layout=config.layout,
        progress=progress,
    )
    return task, data


def screen_of(config: SearchConfig) -> Screen:
    """Return what candidates are costed for."""
    device = load_device(config.device)
    device.require_cost_model()
    device.runtime(config.runtime)  # refuses a runtime without data before anything is spent
    return Screen(
        device=device,
        runtime=config.runtime,
        clock_hz=config.clock_hz,
        limits=config.limits.to_limits(),
        risk=config.limits.risk,
        spaces=load_spaces(config.spaces),
    )


def make_context(
    config: SearchConfig,
    task: Task,
    data: TaskData,
    *,
    train_logits: NDArray[np.float16],
    validation_logits: NDArray[np.float16],
) -> SearchContext:
    """Put together what trials share.

    Args:
        config: resolved.
        task: of the search.
        data: of the search.
        train_logits: of the teacher, shape [samples, classes].
        validation_logits: likewise.
    """
    accelerator = accelerator_device(config.accelerator)
    train_teacher = torch.from_numpy(train_logits.astype(np.float32)).to(accelerator)
    given = configured_methods(config)
    shape, outputs = data.input_shape, data.num_outputs
    screen = fit_spaces(screen_of(config), input_shape=shape, num_outputs=outputs)
    return SearchContext(
        config=config,
        screen=screen,
        references=reference_students(screen, input_shape=shape, num_outputs=outputs),
        task=task,
        data=data,
        accelerator=accelerator,
        train_inputs=torch.from_numpy(np.array(data.train.inputs)).to(accelerator),
        train_labels=torch.from_numpy(np.array(data.train.labels)).to(accelerator),
        teacher_train_logits=train_teacher,
        teacher_validation_logits=validation_logits.astype(np.float32),
        methods=default_methods(train_teacher) if given is None else given,
        calibration=calibration_inputs(data, config.seed),
    )


def accelerator_device(name: str) -> torch.device:
    """Return the torch device for `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        ConfigError: if that accelerator is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(candidate for candidate, is_there in available.items() if is_there)
    if not available[name]:
        there = ", ".join(candidate for candidate, is_there in available.items() if is_there)
        raise ConfigError(
            f"--accelerator {name}: there is none on this machine; available: {there}"
        )
    return torch.device(name)


def threads_per_worker(workers: int) -> int:
    """Return how many threads one of `workers` processes may use.

    OMP_NUM_THREADS bounds them all together, as it would a search in one process.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    cores = available_cores()
    bound = min(cores, int(given)) if given.isdigit() and int(given) > 0 else cores
    return max(1, bound // workers)


def _available(total_bytes: int | None, reserved_bytes: int) -> int | None:
    return None if total_bytes is None else total_bytes - reserved_bytes


def _resolved(value: _T | None) -> _T:
    if value is None:
        raise ValueError("the configuration was not resolved")
    return value


def _clamp(value: float, low: int, high: int) -> int:
    return max(low, min(high, round(value)))
