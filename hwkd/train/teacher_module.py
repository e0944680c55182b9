"""A teacher that is a torch module: the user's own (`package.module:factory`) or one made here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwkd.core.errors import HwkdError, TeacherError, first_line
from hwkd.core.head import Head
from hwkd.train.config import Precision
from hwkd.train.factory_identity import factory_identity
from hwkd.train.head_teacher import NetworkTeacher
from hwkd.train.precision import computing_in
from hwkd.train.teacher import TeacherKind, as_outputs
from hwkd.train.teacher_course import TeacherOutcome
from hwkd.train.teacher_factory import no_factory, require_factory, working_folder_importable
from hwkd.train.teacher_input import AS_STUDENTS, SeenInput
from hwkd.train.weights_file import WeightsError, fill_module

_BATCH = 512


@dataclass(frozen=True, kw_only=True)
class ModuleTeacher(NetworkTeacher):
    """See `hwkd.train.teacher.Teacher`; the module is in evaluation mode and stays so.

    Attributes:
        beside: what was trained beside it, see `hwkd.core.teaching.TeacherLesson`.
    """

    kind: TeacherKind
    module: nn.Module = field(repr=False)
    device: torch.device
    precision: Precision = "float32"
    outcome: TeacherOutcome | None = None
    beside: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    def on(self, device: torch.device) -> ModuleTeacher:
        """Return the teacher on a device; its module is moved."""
        return replace(self, module=self.module.to(device), device=device)

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs, of classes before softmax, shape [n, num_outputs]."""
        parts = []
        for start in range(0, len(inputs), _BATCH):
            # A copy: torch warns about read-only memory maps and refuses mirrored views.
            batch = torch.from_numpy(inputs[start : start + _BATCH].copy()).to(self.device)
            outputs = self._run(self.seen.of_tensor(batch))
            parts.append(
                as_outputs(
                    outputs.float().cpu().numpy(),
                    self.head,
                    examples=len(batch),
                    teacher=self.name,
                    is_own=self.kind == "trained here",
                )
            )
        return np.concatenate(parts or [np.empty((0, self.num_outputs), dtype=np.float32)])

    def _run(self, batch: Tensor) -> Tensor:
        if batch.dim() == 4:
            batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), computing_in(self.precision, self.device):
            try:
                outputs = self.module(batch)
            except Exception as error:  # the user's code may raise anything
                raise TeacherError(
                    f"teacher {self.name}: fails on inputs of shape {tuple(batch.shape)}: "
                    f"{first_line(error)}"
                ) from error
        if not isinstance(outputs, Tensor):
            raise TeacherError(
                f"teacher {self.name}: returns {type(outputs).__name__}; "
                "expected one tensor of logits"
            )
        return outputs


def load_factory_teacher(
    reference: str,
    *,
    weights: Path | None,
    head: Head,
    device: torch.device,
    seen: SeenInput = AS_STUDENTS,
) -> ModuleTeacher:
    """Make a teacher from the user's code.

    Args:
        reference: "package.module:factory"; the factory takes no arguments and returns a module.
            The working folder is searched too.
        weights: safetensors file whose tensors match the module's exactly; None keeps the
            factory's own.
        head: what outputs for the data mean.

    Raises:
        TeacherError: if the factory cannot be found or fails, or the weights do not match.
    """
    module = _call_factory(reference)
    if weights is not None:
        _load_weights(module, weights)
    module.eval()
    module.requires_grad_(False)
    module.to(device)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    origin = f"weights {weights.name}" if weights is not None else "the factory's own weights"
    return ModuleTeacher(
        kind="factory",
        name=reference,
        content=factory_identity(reference, module),
        seen=seen,
        description=f"{reference}, {type(module).__name__}, {parameters:,} parameters, {origin}",
        head=head,
        module=module,
        device=device,
    )


def _call_factory(reference: str) -> nn.Module:
    require_factory(reference)
    module_name, _, factory_name = reference.partition(":")
    try:
        with working_folder_importable():
            factory = getattr(importlib.import_module(module_name), factory_name)
            module = factory()
    except HwkdError:
        raise
    except Exception as error:  # The user's code may raise anything; it is shown, not swallowed.
        raise no_factory(reference, error) from error
    if not isinstance(module, nn.Module):
        raise TeacherError(
            f"--teacher {reference}: returned {type(module).__name__}; expected a torch module"
        )
    return module


def _load_weights(module: nn.Module, weights: Path) -> None:
    if not weights.is_file():
        raise TeacherError(f"--teacher-weights {weights}: no such file; give a safetensors file")
    try:
        fill_module(module, weights)
    except WeightsError as error:
        raise TeacherError(
            f"--teacher-weights {weights}: {error}; save the module's state_dict with "
            "safetensors.torch.save_file"
        ) from error
