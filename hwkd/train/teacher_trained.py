"""The teacher that hwkd trains itself, once per data set and configuration, and keeps."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hwkd.core.errors import TeacherError, first_line
from hwkd.core.paths import (
    cache_root,
    cache_writes,
    require_writable_cache,
    written_atomically,
)
from hwkd.core.progress import Progress, silent
from hwkd.core.trial import EpochRecord
from hwkd.train.augment import Augmentation, AugmentedViews, choose_augmentation
from hwkd.train.criteria import CrossEntropy
from hwkd.train.dataset import Dataset
from hwkd.train.loop import TrainConfig, train_module
from hwkd.train.seeding import derive_seed, seeded_torch
from hwkd.train.teacher_module import ModuleTeacher, state_digest
from hwkd.train.teacher_net import MirrorAveraged, TeacherNetConfig, build_teacher_net

__all__ = ["TeacherTraining", "train_or_load_teacher"]

# Part of the cache key: raise it when the same configuration would train another teacher.
_RECIPE_VERSION = 2
# Also part of it: raise it when the file holds something else.
_FILE_VERSION = 2
# Examples shown in all, which decides the epochs: 10 for 54,000 examples, 30 for 1,000.
_EXAMPLES_SHOWN = 540_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 3, 30
# Small sets need the steps (16 an epoch at least), large ones the speed of a larger batch.
_SMALL_EXAMPLES, _SMALL_BATCH, _LARGE_BATCH = 10_000, 64, 128
_FEWEST_STEPS, _SMALLEST_BATCH = 16, 8
_TIMED_STEPS, _TIMED_PASSES = 6, 3
_DEFAULT_NET = TeacherNetConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherTraining:
    """How the teacher is trained.

    Attributes:
        net: size of the network.
        epochs: passes over the train split; None is chosen from its size.
        batch_size: examples per step; None is chosen from the size of the train split.
        learning_rate: peak of the one-cycle schedule (AdamW).
        weight_decay: decoupled.
        seed: of initial weights, order and augmentation.
        time_budget_s: training is shortened beforehand to what fits, from a few timed steps;
            None lets it take as long as it takes. A teacher without a budget that is already in
            the cache is taken instead.
        augmentation: None chooses it from the train split.
    """

    net: TeacherNetConfig = _DEFAULT_NET
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 0
    time_budget_s: float | None = None
    augmentation: Augmentation | None = None


def train_or_load_teacher(
    data: Dataset,
    training: TeacherTraining,
    *,
    device: torch.device,
    cache_dir: Path | None = None,
    progress: Progress = silent,
    check: Callable[[], None] | None = None,
) -> ModuleTeacher:
    """Return the teacher of this data and configuration, from the cache if it is there.

    Args:
        data: train split to learn from; the validation split is not used.
        training: the configuration.
        device: where it trains and runs.
        cache_dir: holds the weights; None is the user's cache folder.
        progress: told about every epoch.
        check: called before every step; raises to stop.

    Raises:
        TeacherError: if the cached file is damaged.
    """
    chosen = training.augmentation or choose_augmentation(data.train)
    training = replace(training, augmentation=chosen)
    key, stored = _stored(data, training, cache_dir or cache_root() / "teachers")
    with seeded_torch(derive_seed(training.seed, "teacher", "weights")):
        net = build_teacher_net(data.input_shape, data.num_outputs, training.net)
    was_there = stored.is_file()
    if was_there:
        description = _load(net, stored, key)
    else:
        require_writable_cache(stored.parent)
        description = _train(net, data, training, chosen, device, progress, check)
        metadata = {
            "key": key,
            "description": description,
            "proof": _proof(key, description, net),
        }
        with cache_writes(stored), written_atomically(stored) as temporary:
            save_file(_portable_state(net), temporary, metadata=metadata)
    module = MirrorAveraged(net) if chosen.mirror else net
    module.to(device).eval().requires_grad_(False)
    identity = f"teacher-net {training.net} {data.input_shape} {state_digest(module)}"
    return ModuleTeacher(
        kind="trained here",
        name=f"residual network {key[:8]}",
        identity=hashlib.sha256(identity.encode()).hexdigest(),
        description=description,
        num_outputs=data.num_outputs,
        module=module,
        device=device,
        is_from_cache=was_there,
    )


def _stored(data: Dataset, training: TeacherTraining, folder: Path) -> tuple[str, Path]:
    """Return the teacher's key and file; one that took all its time serves a short budget, too."""
    at_leisure = replace(training, time_budget_s=None)
    keys = [_cache_key(data, wanted) for wanted in (training, at_leisure)]
    files = [folder / f"{key}.safetensors" for key in keys]
    chosen = 1 if files[1].is_file() and not files[0].is_file() else 0
    return keys[chosen], files[chosen]


def _cache_key(data: Dataset, training: TeacherTraining) -> str:
    text = json.dumps(
        [_RECIPE_VERSION, _FILE_VERSION, data.fingerprint, asdict(training)], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _train(
    module: nn.Module,
    data: Dataset,
    training: TeacherTraining,
    augmentation: Augmentation,
    device: torch.device,
    progress: Progress,
    check: Callable[[], None] | None,
) -> str:
    examples = len(data.train.labels)
    epochs = training.epochs or _epochs_for(examples)
    config = TrainConfig(
        epochs=epochs,
        batch_size=training.batch_size or _batch_for(examples),
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup_ratio=0.2,
        seed=derive_seed(training.seed, "teacher", "order"),
    )
    module.to(device)
    config = _within_budget(module, data, config, training.time_budget_s, device)
    seeds = [derive_seed(training.seed, "teacher", "view", e) for e in range(config.epochs)]
    started = time.monotonic()

    def tell(record: EpochRecord) -> None:
        note = f"loss {record.losses['cross_entropy']:.3f}"
        progress("train teacher", record.epoch, config.epochs, note)

    progress("train teacher", 0, config.epochs)
    train_module(
        module,
        AugmentedViews(data.train.inputs, seeds, augmentation, device=device),
        torch.tensor(data.train.labels, device=device),
        CrossEntropy(),
        config,
        on_epoch=tell,
        check=check,
    )
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return (
        f"residual network of {parameters:,} parameters, trained here for {config.epochs} epochs "
        f"on {examples:,} examples (augmentation: {augmentation.describe()}) in "
        f"{time.monotonic() - started:.0f} s"
    )


def _epochs_for(examples: int) -> int:
    return min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, round(_EXAMPLES_SHOWN / examples)))


def _batch_for(examples: int) -> int:
    if examples >= _SMALL_EXAMPLES:
        return _LARGE_BATCH
    return min(_SMALL_BATCH, max(_SMALLEST_BATCH, examples // _FEWEST_STEPS))


def _within_budget(
    module: nn.Module,
    data: Dataset,
    config: TrainConfig,
    time_budget_s: float | None,
    device: torch.device,
) -> TrainConfig:
    """Shorten training to the budget: fewer epochs, and below one epoch fewer examples."""
    if time_budget_s is None:
        return config
    examples = len(data.train.labels)
    batch = max(2, min(config.batch_size, examples))
    timed = batch * _TIMED_STEPS
    rows = torch.arange(timed) % examples
    views = [torch.tensor(data.train.inputs[rows.numpy()], device=device)]
    labels = torch.tensor(data.train.labels[rows.numpy()], device=device)
    # On a copy: timed steps must not change what is trained. The first pass warms up, and the
    # fastest of the others counts: whatever else the machine does can only slow one down.
    trial = copy.deepcopy(module)
    short = replace(config, epochs=1, batch_size=batch, time_limit_s=None)
    train_module(trial, views, labels, CrossEntropy(), short)
    passes = (
        train_module(trial, views, labels, CrossEntropy(), short) for _ in range(_TIMED_PASSES)
    )
    step_s = min(result.seconds for result in passes) / _TIMED_STEPS
    epoch_s = step_s * max(1, examples // batch)
    if epoch_s * config.epochs <= time_budget_s:
        return config
    if epoch_s <= time_budget_s:
        return replace(config, epochs=int(time_budget_s / epoch_s))
    affordable = max(batch, int(time_budget_s / step_s) * batch)
    return replace(config, epochs=1, samples_per_epoch=min(examples, affordable))


def _portable_state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}


def _load(module: nn.Module, stored: Path, key: str) -> str:
    """Load cached weights into the module and return the description of their training."""
    try:
        with safe_open(stored, framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        if metadata.get("key") != key:
            raise TeacherError(
                f"{stored}: holds another teacher than its name says; delete it to train again"
            )
        module.load_state_dict(tensors)
        description = str(metadata["description"])
        if metadata["proof"] != _proof(key, description, module):
            raise TeacherError(
                f"{stored}: damaged teacher in the cache (holds other values than were written); "
                "delete it to train again"
            )
    except (SafetensorError, OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise TeacherError(
            f"{stored}: damaged teacher in the cache ({first_line(error)}); "
            "delete it to train again"
        ) from error
    return description


def _proof(key: str, description: str, module: nn.Module) -> str:
    """Return a SHA-256 of all that a cached teacher's file says, 64 hex digits."""
    return hashlib.sha256(f"{key}\n{description}\n{state_digest(module)}".encode()).hexdigest()
