"""The data of a distillation on the device that trains, and the teacher's side of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.core.errors import TeacherError
from hwkd.core.progress import Progress, silent
from hwkd.core.signals import Signal
from hwkd.core.teaching import TeacherSource
from hwkd.distill.checks import logit_methods
from hwkd.distill.criterion import needed_signals
from hwkd.distill.sources import AnsweredSource, CachedSource, LiveSource
from hwkd.distill.spec import WeightedMethod
from hwkd.distill.taps import Taps, discover_places, student_places
from hwkd.engine.setup.read_teacher import read_inside
from hwkd.engine.setup.transfer import TransferSet
from hwkd.train.augment import augment
from hwkd.train.batches import TensorBatches
from hwkd.train.logit_cache import logits_of_copies
from hwkd.train.teacher import Teacher
from hwkd.train.teacher_matched import MatchedTeacher
from hwkd.train.teacher_module import ModuleTeacher
from hwkd.train.teacher_onnx import OnnxTeacher

_CACHED = frozenset({Signal.LOGITS})
_CACHED_OF_MODULE = frozenset({Signal.LOGITS, Signal.EMBEDDING})
_CHUNK_SAMPLES = 1024
# On which a file's layers are compared with it.
_EXAMPLES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSet:
    """A transfer set on the training device, shared by everything that trains on it."""

    transfer: TransferSet
    copies: list[Tensor]
    labels: Tensor

    @classmethod
    def of(cls, transfer: TransferSet, device: torch.device) -> LoadedSet:
        """Put the augmented copies and the labels there."""
        labels = torch.from_numpy(np.array(transfer.train.labels)).to(device)
        return cls(transfer=transfer, copies=copies_on(device, transfer), labels=labels)

    @property
    def batches(self) -> TensorBatches:
        """Return where the batches of a training come from."""
        return TensorBatches(self.copies, self.labels)

    def __len__(self) -> int:
        """Number of samples, unlabelled ones included."""
        return len(self.labels)


def copies_on(device: torch.device, transfer: TransferSet) -> list[Tensor]:
    """Return every augmented copy of the inputs on the training device."""
    copies = (augment(transfer.train.inputs, s, transfer.augmentation) for s in transfer.copy_seeds)
    return [torch.from_numpy(np.array(copy)).to(device) for copy in copies]


def teacher_source(
    teacher: Teacher | None,
    transfer: TransferSet,
    methods: Sequence[WeightedMethod],
    *,
    device: torch.device,
    stages: Sequence[str] = (),
    progress: Progress = silent,
) -> TeacherSource | None:
    """Return the cheapest source of what the methods need: stored outputs, or the teacher itself.

    Args:
        teacher: None for methods without one.
        stages: module paths of the teacher, one per stage; none finds them.
        progress: told while the teacher runs.

    Raises:
        TeacherError: if a method needs more than logits of a teacher that shows nothing else.
        ConfigError: if a path is no module of the teacher.
    """
    needing = [entry for entry in methods if entry.method.asks_teacher]
    if teacher is None or not needing:
        return None
    needs = needed_signals(needing)
    can_store = all(entry.method.cacheable for entry in needing)
    matched = teacher if isinstance(teacher, MatchedTeacher) else None
    network = teacher if matched is None else matched.network
    is_module = isinstance(network, ModuleTeacher)
    if matched is not None:
        _refuse_other_classes(matched, needing)
    if can_store and needs <= (_CACHED_OF_MODULE if is_module else _CACHED):
        return _cached_source(teacher, transfer, needs, device=device, progress=progress)
    examples = np.array(transfer.train.inputs[:_EXAMPLES])
    if isinstance(network, ModuleTeacher):
        live = _module_source(network, needs, examples, stages, device)
    elif isinstance(network, OnnxTeacher) and not stages:
        live = _file_source(network, needs, examples, device)
    else:
        names = ", ".join(entry.method.name for entry in needing)
        others = logit_methods(transfer.head.kind)
        raise TeacherError(
            f"teacher {teacher.name}: shows logits only and method {names} needs "
            f"{', '.join(sorted(needs - _CACHED)) or 'its gradients'}; give a torch teacher "
            f"(package.module:factory), let hwkd train one, or use {others}"
        )
    if matched is None and not all(entry.method.looks_up_answers for entry in needing):
        return live
    answers = _cached_source(teacher, transfer, _CACHED, device=device, progress=progress)
    return AnsweredSource(live, answers)


def _module_source(
    network: ModuleTeacher, needs: frozenset[Signal], examples: NDArray[Any],
    stages: Sequence[str], device: torch.device,
) -> LiveSource:  # fmt: skip
    example = network.seen.of_tensor(torch.from_numpy(examples[:2]).to(device))
    places = discover_places(network.module, example)
    if stages:
        places = replace(places, features=tuple(stages), preactivations=tuple(stages))
    is_own = network.kind == "trained here"
    return LiveSource(
        network.module, places, needs, shown=network.seen.of_tensor,
        outputs_of=None if is_own else network.head.of_teacher, beside=network.beside,
    )  # fmt: skip


def _file_source(
    network: OnnxTeacher, needs: frozenset[Signal], examples: NDArray[Any], device: torch.device
) -> LiveSource:
    inside = read_inside(network, examples)
    shown = network.seen.with_channels(last=False).of_tensor
    return LiveSource(
        inside.to(device), student_places(inside.layers), needs, shown=shown,
        outputs_of=network.outputs_of,
    )  # fmt: skip


def _refuse_other_classes(teacher: MatchedTeacher, needing: Sequence[WeightedMethod]) -> None:
    """Refuse methods that mean nothing where some classes of the data are none of the teacher's.

    Raises:
        TeacherError: names them.
    """
    unfit = [
        entry.method.name
        for entry in needing
        if Signal.INPUTS in entry.method.needs
        or (teacher.known is not None and entry.method.compares_raw_logits)
    ]
    if unfit:
        raise TeacherError(
            f"teacher {teacher.name}: has other classes than the data, and method "
            f"{', '.join(unfit)} compares raw outputs or their gradients; use kd, or a method on "
            "features as fitnet"
        )


def needs_live_teacher(methods: Sequence[WeightedMethod]) -> bool:
    """Tell whether methods need more of a teacher than its logits, which the cache holds."""
    needing = [entry for entry in methods if entry.method.asks_teacher]
    can_store = all(entry.method.cacheable for entry in needing)
    return bool(needing) and not (can_store and needed_signals(needing) <= _CACHED)


def _cached_source(
    teacher: Teacher,
    transfer: TransferSet,
    needs: frozenset[Signal],
    *,
    device: torch.device,
    progress: Progress,
) -> CachedSource:
    logits = logits_of_copies(
        teacher,
        transfer,
        transfer.copy_seeds,
        augmentation=transfer.augmentation,
        progress=progress,
    )
    embedding = None
    network = teacher.network if isinstance(teacher, MatchedTeacher) else teacher
    if isinstance(network, ModuleTeacher) and Signal.EMBEDDING in needs:
        embedding = [_embedding(network, copy, progress) for copy in copies_on(device, transfer)]
    return CachedSource(
        [torch.from_numpy(np.array(z)).to(device) for z in logits], embedding=embedding
    )


def _embedding(teacher: ModuleTeacher, inputs: Tensor, progress: Progress) -> Tensor:
    """Run the teacher once over a copy; shape [samples, dim]."""
    shown = teacher.seen.of_tensor
    places = discover_places(teacher.module, shown(inputs[:2]))
    if places.embedding is None:
        raise TeacherError(f"teacher {teacher.name}: has no linear layer, so it shows no embedding")
    taps = Taps(teacher.module, places, frozenset({Signal.EMBEDDING}), shown=shown)
    parts = []
    for start in range(0, len(inputs), _CHUNK_SAMPLES):
        chunk = inputs[start : start + _CHUNK_SAMPLES]
        with torch.no_grad():
            parts.append(taps.read(chunk).need(Signal.EMBEDDING))
        progress("teacher embeddings", start + len(chunk), len(inputs))
    return torch.cat(parts)
