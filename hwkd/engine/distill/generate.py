"""`hwkd generate`: samples made from a teacher, or from data, as one file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hwkd.core.errors import ConfigError, TeacherError
from hwkd.core.progress import Progress
from hwkd.distill.maker import Making, parse_maker
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.resolve import ResolvedStudent, resolve_student
from hwkd.engine.setup.made import normalised_range, write_made
from hwkd.engine.setup.teacher import open_teachers
from hwkd.nn.build import build_module
from hwkd.tasks.base import TaskData
from hwkd.train.seeded_torch import seeded_torch
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher import require_knowledge
from hwkd.train.teacher_module import ModuleTeacher


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """What was made.

    Attributes:
        path: of the NPZ file, with `x_train` and `y_train` in the values of the raw data.
        maker: with all its options.
        teacher: who was asked; None for a maker that looks at data.
        samples_of_class: in the order of the classes.
    """

    path: Path
    maker: str
    teacher: str | None
    samples_of_class: tuple[int, ...]
    file_bytes: int


def generate_samples(
    request: DistillRequest, *, by: str, seed: int, progress: Progress
) -> Generated:
    """Make samples and write them.

    Args:
        request: names student, data and teacher as for a distillation; `out` is the file.
        by: the maker, as `inversion:samples=2000`.

    Raises:
        HwkdError: if it cannot be; before anything is made.
    """
    maker = parse_maker(by)
    if request.out.suffix != ".npz":
        raise ConfigError(f"--out {request.out}: samples are written as .npz; name it so")
    if request.out.exists():
        raise ConfigError(f"--out {request.out}: is there already; give another name")
    resolved = resolve_student(request, progress=progress)
    data = resolved.data
    if not data.head.kind.of_classes:
        raise ConfigError(f"--by {maker.name}: makes samples of classes; {data.name} has none")
    teacher = _teacher(resolved, progress) if maker.needs_teacher else None
    made = making_of(resolved, teacher, seed=seed, progress=progress)
    with seeded_torch(derive_seed(seed, "generate")):
        inputs, labels = maker.make(made)
    write_made(request.out, inputs.numpy(), labels.numpy(), data)
    return Generated(
        path=request.out,
        maker=maker.describe(),
        teacher=None if teacher is None else teacher.description,
        samples_of_class=tuple(np.bincount(labels.numpy(), minlength=data.num_outputs).tolist()),
        file_bytes=request.out.stat().st_size,
    )


def making_of(
    resolved: ResolvedStudent, teacher: ModuleTeacher | None, *, seed: int, progress: Progress
) -> Making:
    """Return what samples are made from.

    Raises:
        TeacherError: if the preprocessing cannot be undone.
    """
    data = resolved.data
    low, high = normalised_range(data.pipeline.record())
    return Making(
        teacher=None if teacher is None else _Shown(teacher).eval(),
        student=lambda draw: build_module(
            resolved.layers, seed=derive_seed(seed, "student", str(draw))
        ),
        input_shape=data.input_shape,
        classes=data.num_outputs,
        low=torch.from_numpy(low),
        high=torch.from_numpy(high),
        inputs=torch.from_numpy(np.array(data.train.inputs)),
        labels=torch.from_numpy(np.array(data.train.labels)),
        seed=derive_seed(seed, "make"),
        tell=progress,
    )


def _teacher(resolved: ResolvedStudent, progress: Progress) -> ModuleTeacher:
    data: TaskData = resolved.data
    teacher = open_teachers(
        resolved.config,
        data,
        device=torch.device("cpu"),
        own_dir=resolved.teacher_dir,
        progress=progress,
    )
    if not isinstance(teacher, ModuleTeacher):
        raise TeacherError(
            f"teacher {teacher.name}: gives answers and no gradients; give one torch teacher "
            "(package.module:factory), or let hwkd train one"
        )
    outputs = teacher.logits(data.validation.inputs)
    require_knowledge(teacher, data, validation_outputs=outputs)
    # Samples are changed by gradients, which in half precision are 0.
    return replace(teacher, precision="float32")


class _Shown(nn.Module):
    """A teacher at the scale that it expects."""

    def __init__(self, teacher: ModuleTeacher) -> None:
        super().__init__()
        self.module, self._seen = teacher.module, teacher.seen

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.module(self._seen.of_tensor(inputs))
        return outputs
