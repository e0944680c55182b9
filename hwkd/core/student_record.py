"""What a finished student says of itself: the network, who made it and how, and what its files are.

`student.json` beside the files of a student holds a `StudentRecord`; everything that takes a
student reads it. Readers of what older versions wrote are in `hwkd.io.old_students`.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Literal

from pydantic import Field, model_validator

from hwkd.core.run_record import RunRecord
from hwkd.core.strict_model import StrictModel
from hwkd.core.student import Layer, Layers
from hwkd.core.trial import SpecRecord, TrialRecord

__all__ = ["LARGEST_CHOICE", "NetworkRecord", "StudentRecord"]

# Nothing in a network for a small chip is near these; beyond them a file takes minutes or all
# memory before anything can be said about it.
LARGEST_CHOICE = 10_000
_MOST_LAYERS = 2_000
_MOST_VALUES = 50_000_000


class NetworkRecord(StrictModel):
    """A network layer by layer; it is built from this alone, without its search space.

    Attributes:
        input_shape: without batch.
        layers: in execution order.
        taps: name of a place -> name of the layer whose output it is.
        outputs: names of the layers that it returns; the last layer where none is named.
        key: of the layers; what does not match them is refused.
    """

    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...] = Field(min_length=1, max_length=_MOST_LAYERS)
    taps: dict[str, str] = Field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    key: str

    @classmethod
    def of(cls, layers: Layers) -> NetworkRecord:
        """Copy a network."""
        return cls(
            input_shape=layers.input_shape,
            layers=layers.layers,
            taps=dict(layers.taps),
            outputs=layers.outputs,
            key=layers.key,
        )

    def to_layers(self) -> Layers:
        """Return the network that was copied."""
        layers = tuple(replace(layer) for layer in self.layers)
        return Layers(
            input_shape=self.input_shape,
            layers=layers,
            taps=dict(self.taps),
            outputs=self.outputs,
        )

    @model_validator(mode="after")
    def _is_a_network(self) -> NetworkRecord:
        """Refuse names that lead nowhere, sizes that nobody means and a key of another network."""
        known = {"input"}
        _require_sizes("the input", self.input_shape)
        for layer in self.layers:
            if layer.name in known or not layer.inputs:
                raise ValueError(f"layer {layer.name!r} is named twice or reads nothing")
            if missing := [name for name in layer.inputs if name not in known]:
                raise ValueError(f"layer {layer.name!r} reads {missing[0]!r}, which is not before")
            sizes = (*layer.shape, *layer.kernel, *layer.stride, layer.groups)
            _require_sizes(f"layer {layer.name!r}", sizes)
            if not all(0 <= number <= LARGEST_CHOICE for number in layer.pads):
                raise ValueError(f"layer {layer.name!r}: pads {layer.pads} are not possible")
            if prod(layer.shape) > _MOST_VALUES:
                raise ValueError(f"layer {layer.name!r}: shape {layer.shape} is too large")
            if not 0 <= layer.axis < max(len(layer.shape), 1):
                raise ValueError(f"layer {layer.name!r}: axis {layer.axis} of {layer.shape}")
            known.add(layer.name)
        for what, named in (("a tap", self.taps.values()), ("an output", self.outputs)):
            if unknown := sorted(set(named) - known):
                raise ValueError(f"{what} names the layer {unknown[0]!r}, which is not there")
        if self.key != self.to_layers().key:
            raise ValueError(f"key {self.key!r} is not that of these layers; they were edited")
        return self


class StudentRecord(StrictModel):
    """Everything that is known of one student besides its weights.

    Attributes:
        spec: its choices.
        network: what they make.
        files: name -> SHA-256 of every file of the student that lies beside this record.
        run: of the search or distillation that made it: device, data with labels and
            normalisation, training, accuracies; None in what older versions exported.
        trial: of the run; None likewise.
    """

    schema_version: Literal[1] = 1
    spec: SpecRecord
    network: NetworkRecord
    files: dict[str, str] = Field(default_factory=dict)
    run: RunRecord | None = None
    trial: TrialRecord | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each output; empty when that is not known."""
        return self.run.data.class_names if self.run is not None else ()

    @model_validator(mode="after")
    def _belongs_together(self) -> StudentRecord:
        spec, network = self.spec, self.network
        if spec.key != spec.to_spec().key:
            raise ValueError(f"key {spec.key!r} is not that of the spec's choices; it was edited")
        heads = network.to_layers().heads
        outputs = [layer.shape for layer in network.layers if layer.name in heads]
        if (spec.input_shape, [(spec.num_outputs,)]) != (network.input_shape, outputs):
            raise ValueError(
                f"the spec maps {spec.input_shape} to {spec.num_outputs} outputs and the layers "
                f"{network.input_shape} to {', '.join(map(str, outputs))}"
            )
        return self


def _require_sizes(what: str, sizes: tuple[int, ...]) -> None:
    for number in sizes:
        if not 1 <= number <= LARGEST_CHOICE:
            raise ValueError(
                f"{what}: {number} is outside what a size may be (1 to {LARGEST_CHOICE:,})"
            )
