"""Weights with their normalisation multiplied in, put back into a module that has one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hwkd.core.student import Layers
from hwkd.nn.build import StudentModule, Weighted, build_module


@torch.no_grad()
def unfolded(layers: Layers, weights: Mapping[str, tuple[Tensor, Tensor]]) -> StudentModule:
    """Return a student in evaluation mode that computes with these weights.

    Its normalisations divide by 1 and add the bias.

    Args:
        weights: layer -> (weight, bias).
    """
    module = build_module(layers, seed=0).eval()
    for name, (weight, bias) in weights.items():
        layer = module.steps[name]
        assert isinstance(layer, Weighted)
        layer.core.weight.copy_(weight.reshape(layer.core.weight.shape).cpu())
        if layer.norm is None:
            assert layer.core.bias is not None
            layer.core.bias.copy_(bias.cpu())
            continue
        norm = layer.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0 - norm.eps)
        norm.weight.fill_(1.0)
        norm.bias.copy_(bias.cpu())
    return module
