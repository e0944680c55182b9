"""A student with the exits that were trained on it, as one network of several outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwkd.core.cohort import STUDENT, Exit
from hwkd.core.student import Layer, Layers
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.cohort import Cohort
from hwkd.nn.cohort_heads import ExitHead

# Of a picture: channels, height, width.
_AXES = 3


def with_exits(layers: Layers, exits: Sequence[Exit], features: int) -> Layers | None:
    """Return the network with exits right behind their stages; its own output comes first.

    Args:
        exits: of the student, by stage.
        features: width of an exit's inner layer.

    Returns:
        None where a stage is no picture: its mean has no layer of ours.
    """
    ends = layers.stage_ends
    shapes = {layer.name: layer.shape for layer in layers.layers}
    behind = {ends[each.stage - 1]: each.name for each in exits}
    if any(len(shapes[name]) != _AXES for name in behind):
        return None
    classes = layers.layers[-1].shape[0]
    found: list[Layer] = []
    for layer in layers.layers:
        found.append(layer)
        if layer.name in behind:
            found += _head(behind[layer.name], layer.name, layer.shape[0], features, classes)
    return replace(
        layers,
        layers=tuple(found),
        taps={},
        outputs=(layers.layers[-1].name, *(each.name for each in exits)),
    )


def _head(name: str, stage: str, channels: int, features: int, classes: int) -> list[Layer]:
    pool, flat, align = f"{name}_pool", f"{name}_flat", f"{name}_align"
    return [
        Layer(name=pool, kind="global_avg_pool", inputs=(stage,), shape=(channels, 1, 1)),
        Layer(name=flat, kind="reshape", inputs=(pool,), shape=(channels,)),
        Layer(name=align, kind="linear", inputs=(flat,), shape=(features,), activation="relu"),
        Layer(name=name, kind="linear", inputs=(align,), shape=(classes,)),
    ]


def exits_of(cohort: Cohort) -> tuple[Layers, StudentModule] | None:
    """Return the student of a cohort with its exits, on the processor; None without any."""
    exits = [role for role in cohort.roles if isinstance(role, Exit) and role.of == STUDENT]
    if not exits:
        return None
    student = cohort.exported(STUDENT)
    heads = {each.name: cohort.parts[each.name] for each in exits}
    first = heads[exits[0].name]
    assert isinstance(first, ExitHead)
    layers = with_exits(student.layers, exits, first.align.out_features)
    if layers is None:
        return None
    state = dict(student.state_dict())
    for name, head in heads.items():
        assert isinstance(head, ExitHead)
        for own, linear in ((f"{name}_align", head.align), (name, head.classify)):
            state[f"steps.{own}.core.weight"] = linear.weight.detach().cpu()
            state[f"steps.{own}.core.bias"] = linear.bias.detach().cpu()
    module = build_module(layers, seed=0)
    module.load_state_dict(state)
    return layers, module.eval()
