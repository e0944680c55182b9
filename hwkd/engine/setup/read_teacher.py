"""A teacher in an ONNX file shows what it has inside, where hwkd can read its layers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import HwkdError, ModelFileError, TeacherError
from hwkd.engine.setup.stored_student import checked_layers
from hwkd.nn.build import StudentModule, build_module
from hwkd.trace.onnx_student import read_onnx_student
from hwkd.train.teacher_onnx import OnnxTeacher

# Of the largest output, by which sums in another order differ.
_TOLERANCE = 1e-3


def read_inside(teacher: OnnxTeacher, examples: NDArray[np.float32]) -> StudentModule:
    """Return a teacher's network as layers with weights.

    Args:
        examples: inputs of students, on which both are compared.

    Raises:
        TeacherError: says which part of the file no layer stands for, or that the layers answer
            something else than the file does.
    """
    try:
        found = read_onnx_student(teacher.path)
        layers = checked_layers(found.layers, where=str(teacher.path))
        if layers.input_shape != examples.shape[1:]:
            raise ModelFileError(
                f"{teacher.path}: takes inputs {layers.input_shape}, students {examples.shape[1:]}"
            )
    except HwkdError as error:
        raise _shows_nothing(teacher, str(error)) from error
    module = build_module(layers, seed=0)
    module.begin_with(found.weights)
    shown = teacher.seen.with_channels(last=False).of_tensor(torch.from_numpy(examples))
    with torch.inference_mode():
        ours = teacher.outputs_of(module.eval()(shown).numpy())
    theirs = teacher.logits(examples)
    away = np.abs(ours - theirs).max()
    if not away <= _TOLERANCE * max(1.0, float(np.abs(theirs).max())):
        raise _shows_nothing(teacher, f"its layers answer {away:.3g} away from the file")
    return module


def _shows_nothing(teacher: OnnxTeacher, why: str) -> TeacherError:
    return TeacherError(
        f"teacher {teacher.name}: shows logits only, as its layers cannot be read ({why}); give a "
        "torch teacher (package.module:factory), or a method on its answers alone"
    )
