"""Stages of a network that stand between those of another one, fitted by linear maps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hwkd.core.cohort import Segment
from hwkd.core.student import Layer, Layers
from hwkd.core.widened import widened
from hwkd.nn.build import StudentModule
from hwkd.nn.cut import part_between, run_between


def stage_end(layers: Layers, stage: int) -> Layer:
    """Return the last layer of a stage, counted from 1."""
    return next(each for each in layers.layers if each.name == layers.stage_ends[stage - 1])


def fitting_maps(role: Segment, layers: Layers) -> nn.ModuleDict:
    """Return the linear maps "before" and "behind" a segment; none where channels are alike.

    Raises:
        ConfigError: if the network has no such stages.
    """
    part_between(layers, role.after, role.until)
    wide = widened(layers, role.width)
    maps = nn.ModuleDict()
    if role.shown and role.after:
        maps["before"] = _channel_map(_channels(wide, role.after), _channels(layers, role.after))
    if role.until:
        maps["behind"] = _channel_map(_channels(layers, role.until), _channels(wide, role.until))
    return maps


def run_segment(
    role: Segment,
    module: StudentModule,
    maps: nn.Module,
    inputs: Tensor,
    given: Mapping[str, Tensor],
) -> Tensor:
    """Return what a segment makes of inputs, or of the maps that another network shows.

    Args:
        module: whose stages they are.
        maps: of `fitting_maps`.
        inputs: shape [batch, *input_shape].
        given: signals of others; maps that it lacks are 0.
    """
    assert isinstance(maps, nn.ModuleDict)
    values = inputs
    if role.shown:
        wide = widened(module.layers, role.width)
        shape = stage_end(wide, role.after).shape if role.after else wide.input_shape
        values = given.get(role.shown, torch.zeros(len(inputs), *shape, device=inputs.device))
    if "before" in maps:
        values = maps["before"](values)
    shown = run_between(module, values, role.after, role.until)
    return maps["behind"](shown) if "behind" in maps else shown


def _channels(layers: Layers, stage: int) -> tuple[int, int]:
    """Return the channels of a stage, and how many axes follow them."""
    shape = stage_end(layers, stage).shape
    return shape[0], len(shape) - 1


def _channel_map(before: tuple[int, int], after: tuple[int, int]) -> nn.Module:
    """Return a linear map of channels at each position."""
    if before == after:
        return nn.Identity()
    if not before[1]:
        return nn.Linear(before[0], after[0])
    kind = nn.Conv1d if before[1] == 1 else nn.Conv2d
    return kind(before[0], after[0], 1)
