"""Runs a block in the precision of a training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from hwkd.train.config import Precision


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which convolutions and products compute in `precision`.

    Args:
        precision: "bfloat16" keeps weights and what is sensitive to rounding in float32.
    """
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
