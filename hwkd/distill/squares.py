"""Outputs that a student repeats in squares: losses of maps of classes look at each of them once.

What repeats them costs more than all else of such losses: 4 or 16 times as many positions say the
same.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from hwkd.core.signals import Signal, Views
from hwkd.core.teaching import RepeatsOutputs


def squares_of(student: nn.Module, few: Tensor) -> tuple[int, int]:
    """Return the (height, width) in which a student repeats each output; (1, 1) if it does not.

    Args:
        few: inputs to look at; the student is left as it was.
    """
    if not isinstance(student, RepeatsOutputs):
        return 1, 1
    was_training = student.training
    student.eval()
    with torch.no_grad():
        small = student.before_repeats(few)
        whole = None if small is None else student(few)
    student.train(was_training)
    if small is None or whole is None:
        return 1, 1
    return whole.shape[2] // small.shape[2], whole.shape[3] // small.shape[3]


def before_repeats(views: Views, squares: tuple[int, int]) -> Views:
    """Return views with one output of each square."""
    if squares == (1, 1):
        return views
    down, right = squares
    return replace(views, logits=views.need(Signal.LOGITS)[..., ::down, ::right])
