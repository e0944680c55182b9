"""What a finished student says of itself: the network, who made it and how, and what its files are.

`student.json` beside the files of a student holds a `StudentRecord`; everything that takes a
student reads it. Readers of what older versions wrote are in `hwkd.io.old_students`.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_validator,
)

from hwkd.core.run_record import RunRecord
from hwkd.core.strict_model import StrictModel, with_key
from hwkd.core.student import Layers
from hwkd.core.trial import StoredSpec, TrialRecord

# Nothing in a network for a small chip is near these; beyond them a file takes minutes or all
# memory before anything can be said about it.
LARGEST_CHOICE = 10_000
_MOST_LAYERS = 2_000
_MOST_VALUES = 50_000_000


def _is_a_network(network: Layers) -> Layers:
    """Refuse names that lead nowhere and sizes that nobody means."""
    if not 1 <= len(network.layers) <= _MOST_LAYERS:
        raise ValueError(f"layers: {len(network.layers)}, a network has 1 to {_MOST_LAYERS:,}")
    known = {"input"}
    _require_sizes("the input", network.input_shape)
    for layer in network.layers:
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
    for what, named in (("a tap", network.taps.values()), ("an output", network.outputs)):
        if unknown := sorted(set(named) - known):
            raise ValueError(f"{what} names the layer {unknown[0]!r}, which is not there")
    return network


# A network layer by layer with its key; it is built from this alone, without its search space.
StoredNetwork: TypeAlias = Annotated[
    Layers, AfterValidator(_is_a_network), *with_key("these layers")
]


class StudentRecord(StrictModel):
    """Everything that is known of one student besides its weights.

    Attributes:
        files: name -> SHA-256 of every file of the student that lies beside this record.
        run: of the search or distillation that made it: device, data with labels and
            normalisation, training, accuracies; None in what older versions exported.
        trial: of the run; None likewise.
    """

    schema_version: Literal[1] = 1
    spec: StoredSpec
    network: StoredNetwork
    files: dict[str, str] = Field(default_factory=dict)
    run: RunRecord | None = None
    trial: TrialRecord | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each output; empty when that is not known."""
        return self.run.data.class_names if self.run is not None else ()

    @model_validator(mode="before")
    @classmethod
    def _reads_the_network_once(cls, raw: Any) -> Any:
        """Give the run's best student the network, which is stored once where both are one."""
        run = raw.get("run") if isinstance(raw, dict) else None
        final = run.get("final") if isinstance(run, dict) else None
        if not isinstance(final, dict) or not isinstance(run, dict) or "layers" in final:
            return raw
        final = {"network": raw.get("network"), **final}
        return {**raw, "run": {**run, "final": final}}

    @field_serializer("run", mode="wrap")
    def _stores_the_network_once(
        self, run: RunRecord | None, handler: SerializerFunctionWrapHandler
    ) -> Any:
        stored = handler(run)
        if run is not None and run.final is not None and run.final.network == self.network:
            del stored["final"]["network"]
        return stored

    @model_validator(mode="after")
    def _belongs_together(self) -> StudentRecord:
        spec, network = self.spec, self.network
        outputs = [layer.shape for layer in network.layers if layer.name in network.heads]
        given = [shape[0] for shape in outputs]
        if (spec.input_shape, [spec.num_outputs]) != (network.input_shape, given):
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
