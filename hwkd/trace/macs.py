"""Counts a torch module's multiply-accumulates with fvcore, a cross-check of our own arithmetic."""

from __future__ import annotations

import warnings

import torch
from torch import nn

# What fvcore calls the operators that multiply and accumulate; it also counts normalisation and
# pooling, which a folded model does not have or does without multiplying.
_MULTIPLIERS = ("conv", "linear", "matmul", "bmm", "addmm", "einsum", "upsample_bilinear2d")


def count_macs(module: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Return the multiply-accumulates of one inference as fvcore counts them.

    Args:
        module: left in the mode and on the device that it is in.
        input_shape: without batch.
    """
    was_training = module.training
    parameter = next(module.parameters())
    example = torch.zeros(1, *input_shape, device=parameter.device, dtype=parameter.dtype)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # Importing and running fvcore uses torch.jit, which torch warns will go one day.
            warnings.simplefilter("ignore")
            from fvcore.nn import FlopCountAnalysis

            analysis = FlopCountAnalysis(module.eval(), (example,))
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            # One fused multiply-add is one "flop" for fvcore, so its counts are MACs already.
            counts = analysis.by_operator()
    finally:
        module.train(was_training)
    return int(sum(counts[kind] for kind in _MULTIPLIERS))
