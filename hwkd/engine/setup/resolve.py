"""What a configuration means: its data, its device, and every choice that it leaves open."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hwkd.core import catalog
from hwkd.core.device import Device
from hwkd.core.head import Head
from hwkd.core.progress import Progress, silent
from hwkd.core.run_record import SettingRecord
from hwkd.core.setting import SettingSpace
from hwkd.cost.backend import CostQuestion, screening_backend
from hwkd.cost.training_time import predicted_training_s
from hwkd.deploy.to_c.flash import names_bytes
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.feature_need import feature_need
from hwkd.engine.setup.screening import Candidate, Screen, load_spaces
from hwkd.io import discovery
from hwkd.io.device_catalog import load_device
from hwkd.signals.pipeline import Pipeline
from hwkd.tasks.base import Task, TaskData

# Brief training sees about this many samples, full training this many; both within the bounds
# below. Chosen so that a trial on the digits takes about a second and a full training on 60,000
# small images a few minutes on two cores.
_BRIEF_SAMPLES = 30_000
_FULL_SAMPLES = 1_000_000
_MAX_BRIEF_EPOCHS = 12
_MIN_FULL_EPOCHS = 15
_MAX_FULL_EPOCHS = 200
# Where time decides; of a small set as many more as make the samples of a full training.
_MAX_TIMED_EPOCHS, _MAX_TIMED_EPOCHS_OF_FEW = 400, 2000
# Of the time from one answer to the next, what a network may take before that counts against it.
_BUSY_RATIO = 0.5
# Where time decides, brief trainings are as long as leaves time for so many candidates in the
# search's part of it: the longer they are, the more their order is that of full trainings.
_TIMED_CANDIDATES, _SEARCH_PART = 24, 0.33
_MOST_BRIEF_SAMPLES, _MOST_BRIEF_EPOCHS = 400_000, 60


def resolve_config(config: SearchConfig, device: Device, data: TaskData) -> SearchConfig:
    """Fill every open choice from the device and the size of the data."""
    limits = config.limits
    filled_limits = limits.model_copy(update=asdict(limits.to_limits().on(device)))
    objective = config.objective.model_copy(
        update={
            "target_latency_s": config.objective.target_latency_s
            or limits.latency_s
            or _usual_target_s(device, data)
        }
    )
    samples = len(data.train)
    training = config.training.model_copy(
        update={
            "brief_epochs": config.training.brief_epochs
            or _clamp(_BRIEF_SAMPLES / samples, 1, _MAX_BRIEF_EPOCHS),
            # A search that is resumed keeps both; with epochs alone an epoch is the train split.
            "brief_samples": config.training.brief_samples
            if config.training.brief_epochs
            else min(samples, _BRIEF_SAMPLES),
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


def _usual_target_s(device: Device, data: TaskData) -> float:
    """Return the device's target, or more where answers are further apart."""
    return max(device.target_latency_s, _BUSY_RATIO * (data.answer_every_s or 0.0))


def load_data(config: SearchConfig, *, progress: Progress = silent) -> tuple[Task, TaskData]:
    """Read the data of a search through its task."""
    discovery.discover("hwkd.tasks")
    task: Task = catalog.TASKS.get(config.task)
    source = Path(config.data) if config.data is not None else None
    data = task.data(
        source,
        config.reading,
        split_seed=config.seed,
        progress=progress,
    )
    if config.transfer.made is None:
        return task, data
    from hwkd.engine.setup.made import with_made  # torch, where samples were made

    return task, with_made(data, Path(config.transfer.made))


def screen_of(
    config: SearchConfig,
    pipeline: Pipeline | None = None,
    settings: Sequence[SettingRecord] = (),
    head: Head | None = None,
) -> Screen:
    """Return what candidates are costed for.

    Args:
        config: of the search.
        pipeline: of its data, whose features count; None before data is read.
        settings: of the features that students choose among; none where they choose none.
        head: of its data, whose names the runtime's C may hold.
    """
    device = load_device(config.device, runtime=config.runtime)
    # A resolved configuration states the device's own clock, which no backend need refuse.
    asked_hz = None if config.clock_hz == device.clock_hz else config.clock_hz
    named = 0 if head is None else names_bytes(head.kind.told(head.names))
    question = CostQuestion(
        device=device, runtime=config.runtime, clock_hz=asked_hz, names_bytes=named
    )
    screening_backend(device).refuse(question)
    spaces = load_spaces(config.spaces)
    if settings:
        in_settings = (
            SettingSpace(space=space, features=each.features, input_shape=each.input_shape)
            for each in settings
            for space in spaces.values()
        )
        spaces = {space.name: space for space in in_settings}
    return Screen(
        question=question,
        limits=config.limits.to_limits(),
        risk=config.limits.risk,
        spaces=spaces,
        searches_input=config.search_input,
        features=None if pipeline is None else feature_need(pipeline, device),
        settings={
            each.features: feature_need(Pipeline.of(each.pipeline), device) for each in settings
        },
    )


def timed_brief_epochs(
    config: SearchConfig, references: Sequence[Candidate], samples: int
) -> int | None:
    """Return the passes of a brief training that a time limit leaves, by arithmetic alone.

    Returns:
        At least the usual number; None leaves it to that.
    """
    if config.timeout_s is None or not references:
        return None
    one_s = [predicted_training_s(candidate.graph, samples_seen=1) for candidate in references]
    each_s = _SEARCH_PART * config.timeout_s * config.processes / _TIMED_CANDIDATES
    affordable = min(_MOST_BRIEF_SAMPLES, each_s / statistics.median(one_s))
    return _clamp(max(_BRIEF_SAMPLES, affordable) / samples, 1, _MOST_BRIEF_EPOCHS)


def quickest_training_s(references: Sequence[Candidate], *, samples: int = _BRIEF_SAMPLES) -> float:
    """Return the processor seconds in which the fastest of some students sees so many samples.

    Args:
        references: that fit; none is 0, unknown.
        samples: as many as teach it something, or those of one pass.
    """
    graphs = (candidate.graph for candidate in references)
    return min((predicted_training_s(g, samples_seen=samples) for g in graphs), default=0.0)


def most_epochs(config: SearchConfig, samples: int, *, is_timed: bool) -> int:
    """Return how many passes a full training makes at most.

    Args:
        is_timed: time ends the training; then only a number that was asked for bounds it.
    """
    epochs = config.training.full_epochs
    if epochs is None:
        raise ValueError("the configuration was not resolved")
    if not is_timed or epochs != _usual_full_epochs(samples):
        return epochs
    return _clamp(_FULL_SAMPLES / samples, _MAX_TIMED_EPOCHS, _MAX_TIMED_EPOCHS_OF_FEW)


def _usual_full_epochs(samples: int) -> int:
    return _clamp(_FULL_SAMPLES / samples, _MIN_FULL_EPOCHS, _MAX_FULL_EPOCHS)


def _clamp(value: float, low: int, high: int) -> int:
    return max(low, min(high, round(value)))
