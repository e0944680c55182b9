"""Weights from a safetensors file, which may be anyone's, into a module that must match exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor, nn

from hwkd.core.errors import first_line

_PROBLEMS_SHOWN = 3


class WeightsError(ValueError):
    """The file is unreadable or of another network; the message is the reason alone."""


def fill_module(module: nn.Module, path: Path) -> None:
    """Load every tensor of a module from a file.

    Args:
        module: to fill; unchanged if the file does not match.
        path: safetensors file with the same names and shapes.

    Raises:
        WeightsError: if it cannot be read, or a tensor is missing, unexpected or of another shape.
    """
    _fill(module, lambda: load_file(path))


def fill_module_from(module: nn.Module, blob: bytes) -> None:
    """Load every tensor of a module from the bytes of a file; see `fill_module`."""
    _fill(module, lambda: load(blob))


def _fill(module: nn.Module, read: Callable[[], dict[str, Tensor]]) -> None:
    try:
        tensors = read()
    # KeyError: a type of numbers that torch lacks. The others: sizes that make no tensor.
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise WeightsError(f"not a readable safetensors file ({first_line(error)})") from error
    wanted = module.state_dict()
    problems = [f"missing {name}" for name in wanted if name not in tensors]
    problems += [f"unexpected {name}" for name in tensors if name not in wanted]
    problems += [
        f"{name} has shape {tuple(tensor.shape)}, expected {tuple(wanted[name].shape)}"
        for name, tensor in tensors.items()
        if name in wanted and tensor.shape != wanted[name].shape
    ]
    if problems:
        left_out = len(problems) - _PROBLEMS_SHOWN
        more = f" and {left_out} more" if left_out > 0 else ""
        shown = "; ".join(problems[:_PROBLEMS_SHOWN])
        raise WeightsError(f"does not match {type(module).__name__}: {shown}{more}")
    module.load_state_dict(tensors)


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, types, shapes and values, 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().data if values.numel() else b"")
    return digest.hexdigest()
