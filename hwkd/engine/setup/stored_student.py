"""Networks from files that may be edited or damaged: of a student's layers, or of its choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import torch

from hwkd.core.errors import ConfigError, typed_line
from hwkd.core.seen_input import viewed_layers
from hwkd.core.student import Layers, SearchSpace, StudentSpec
from hwkd.core.student_record import LARGEST_CHOICE, StudentRecord
from hwkd.nn.build import StudentModule


def layers_of_record(record: StudentRecord, *, where: str) -> Layers:
    """Return the network that a description holds; its search space is not looked up.

    Args:
        where: option and file, for messages.

    Raises:
        ConfigError: if the layers do not compute what they say.
    """
    return checked_layers(record.network, where=where)


def checked_layers(layers: Layers, *, where: str) -> Layers:
    """Return a network that computes what it says.

    Raises:
        ConfigError: if it does not.
    """
    shapes = {layer.name: layer.shape for layer in layers.layers}
    problem = None
    try:
        found = _shapes(layers)
        wrong = [name for name, made in found.items() if made != shapes[name]]
        if wrong:
            made = found[wrong[0]]
            problem = f"layer {wrong[0]!r} gives {made}, and {shapes[wrong[0]]} is written there"
    except Exception as error:  # torch's own, of many classes: the layers may be anyone's
        problem = typed_line(error)
    if problem is not None:
        raise ConfigError(f"{where}: its layers make no network ({problem}); was it edited?")
    return layers


def _shapes(layers: Layers) -> dict[str, tuple[int, ...]]:
    """Return what each layer makes of an input, by torch, without memory or arithmetic.

    Weights that are one zero everywhere see no input at all. On torch's device "meta" they would
    need none either, but its kernels import a second and a half of compilers.

    Raises:
        Exception: any of torch's, where layers do not fit.
    """
    bare = tuple(replace(layer, norm=False) for layer in layers.layers)
    with torch.device("meta"):
        module = StudentModule(replace(layers, layers=bare)).eval()
    nothing = {
        name: torch.zeros(()).expand(part.shape) for name, part in module.state_dict().items()
    }
    module.load_state_dict(nothing, assign=True)
    shapes = {"input": layers.input_shape} | {layer.name: layer.shape for layer in bare}
    for layer in bare:
        given = shapes[layer.inputs[0]]
        if layer.kind == "reshape" and prod(given) != prod(layer.shape):  # of no input all may be
            raise ValueError(f"layer {layer.name!r} reads {given}, and has no shape {layer.shape}")
    with torch.no_grad():
        _, found = module.forward_taps(torch.empty(0, *layers.input_shape), [*shapes][1:])
    return {name: tuple(value.shape[1:]) for name, value in found.items()}


def layers_of_spec(spaces: Mapping[str, SearchSpace], spec: StudentSpec, *, where: str) -> Layers:
    """Return the network that stored choices describe.

    Args:
        spaces: by name.
        where: option and file, for messages.

    Raises:
        ConfigError: if the space is not among them, or its choices make no network.
    """
    if spec.space not in spaces:
        raise ConfigError(
            f"{where}: is of search space {spec.space!r}, which is not one of the run's "
            f"({', '.join(sorted(spaces))})"
        )
    numbers = [*spec.input_shape, spec.num_outputs, *spec.params.values()]
    too_large = [n for n in numbers if not isinstance(n, str) and not abs(n) <= LARGEST_CHOICE]
    if too_large or min(*spec.input_shape, spec.num_outputs, 1) < 1:
        worst = too_large[0] if too_large else "a shape below 1"
        raise ConfigError(
            f"{where}: makes no network: {worst} is outside what a choice may be "
            f"(shapes from 1, every number up to {LARGEST_CHOICE:,})"
        )
    try:
        return viewed_layers(spaces[spec.space], spec)
    except KeyError as error:
        raise ConfigError(
            f"{where}: makes no network of space {spec.space}: the choice {error} is missing or "
            "unknown there; was it made by another version?"
        ) from None
    except Exception as error:  # Spaces trust their own choices; these may be anyone's.
        raise ConfigError(
            f"{where}: makes no network of space {spec.space}: {typed_line(error)}; was it "
            "edited, or made by another version?"
        ) from error
