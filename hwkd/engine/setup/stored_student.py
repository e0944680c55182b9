"""Networks from files that may be edited or damaged: of a student's layers, or of its choices."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from hwkd.core.errors import ConfigError, first_line
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
        with torch.device("meta"), torch.no_grad():  # shapes alone: no memory, no arithmetic
            module = StudentModule(layers).eval()
            _, found = module.forward_taps(torch.empty(1, *layers.input_shape), shapes)
        wrong = [n for n, value in found.items() if tuple(value.shape[1:]) != shapes[n]]
        if wrong:
            made = tuple(found[wrong[0]].shape[1:])
            problem = f"layer {wrong[0]!r} gives {made}, and {shapes[wrong[0]]} is written there"
    except Exception as error:  # torch's own, of many classes: the layers may be anyone's
        problem = f"{type(error).__name__}: {first_line(error)}"
    if problem is not None:
        raise ConfigError(f"{where}: its layers make no network ({problem}); was it edited?")
    return layers


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
            f"{where}: makes no network of space {spec.space}: {type(error).__name__}: "
            f"{first_line(error)}; was it edited, or made by another version?"
        ) from error
