"""The teacher of `hwkd distill`: one, or several whose probabilities are averaged."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.core.head import Head
from hwkd.core.progress import Progress
from hwkd.distill.defaults import default_method
from hwkd.distill.sources import mean_probability
from hwkd.distill.spec import WeightedMethod
from hwkd.engine.setup.config import SearchConfig
from hwkd.tasks.base import TaskData
from hwkd.train.logit_cache import cached_logits
from hwkd.train.teacher import Teacher, TeacherKind, require_knowledge
from hwkd.train.teacher_open import open_teacher
from hwkd.train.teacher_trained import TeacherTraining

__all__ = ["EnsembleTeacher", "find_teacher", "suitable_method"]


@dataclass(frozen=True, kw_only=True)
class EnsembleTeacher:
    """The mean answer of several teachers; see `hwkd.train.teacher.Teacher`.

    Of classes, probabilities and not logits are averaged: a teacher with large logits would outvote
    the rest.
    """

    members: tuple[Teacher, ...] = field(repr=False)
    head: Head = field(repr=False)

    @property
    def kind(self) -> TeacherKind:
        """That of its first member."""
        return self.members[0].kind

    @property
    def is_from_cache(self) -> bool:
        """Whether earlier runs trained all members."""
        return all(member.is_from_cache for member in self.members)

    @property
    def name(self) -> str:
        """Names of its members."""
        return " + ".join(member.name for member in self.members)

    @property
    def identity(self) -> str:
        """SHA-256 of its members' identities, in their order."""
        return hashlib.sha256("\n".join(m.identity for m in self.members).encode()).hexdigest()

    @property
    def description(self) -> str:
        """How its members were made."""
        parts = "; ".join(member.description for member in self.members)
        return f"mean answer of {len(self.members)} teachers: {parts}"

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return self.members[0].num_outputs

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean, of classes the logarithm of it, shape [n, num_outputs]."""
        if self.head.kind == "values":
            average: NDArray[np.float32] = np.mean(
                [member.logits(inputs) for member in self.members], axis=0
            )
            return average
        outputs = [torch.from_numpy(np.array(member.logits(inputs))) for member in self.members]
        share = -math.log(len(outputs))
        mean: NDArray[np.float32] = mean_probability(outputs, [share] * len(outputs)).numpy()
        return mean


def find_teacher(
    given: Sequence[str],
    config: SearchConfig,
    data: TaskData,
    *,
    weights: Path | None,
    device: torch.device,
    progress: Progress,
) -> Teacher:
    """Open what was given, else what the run had, else train one; refuses one that knows nothing.

    Args:
        given: files and factories; several are an ensemble.
        config: of the run.
        data: of the task.
        weights: safetensors file for a factory.
        device: where torch teachers run.
        progress: told about training and about the teacher's answers.

    Raises:
        TeacherError: if one cannot be opened, does not fit the data or is at chance level.
    """
    wanted = config.teacher
    if weights is None and not given and wanted.weights is not None:
        weights = Path(wanted.weights)
    if weights is not None and len(given) > 1:
        raise TeacherError(f"--teacher-weights {weights}: goes with one --teacher, not several")
    members = [
        open_teacher(
            source,
            data,
            weights=weights,
            training=TeacherTraining(seed=config.seed, time_budget_s=wanted.time_budget_s),
            device=device,
            progress=progress,
        )
        for source in (given or (wanted.source,))
    ]
    for member in members:
        stored = cached_logits(member, data, split="validation", progress=progress)
        logits = np.asarray(stored, dtype=np.float32)
        require_knowledge(member, data, validation_outputs=logits)
    return (
        members[0] if len(members) == 1 else EnsembleTeacher(members=tuple(members), head=data.head)
    )


def suitable_method(teacher: Teacher, data: TaskData, *, progress: Progress) -> WeightedMethod:
    """Return what to distil with when no method was named."""
    logits = cached_logits(teacher, data, split="train", progress=progress)
    method = default_method(torch.from_numpy(np.array(logits)), data.head.kind)
    return WeightedMethod(method=method, weight=method.usual_weight)
