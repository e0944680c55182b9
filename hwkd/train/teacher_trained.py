"""The teacher that hwkd trains itself, once per data set and configuration, and keeps."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hwkd.core.errors import TeacherError, first_line
from hwkd.core.progress import Progress, silent
from hwkd.core.teaching import TeacherCriterion, TeacherLesson
from hwkd.io.paths import (
    cache_root,
    cache_writes,
    require_writable_cache,
    written_atomically,
)
from hwkd.train.choose_augmentation import choose_augmentation
from hwkd.train.dataset import Dataset
from hwkd.train.schedule import Clock
from hwkd.train.seeded_torch import seeded_torch
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher_course import TeacherOutcome, TeacherTraining, planned_epochs, train_teacher
from hwkd.train.teacher_module import ModuleTeacher
from hwkd.train.teacher_net import MirrorAveraged, build_teacher_net
from hwkd.train.weights_file import tensors_digest

__all__ = ["TeacherTraining", "train_or_load_teacher"]

# Part of the cache key: raise it when the same configuration would train another teacher.
_RECIPE_VERSION = 4
# Also part of it: raise it when the file holds something else.
_FILE_VERSION = 4
# Begins the names of what was trained beside a teacher.
_BESIDE = "beside."


def train_or_load_teacher(
    data: Dataset,
    training: TeacherTraining,
    *,
    device: torch.device,
    lesson: TeacherLesson | None = None,
    cache_dir: Path | None = None,
    own_dir: Path | None = None,
    progress: Progress = silent,
    check: Callable[[], None] = lambda: None,
    clock: Clock = time.monotonic,
) -> ModuleTeacher:
    """Return the teacher of this data and configuration, from the cache if it is there.

    A teacher that knows no more than chance, or whose time ended long before it had converged, is
    not put where other runs would find it.

    Args:
        data: train split to learn from; the validation split only says how good it is.
        lesson: what it learns beside the labels, and brings; None is nothing.
        cache_dir: holds the weights; None is the user's cache folder.
        own_dir: holds a teacher that is not worth keeping for others, so that the run that has it
            finds it again; None keeps it nowhere.
        check: called before every step; raises to stop.
        clock: seconds, monotonic.

    Raises:
        TeacherError: if the cached file is damaged, or it could not finish and must.
    """
    passes = planned_epochs(training, len(data.train.labels))
    chosen = training.augmentation or choose_augmentation(data.train, passes=passes)
    training = replace(training, augmentation=chosen)
    named = "" if lesson is None else lesson.name
    place = _Place.of(data, training, named, cache_dir or cache_root() / "teachers", own_dir)
    made = _Made.drawn(data, training, lesson)
    was_there = place.stored is not None
    if place.stored is not None:
        outcome = _load(made, place.stored, place.key)
    else:
        # Its outputs go there, too, wherever its weights go.
        require_writable_cache(place.for_all.parent)
        outcome = train_teacher(
            made.net, data, training, chosen, device,
            criterion=made.criterion, progress=progress, check=check, clock=clock,
        )  # fmt: skip
        target = place.for_all if outcome.is_worth_keeping else place.for_this_run
        if target is not None:
            _store(made, target, place.key, outcome)
    teacher = _frozen(
        made.net, data, outcome, f"teacher-net {training.net} {data.input_shape}", device
    )
    name = f"residual network {place.key[:8]}"
    said = f"{outcome.description}, {named}" if named else outcome.description
    return replace(
        teacher, name=name, is_from_cache=was_there, beside=made.beside, description=said
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A network, and what is trained beside it."""

    net: nn.Module
    criterion: TeacherCriterion | None

    @classmethod
    def drawn(cls, data: Dataset, training: TeacherTraining, lesson: TeacherLesson | None) -> _Made:
        """Draw the first weights, by the training's seed."""
        with seeded_torch(derive_seed(training.seed, "teacher", "weights")):
            net = build_teacher_net(
                data.input_shape, data.num_outputs, training.net, kind=data.head.kind
            )
            criterion = None if lesson is None else lesson.build(data.head, data.input_shape)
        return cls(net=net, criterion=criterion)

    @property
    def beside(self) -> Mapping[str, Tensor]:
        return {} if self.criterion is None else self.criterion.state()

    def state(self) -> dict[str, Tensor]:
        """Return all tensors, as a file has them."""
        beside = {f"{_BESIDE}{name}": tensor for name, tensor in self.beside.items()}
        every = {**self.net.state_dict(), **beside}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in every.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore `state`.

        Raises:
            RuntimeError: if a tensor is missing, unexpected or of another shape.
        """
        own = {name: t for name, t in tensors.items() if not name.startswith(_BESIDE)}
        self.net.load_state_dict(own)
        beside = {n.removeprefix(_BESIDE): t for n, t in tensors.items() if n.startswith(_BESIDE)}
        if self.criterion is not None:
            self.criterion.load_state(beside)


def _frozen(
    net: nn.Module, data: Dataset, outcome: TeacherOutcome, made_as: str, device: torch.device
) -> ModuleTeacher:
    """Return a trained network as a teacher; `made_as` and its weights are its identity."""
    module = MirrorAveraged(net, data.head.kind) if outcome.averages_mirror else net
    module.to(device).eval().requires_grad_(False)
    identity = f"{made_as} {outcome.precision} {tensors_digest(module.state_dict())}"
    return ModuleTeacher(
        kind="trained here",
        name="residual network",
        content=hashlib.sha256(identity.encode()).hexdigest(),
        description=outcome.description,
        head=data.head,
        module=module,
        device=device,
        precision=outcome.precision,
        outcome=outcome,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the teacher of a configuration is, or will be."""

    key: str
    stored: Path | None
    for_all: Path
    for_this_run: Path | None

    @classmethod
    def of(
        cls, data: Dataset, training: TeacherTraining, lesson: str, folder: Path, own: Path | None
    ) -> _Place:
        """Look it up; one that took all its time serves a short budget, too."""
        key = _cache_key(data, training, lesson)
        unbound = replace(training, time_budget_s=None, must_finish=False)
        at_leisure = _cache_key(data, unbound, lesson)
        for_all = folder / f"{key}.safetensors"
        for_this_run = None if own is None else own / f"{key}.safetensors"
        known = (
            (key, for_this_run),
            (key, for_all),
            (at_leisure, folder / f"{at_leisure}.safetensors"),
        )
        for its_key, path in known:
            if path is not None and path.is_file():
                return cls(key=its_key, stored=path, for_all=for_all, for_this_run=for_this_run)
        return cls(key=key, stored=None, for_all=for_all, for_this_run=for_this_run)


def _cache_key(data: Dataset, training: TeacherTraining, lesson: str) -> str:
    facts = asdict(training)
    # Teachers that were trained before a kind of augmentation was there keep their names.
    for newer in (
        "masks",
        "turn",
        "dropped_ratio",
        "cells",
        "tempo",
        "strength",
        "signs",
        "warp",
        "colour",
    ):
        if facts["augmentation"] and not facts["augmentation"][newer]:
            del facts["augmentation"][newer]
    # So do those whose outputs begin at 0, as all once did.
    begins_at = data.head.kind.begins_at
    beginning = [begins_at] if begins_at else []
    learned = [lesson] if lesson else []
    how = [_RECIPE_VERSION, _FILE_VERSION, data.fingerprint, facts, *beginning, *learned]
    text = json.dumps(how, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _store(made: _Made, path: Path, key: str, outcome: TeacherOutcome) -> None:
    text, state = outcome.model_dump_json(), made.state()
    metadata = {"key": key, "outcome": text, "proof": _proof(key, text, state)}
    with cache_writes(path), written_atomically(path) as temporary:
        # Written by Python, whose errors say what the disk lacks.
        temporary.write_bytes(save(state, metadata=metadata))


def _load(made: _Made, stored: Path, key: str) -> TeacherOutcome:
    """Load cached weights and return what their training came to."""
    try:
        with safe_open(stored, framework="pt") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        if metadata.get("key") != key:
            raise TeacherError(
                f"{stored}: holds another teacher than its name says; delete it to train again"
            )
        made.load(tensors)
        text = metadata["outcome"]
        if metadata["proof"] != _proof(key, text, made.state()):
            raise TeacherError(
                f"{stored}: damaged teacher in the cache (holds other values than were written); "
                "delete it to train again"
            )
        return TeacherOutcome.model_validate_json(text)
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        KeyError,
        UnicodeDecodeError,
        ValidationError,
    ) as error:
        raise TeacherError(
            f"{stored}: damaged teacher in the cache ({first_line(error)}); "
            "delete it to train again"
        ) from error


def _proof(key: str, text: str, state: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 of all that a cached teacher's file says, 64 hex digits."""
    return hashlib.sha256(f"{key}\n{text}\n{tensors_digest(state)}".encode()).hexdigest()
