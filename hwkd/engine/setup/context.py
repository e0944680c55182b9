"""What every trial of a search shares: the data, the teacher's logits, the settings.

Each process builds its own context from the run folder; the expensive parts (decoded data, the
teacher, its logits) were prepared once and are read from the cache.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.core import catalog
from hwkd.core.device import Device
from hwkd.core.errors import ConfigError
from hwkd.core.progress import Progress, silent
from hwkd.core.student import Layers
from hwkd.core.trial import FidelityRecord
from hwkd.cost.training_time import predicted_training_s
from hwkd.distill.spec import WeightedMethod
from hwkd.engine.setup.calibration import calibration_inputs
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.methods import configured_methods, default_methods, without_teacher
from hwkd.engine.setup.references import ReferenceStudent, reference_students
from hwkd.engine.setup.rooms import fit_spaces
from hwkd.engine.setup.screening import Candidate, Screen, load_spaces
from hwkd.io import discovery
from hwkd.io.device_catalog import load_device
from hwkd.io.machine import available_cores
from hwkd.nn.build import build_module
from hwkd.tasks.base import Task, TaskData
from hwkd.train.augment import mirror_keeps_class
from hwkd.train.config import Precision, TrainConfig
from hwkd.train.pace import measure_pace
from hwkd.train.recipe import TrainingRecipe, choose_recipe, network_kind
from hwkd.train.seeding import derive_seed

_T = TypeVar("_T", int, float)

__all__ = [
    "SearchContext",
    "Training",
    "accelerator_device",
    "fewer_threads",
    "load_data",
    "make_context",
    "most_epochs",
    "resolve_config",
    "screen_of",
    "threads_per_worker",
    "timed_brief_epochs",
]

# Brief training sees about this many samples, full training this many; both within the bounds
# below. Chosen so that a trial on the digits takes about a second and a full training on 60,000
# small images a few minutes on two cores.
_BRIEF_SAMPLES = 30_000
_FULL_SAMPLES = 1_000_000
_MAX_BRIEF_EPOCHS = 12
_MIN_FULL_EPOCHS = 15
_MAX_FULL_EPOCHS = 200
# Where time decides.
_MAX_TIMED_EPOCHS = 400
# Where time decides, brief trainings are as long as leaves time for so many candidates in the
# search's part of it: the longer they are, the more their order is that of full trainings.
_TIMED_CANDIDATES, _SEARCH_PART = 24, 0.33
_MOST_BRIEF_SAMPLES, _MOST_BRIEF_EPOCHS = 400_000, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training: how, and how long."""

    recipe: TrainingRecipe
    config: TrainConfig


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
        teacher_train_logits: shape [samples, classes], on the accelerator, float32; None without a
            teacher.
        teacher_validation_logits: shape [samples, classes]; None without a teacher.
        teacher_error: on validation, 0 is best (`Head.errors`); None without a teacher.
        methods: that students learn by beside the labels; none is labels alone.
        calibration: inputs that set the int8 ranges, a fixed random part of train.
        mirrors: whether mirror images keep their class, measured on train.
    """

    config: SearchConfig
    screen: Screen
    references: tuple[ReferenceStudent, ...]
    task: Task
    data: TaskData
    accelerator: torch.device
    train_inputs: Tensor
    train_labels: Tensor
    teacher_train_logits: Tensor | None
    teacher_validation_logits: NDArray[np.float32] | None
    teacher_error: float | None
    methods: tuple[WeightedMethod, ...]
    calibration: NDArray[np.float32]
    mirrors: bool

    def recipe(
        self, layers: Layers, *, samples: int, precision: Precision = "float32"
    ) -> TrainingRecipe:
        """Return how a network is trained that will see so many samples, repetitions included."""
        chosen = choose_recipe(
            self.data.train,
            network_kind(layers),
            samples=samples,
            precision=precision,
            mirrors=self.mirrors,
        )
        given = self.config.training
        return replace(
            chosen,
            batch_size=given.batch_size or chosen.batch_size,
            learning_rate=given.learning_rate or chosen.learning_rate,
        )

    @property
    def fidelity(self) -> FidelityRecord:
        """How much training a candidate is given."""
        training = self.config.training
        return FidelityRecord(
            epochs=_resolved(training.brief_epochs), samples=training.brief_samples
        )

    def epoch_samples(self, fidelity: FidelityRecord) -> int:
        """Return how many samples one epoch of a brief training draws."""
        return min(len(self.data.train), fidelity.samples or len(self.data.train))

    def brief_training(
        self,
        layers: Layers,
        *,
        fidelity: FidelityRecord | None = None,
        budget_s: float | None = None,
    ) -> Training:
        """Return the training of one candidate; seeded by the network, not by its turn.

        Args:
            layers: of the network.
            fidelity: how long; None is the search's own.
            budget_s: within which the training ends, however far it came; None is no bound.
        """
        fidelity = fidelity or self.fidelity
        recipe = self.recipe(layers, samples=fidelity.epochs * self.epoch_samples(fidelity))
        config = recipe.config(
            epochs=fidelity.epochs,
            seed=derive_seed(self.config.seed, layers.key, "brief"),
            time_budget_s=budget_s,
            time_limit_s=self.config.training.trial_timeout_s,
            samples_per_epoch=fidelity.samples,
        )
        return Training(recipe=recipe, config=config)

    def full_training(
        self, layers: Layers, *, repetition: int, epochs: int, budget_s: float | None = None
    ) -> Training:
        """Return a full-length training.

        Args:
            layers: of the network.
            repetition: numbers further seeds.
            epochs: passes over the data, at most.
            budget_s: within which the training ends, however far it came; None is no bound. The
                recipe is then the one for what this machine gets done in that time.
        """
        seed = derive_seed(self.config.seed, layers.key, "full", repetition)
        samples = epochs * len(self.data.train)
        recipe = self.recipe(layers, samples=samples)
        if budget_s is not None:
            begun = time.monotonic()
            module = build_module(layers, seed=seed).to(self.accelerator)
            trial = recipe.config(epochs=1, seed=seed)
            pace = measure_pace(module, self.train_inputs, self.train_labels, self.data.head, trial)
            budget_s = max(0.0, budget_s - (time.monotonic() - begun))
            samples = min(samples, pace.samples_in(budget_s))
            recipe = self.recipe(layers, samples=samples, precision=pace.precision)
        config = recipe.config(epochs=epochs, seed=seed, time_budget_s=budget_s)
        return Training(recipe=recipe, config=config)


def resolve_config(config: SearchConfig, device: Device, data: TaskData) -> SearchConfig:
    """Fill every open choice from the device and the size of the data."""
    limits = config.limits
    filled_limits = limits.model_copy(
        update={
            "ram_bytes": limits.ram_bytes or device.available_ram_bytes,
            "flash_bytes": limits.flash_bytes or device.available_flash_bytes,
        }
    )
    objective = config.objective.model_copy(
        update={
            "target_latency_s": config.objective.target_latency_s
            or limits.latency_s
            or device.target_latency_s
        }
    )
    samples = len(data.train)
    training = config.training.model_copy(
        update={
            "brief_epochs": config.training.brief_epochs
            or _clamp(_BRIEF_SAMPLES / samples, 1, _MAX_BRIEF_EPOCHS),
            "brief_samples": None if config.training.brief_epochs else min(samples, _BRIEF_SAMPLES),
            "full_epochs": config.training.full_epochs or _usual_full_epochs(samples),
        }
    )
    return config.model_copy(
        update={
            "runtime": config.runtime or device.default_runtime,
            "clock_hz": config.clock_hz or device.clock_hz,
            "limits": filled_limits,
            "objective": objective,
            "training": training,
        }
    )


def load_data(config: SearchConfig, *, progress: Progress = silent) -> tuple[Task, TaskData]:
    """Read the data of a search through its task."""
    discovery.discover("hwkd.tasks")
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
    device = load_device(config.device, runtime=config.runtime)
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
    train_logits: NDArray[np.float16] | None = None,
    validation_logits: NDArray[np.float16] | None = None,
) -> SearchContext:
    """Put together what trials share.

    Args:
        config: resolved.
        task: of the search.
        data: of the search.
        train_logits: of the teacher, shape [samples, classes]; None without one.
        validation_logits: likewise.
    """
    accelerator = accelerator_device(config.accelerator)
    train_teacher = validation_teacher = error = None
    given = configured_methods(config)
    methods = without_teacher(given or ())
    if train_logits is not None and validation_logits is not None:
        train_teacher = torch.from_numpy(train_logits.astype(np.float32)).to(accelerator)
        validation_teacher = validation_logits.astype(np.float32)
        error = float(data.head.errors(validation_teacher, data.validation.labels).mean())
        methods = default_methods(train_teacher, data.head.kind) if given is None else given
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
        teacher_validation_logits=validation_teacher,
        teacher_error=error,
        methods=methods,
        calibration=calibration_inputs(data, config.seed),
        mirrors=mirror_keeps_class(data.train),
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


@contextmanager
def fewer_threads(*, is_busy: bool) -> Iterator[None]:
    """Compute on one thread while a machine is busy.

    Threads that wait for each other lose ten times the time that another process takes from one of
    them: 2.6 instead of 33 passes of a teacher in 50 s, beside a process of the lowest priority.
    """
    threads = torch.get_num_threads()
    if is_busy:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def timed_brief_epochs(
    config: SearchConfig, references: Sequence[Candidate], samples: int
) -> int | None:
    """Return the passes of a brief training that a time limit leaves, by arithmetic alone.

    Args:
        config: with a time limit.
        references: students that stand for those of the search.
        samples: in a pass.

    Returns:
        At least the usual number; None leaves it to that.
    """
    if config.timeout_s is None or not references:
        return None
    one_s = [predicted_training_s(candidate.graph, samples_seen=1) for candidate in references]
    each_s = _SEARCH_PART * config.timeout_s * config.workers / _TIMED_CANDIDATES
    affordable = min(_MOST_BRIEF_SAMPLES, each_s / statistics.median(one_s))
    return _clamp(max(_BRIEF_SAMPLES, affordable) / samples, 1, _MOST_BRIEF_EPOCHS)


def most_epochs(config: SearchConfig, samples: int, *, is_timed: bool) -> int:
    """Return how many passes a full training makes at most.

    Args:
        config: resolved.
        samples: of the train split.
        is_timed: time ends the training; then only a number that was asked for bounds it.
    """
    epochs = _resolved(config.training.full_epochs)
    return _MAX_TIMED_EPOCHS if is_timed and epochs == _usual_full_epochs(samples) else epochs


def _usual_full_epochs(samples: int) -> int:
    return _clamp(_FULL_SAMPLES / samples, _MIN_FULL_EPOCHS, _MAX_FULL_EPOCHS)


def _resolved(value: _T | None) -> _T:
    if value is None:
        raise ValueError("the configuration was not resolved")
    return value


def _clamp(value: float, low: int, high: int) -> int:
    return max(low, min(high, round(value)))
