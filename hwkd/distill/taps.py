"""What is read from a network during a forward pass; hooks live for that pass only.

A place is a module path of the network, as `network.named_modules()` spells it, with an optional
reading: `body.2` is that module's output, `body.2:input` its first input, `attention[1]` the second
element of a tuple output, `values:turned` an output with its last two axes exchanged.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from hwkd.core.errors import ConfigError
from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.signals import Signal, Views
from hwkd.core.student import Layer, Layers

# What `student_places` finds in every student; few have softmax attention.
STUDENT_SIGNALS = frozenset(Signal) - {Signal.ATTENTION, Signal.VALUES}

_PLACE = re.compile(r"(?P<path>[^\[\]:]*)(\[(?P<element>\d+)\])?(?P<what>:input|:turned)?")
_LAYERED = (
    Signal.FEATURES,
    Signal.PREACTIVATIONS,
    Signal.ATTENTION,
    Signal.VALUES,
)


_BEFORE_ACTIVATION = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm, nn.Conv1d, nn.Conv2d,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a network's signals are; logits are its output.

    Attributes:
        features: one place per stage, from the input on.
        preactivations: one place per stage.
        attention: one place per layer.
        values: one place per layer.
        weights: names of parameters, as `network.named_parameters()` spells them.
        embedding: one place, or None.
    """

    features: tuple[str, ...] = ()
    preactivations: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    embedding: str | None = None


class _AllSeen(Exception):  # noqa: N818
    """Ends a pass of which nothing further is wanted."""


@dataclass(slots=True)
class _Reading:
    place: str
    module: nn.Module
    element: int | None
    is_input: bool
    is_turned: bool
    copies: bool

    def take(self, inputs: tuple[Any, ...], output: Any) -> Tensor:
        value = inputs[0] if self.is_input else output
        if self.element is not None:
            value = value[self.element]
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"tap {self.place!r}: gives {type(value).__name__}, expected a "
                "tensor; choose an element, as path[1]"
            )
        value = value.transpose(-1, -2) if self.is_turned else value
        # An activation that works in place would overwrite what was seen before it.
        return value.clone() if self.copies else value

    def require_batch(self, value: Tensor, samples: int) -> None:
        if value.shape[:1] != (samples,):
            raise ConfigError(
                f"tap {self.place!r}: gives shape {tuple(value.shape)} for {samples} samples, "
                "expected one row per sample; choose a module whose output starts with the batch"
            )


@dataclass(slots=True)
class Taps:
    """Reads the views that a run needs from one network.

    Attributes:
        network: maps inputs [batch, *input_shape] to logits.
        needs: signals that are read; others cost nothing.
        shown: inputs -> what the network is shown; None shows them as they are.
    """

    network: nn.Module
    places: Places
    needs: frozenset[Signal]
    shown: Callable[[Tensor], Tensor] | None = None
    _readings: dict[Signal, list[_Reading]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look up every module once.

        Raises:
            ConfigError: if a path is no module or parameter of the network.
        """
        modules = dict(self.network.named_modules())
        for signal in (*_LAYERED, Signal.EMBEDDING):
            if signal not in self.needs:
                continue
            found = getattr(self.places, signal.value)
            texts = (found,) if isinstance(found, str) else (found or ())
            copies = signal is Signal.PREACTIVATIONS
            self._readings[signal] = [_reading(modules, text, copies) for text in texts]
        parameters = dict(self.network.named_parameters())
        for name in self.places.weights if Signal.WEIGHTS in self.needs else ():
            if name not in parameters:
                raise ConfigError(_no_such("parameter", name, parameters))

    def read(self, inputs: Tensor) -> Views:
        """Run the network once and return its views.

        Args:
            inputs: shape [batch, *input_shape].
        """
        if Signal.INPUTS in self.needs:
            inputs = inputs.detach().requires_grad_()
        seen: dict[tuple[Signal, int], Tensor] = {}
        with self._hooked(seen, self._readings):
            logits = self.network(inputs if self.shown is None else self.shown(inputs))
        views = self._views(seen, self._readings, samples=len(inputs))
        return replace(views, logits=logits, inputs=inputs if Signal.INPUTS in self.needs else None)

    def read_first(self, inputs: Tensor, layers: Mapping[Signal, int]) -> Views:
        """Run the network as far as the first layers of some signals and return these alone.

        Args:
            inputs: shape [batch, *input_shape].
            layers: how many are wanted of each signal that is read; of an embedding 1.
        """
        wanted = {
            signal: readings[: layers.get(signal, 0)] for signal, readings in self._readings.items()
        }
        seen: dict[tuple[Signal, int], Tensor] = {}
        if any(wanted.values()):
            with self._hooked(seen, wanted, stops=True), suppress(_AllSeen):
                self.network(inputs if self.shown is None else self.shown(inputs))
        return self._views(seen, wanted, samples=len(inputs))

    def _views(
        self,
        seen: Mapping[tuple[Signal, int], Tensor],
        readings: Mapping[Signal, Sequence[_Reading]],
        *,
        samples: int,
    ) -> Views:
        fields: dict[str, Any] = {}
        for signal, places in readings.items():
            layers = tuple(seen[signal, index] for index in range(len(places)))
            for reading, layer in zip(places, layers, strict=True):
                reading.require_batch(layer, samples)
            if signal is not Signal.EMBEDDING:
                fields[signal.value] = layers
            elif layers:
                fields[signal.value] = layers[0].flatten(1)
        if Signal.WEIGHTS in self.needs:
            parameters = dict(self.network.named_parameters())
            fields["weights"] = tuple(parameters[name] for name in self.places.weights)
        return Views(**fields)

    @contextmanager
    def _hooked(
        self,
        seen: dict[tuple[Signal, int], Tensor],
        readings: Mapping[Signal, Sequence[_Reading]],
        *,
        stops: bool = False,
    ) -> Iterator[None]:
        """Fill `seen` by what passes; end the pass once all was seen, if it `stops`."""
        wanted = sum(map(len, readings.values())) if stops else None
        handles = []
        try:
            for signal, places in readings.items():
                for index, reading in enumerate(places):
                    hook = _hook(seen, (signal, index), reading, wanted)
                    handles.append(reading.module.register_forward_hook(hook))
            yield
        finally:
            # A hook that outlives its pass reads the validation pass too (torchdistill issue 132).
            for handle in handles:
                handle.remove()


def student_places(layers: Layers) -> Places:
    """Return the places of a student made by `hwkd.nn.build`, from its description's taps.

    Weights are those of every layer that has some, in order.
    """
    described = {layer.name: layer for layer in layers.layers}
    numbered = [name for name in layers.taps if name.startswith("stage")]
    stages = [layers.taps[name] for name in sorted(numbered, key=lambda name: int(name[5:]))]
    before = [_before_activation(layers, described[name]) for name in stages]
    embedding = layers.taps.get("embedding")
    attending = _attending(layers)
    return Places(
        features=tuple(f"steps.{name}" for name in stages),
        attention=tuple(f"steps.{layer.name}" for layer, _ in attending),
        values=tuple(f"steps.{values}" for _, values in attending),
        # One stage without leaves nothing to number the others by.
        preactivations=tuple(path for path in before if path) if all(before) else (),
        weights=tuple(
            f"steps.{layer.name}.core.weight"
            for layer in layers.layers
            if LAYER_KINDS.get(layer.kind).has_weights
        ),
        embedding=None if embedding is None else f"steps.{embedding}",
    )


def _attending(layers: Layers) -> list[tuple[Layer, str]]:
    """Return every softmax whose weights mix values, and where those are as [heads, tokens, dim].

    Weights that were transposed mix values of which the tokens are the last axis.
    """
    described = {layer.name: layer for layer in layers.layers}
    found = []
    for layer in layers.layers:
        if layer.kind != "matmul":
            continue
        for number, name in enumerate(layer.inputs):
            source = described.get(name)
            is_turned = source is not None and source.kind == "transpose"
            if source is not None and is_turned:
                source = described.get(source.inputs[0])
            if source is not None and source.kind == "softmax":
                values = layer.inputs[1 - number]
                found.append((source, f"{values}:turned" if is_turned else values))
    return found


def _before_activation(layers: Layers, stage: Layer) -> str | None:
    """Return where a stage shows its value before the activation.

    A sum that is activated shows none: then what the last convolution of its shape gave.
    """
    if not LAYER_KINDS.get(stage.kind).has_weights and stage.activation == "none":
        return f"steps.{stage.name}"
    upto = layers.layers[: layers.layers.index(stage) + 1]
    found = [la for la in upto if LAYER_KINDS.get(la.kind).has_weights and la.shape == stage.shape]
    if not found:
        return None
    return f"steps.{found[-1].name}.{'norm' if found[-1].norm else 'core'}"


def discover_places(network: nn.Module, inputs: Tensor) -> Places:
    """Find the stages and the embedding of any network by running it once.

    A stage ends where height or width shrinks, and at the last map; its place is the outermost
    module that gave that map, and its value before the activation is what the last normalisation or
    convolution of the stage gave. The embedding is the input of the last linear layer. Attention is
    what `nn.Softmax` gives of four axes; of values nothing is found. A network that holds `Places`
    as its attribute `places` says itself where all is.

    Args:
        network: is run in evaluation mode without gradients and left in the mode it was in.
    """
    if isinstance(said := getattr(network, "places", None), Places):
        return said
    outputs, before, answer = _seen(network, inputs)
    linear = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    attention = tuple(
        path for path, out in outputs
        if out.dim() == 4 and isinstance(network.get_submodule(path), nn.Softmax)
    )  # fmt: skip
    maps = [
        (path, tuple(out.shape)) for path, out in outputs
        if out.dim() in (3, 4) and path not in attention
    ]  # fmt: skip
    maps = [entry for entry in maps if max(entry[1][2:]) > 1]
    # Outputs that are maps are no stage: the last is what the last layer makes them of.
    of_answer = tuple(answer.shape) if isinstance(answer, Tensor) else ()
    maps = [entry for entry in maps if entry[1] != of_answer] or maps
    ends = [
        path
        for (path, shape), following in zip(maps, [*maps[1:], None], strict=True)
        if following is None or following[1][2:] != shape[2:]
    ]
    shapes = dict(reversed(maps))
    # The same stage may be seen twice when a map shrinks and grows again.
    stages = tuple(dict.fromkeys(ends))
    last = {shape: path for path, shape in before}
    raw = [last.get(shapes[path]) for path in stages]
    weights = tuple(
        name for name, parameter in network.named_parameters() if parameter.dim() in (2, 4)
    )
    return Places(
        features=stages,
        attention=attention,
        # One stage without leaves nothing to number the others by.
        preactivations=tuple(path for path in raw if path) if all(raw) else (),
        weights=weights,
        embedding=f"{linear[-1]}:input" if linear else None,
    )


def _seen(
    network: nn.Module, inputs: Tensor
) -> tuple[list[tuple[str, Tensor]], list[tuple[str, tuple[int, ...]]], Any]:
    """Return what modules gave, shapes before activations, and the answer, in order."""
    outputs: list[tuple[str, Tensor]] = []
    before: list[tuple[str, tuple[int, ...]]] = []
    handles = []
    for path, module in network.named_modules():
        if isinstance(module, _BEFORE_ACTIVATION):
            handles.append(module.register_forward_hook(_shape_recorder(path, before)))
        if path:
            handles.append(module.register_forward_hook(_recorder(path, outputs)))
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return outputs, before, network(inputs)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()


def _recorder(path: str, outputs: list[tuple[str, Tensor]]) -> Any:
    def record(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        del module, inputs
        if isinstance(output, Tensor):
            # A container gives the very tensor that its last module gave: the outermost is kept.
            if outputs and outputs[-1][1] is output:
                outputs.pop()
            outputs.append((path, output))

    return record


def _shape_recorder(path: str, shapes: list[tuple[str, tuple[int, ...]]]) -> Any:
    def record(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        del module, inputs
        shapes.append((path, tuple(output.shape)))

    return record


def _hook(
    seen: dict[tuple[Signal, int], Tensor],
    key: tuple[Signal, int],
    reading: _Reading,
    wanted: int | None,
) -> Any:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        del module
        # The first pass counts: a teacher that averages mirror images runs the mirrored one second.
        if key not in seen:
            seen[key] = reading.take(inputs, output)
            if len(seen) == wanted:
                raise _AllSeen

    return hook


def _reading(modules: Mapping[str, nn.Module], text: str, copies: bool) -> _Reading:
    match = _PLACE.fullmatch(text)
    path = match["path"] if match is not None else text
    if match is None or path not in modules:
        raise ConfigError(_no_such("module", path, modules))
    element = match["element"]
    return _Reading(
        place=text,
        module=modules[path],
        element=None if element is None else int(element),
        is_input=match["what"] == ":input",
        is_turned=match["what"] == ":turned",
        copies=copies,
    )


def _no_such(kind: str, name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the network has {len(known)} of them"
    return f"tap {name!r}: no {kind} of the network has this path; {hint}"
