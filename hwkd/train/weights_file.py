"""Weights from a safetensors file, which may be anyone's, into a module that must match exactly."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from hwkd.core.errors import first_line

__all__ = ["WeightsError", "fill_module"]

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
    try:
        tensors = load_file(path)
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
