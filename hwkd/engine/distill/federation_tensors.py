"""Tensors as they travel between machines: written compactly, read as anybody's."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from hwkd.core.errors import first_line


def as_sent(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights and statistics as a message holds them: copies, row after row."""
    plain = torch.contiguous_format
    return {name: value.detach().cpu().clone(memory_format=plain) for name, value in state.items()}


def as_halves(values: Tensor) -> Tensor:
    """Return values in float16; what is beyond its ends becomes an end."""
    ends = torch.finfo(torch.float16)
    return values.clamp(ends.min, ends.max).to(torch.float16).contiguous()


def loaded(blob: bytes, *, what: str) -> dict[str, Tensor]:
    """Return the tensors of a message.

    Args:
        what: it is and whose, for the message of an error.

    Raises:
        ValueError: if it cannot be read.
    """
    try:
        return load(blob)
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise ValueError(f"{what}: not readable ({first_line(error)})") from None


def halves_in(found: Mapping[str, Tensor], name: str, shape: tuple[int, ...], *, of: str) -> Tensor:
    """Return values of a message in float32.

    Raises:
        ValueError: if they are not there, of another shape or type, or not finite.
    """
    value = found.get(name)
    if value is None or tuple(value.shape) != shape or value.dtype != torch.float16:
        raise ValueError(f"{name} of {of}: expected float16 of shape {shape}")
    if not torch.isfinite(value).all():
        raise ValueError(f"{name} of {of}: hold values that are no numbers")
    return value.float()
