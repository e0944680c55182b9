"""What a student network is: plain data from which both the cost and the module are made.

A search space turns choices into `Layers`. `hwkd.cost.graph` computes the operator graph from them
by arithmetic, `hwkd.nn.build` the torch module and `hwkd.deploy.to_onnx` the ONNX file: what is
costed is what is trained and what ships.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from operator import attrgetter
from typing import Literal, Protocol, TypeAlias

from hwkd.core.strict_model import STORED, StoredInt

ParamValue: TypeAlias = StoredInt | float | str | bool
Activation: TypeAlias = Literal["none", "relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid"]
Interpolation: TypeAlias = Literal["nearest", "half_pixel", "align_corners"]


# Not frozen: freezing triples the time of creation, and screening creates thousands a second.
@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Layer:
    """One step of a student; what an operator is in ONNX, with its normalisation and activation.

    Attributes:
        name: unique inside the student; also the ONNX node's name.
        kind: what it computes: the name of a row of `hwkd.core.kinds`.
        inputs: names of earlier layers, or "input".
        shape: of the output, without batch: (channels, height, width) or (features,).
        kernel: (height, width) of a convolution or pooling window; of upsampling, how often each
            position is repeated.
        stride: (height, width).
        pads: (top, left, bottom, right), zeros; of a transposed convolution what is cut off.
        norm: batch normalisation follows during training and is folded into the weights at export.
        activation: applied last; its own operator in ONNX, fused by every runtime that we know.
        permutation: axes of a transpose, batch excluded and counted from 0.
        axis: of a concatenation, a softmax or a slice, batch excluded and counted from 0.
        dilation: (height, width) of a convolution: from one tap of its window to the next.
        mode: of upsampling: how values between the given ones are found, as ONNX names it.
        start: of a slice, the first place along `axis` that it keeps.
        frozen: its weights stay as they were drawn.
        base: of an embedding: a digit of what it looks up is one of so many numbers.
    """

    __pydantic_config__ = STORED

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: tuple[StoredInt, ...]
    kernel: tuple[StoredInt, StoredInt] = (1, 1)
    stride: tuple[StoredInt, StoredInt] = (1, 1)
    pads: tuple[StoredInt, StoredInt, StoredInt, StoredInt] = (0, 0, 0, 0)
    groups: StoredInt = 1
    norm: bool = False
    activation: Activation = "none"
    permutation: tuple[StoredInt, ...] = ()
    axis: StoredInt = 0
    dilation: tuple[StoredInt, StoredInt] = (1, 1)
    start: StoredInt = 0
    mode: Interpolation = "nearest"
    frozen: bool = False
    base: StoredInt = 0


_NAMED_BY_EVERY_KEY = frozenset(
    (
        "name", "kind", "inputs", "shape", "kernel", "stride", "pads", "groups", "norm",
        "activation", "permutation",
    )
)  # fmt: skip


# Names, defaults, and what takes the values of a layer; of each kind of layers, found once.
_LaterFields: TypeAlias = tuple[tuple[str, ...], tuple[object, ...], Callable[["Layer"], object]]
_LATER_FIELDS: dict[type, _LaterFields] = {}


@dataclass(frozen=True, kw_only=True)
class Layers:
    """A whole student as data.

    Attributes:
        input_shape: without batch: (channels, height, width) or (channels, time).
        layers: in execution order.
        taps: name of a place -> name of the layer whose output it is; "stage1", "stage2", ...
            from the input on, "embedding" for the vector before the classifier.
        outputs: names of the layers that the network returns; the last layer where none is named.
    """

    __pydantic_config__ = STORED

    input_shape: tuple[StoredInt, ...]
    layers: tuple[Layer, ...]
    taps: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the layers whose outputs the network returns, one or more."""
        return self.outputs or (self.layers[-1].name,)

    @property
    def stage_ends(self) -> list[str]:
        """Names of the layers at which stages end, from the input on."""
        numbered = [name for name in self.taps if name.startswith("stage")]
        return [self.taps[name] for name in sorted(numbered, key=lambda name: int(name[5:]))]

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits that name the network itself.

        Different specs may describe one network: a 5 x 5 window on a 2 x 2 map is a 3 x 3 one.
        """
        layers = ", ".join(map(_layer_text, self.layers))
        text = f"({self.input_shape!r}, ({layers}{',' * (len(self.layers) == 1)}))"
        text += _later_fields_text(self.layers)
        if self.heads != (self.layers[-1].name,):
            text += repr(self.heads)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _layer_text(layer: Layer) -> str:
    """Return the text of the fields that every key names; it must never change.

    Stored students are known by keys made of it, and the seeds of their trainings come from them.
    """
    return (
        f"Layer(name={layer.name!r}, kind={layer.kind!r}, inputs={layer.inputs!r}, "
        f"shape={layer.shape!r}, kernel={layer.kernel!r}, stride={layer.stride!r}, "
        f"pads={layer.pads!r}, groups={layer.groups!r}, norm={layer.norm!r}, "
        f"activation={layer.activation!r}, permutation={layer.permutation!r})"
    )


def _later_fields(kind: type[Layer]) -> _LaterFields:
    """Return the other fields of a kind of layers."""
    if kind not in _LATER_FIELDS:
        later = {e.name: e.default for e in fields(kind) if e.name not in _NAMED_BY_EVERY_KEY}
        _LATER_FIELDS[kind] = tuple(later), tuple(later.values()), attrgetter(*later)
    return _LATER_FIELDS[kind]


def _later_fields_text(layers: Sequence[Layer]) -> str:
    """Return the text of the other fields: one that has its default everywhere adds nothing."""
    text = ""
    names, defaults, values_of = _later_fields(type(layers[0]))
    if all(map(defaults.__eq__, map(values_of, layers))):
        return text  # nearly always, and screening asks thousands of times a second
    for name, default in zip(names, defaults, strict=True):
        found = [(layer.name, getattr(layer, name)) for layer in layers]
        if others := tuple(pair for pair in found if pair[1] != default):
            text += ("" if name == "axis" else name) + repr(others)
    return text


@dataclass(frozen=True, kw_only=True)
class StudentSpec:
    """The choices that name one student; equal specs make equal networks.

    Attributes:
        space: registered name of the search space (or the stem of the user's file).
        params: choice name -> value.
        input_shape: without batch.
        num_outputs: classes (or regression outputs).
        features: setting that its inputs are computed by, as `--features` takes it; None where a
            search has one for all.
    """

    __pydantic_config__ = STORED

    space: str
    params: Mapping[str, ParamValue]
    input_shape: tuple[StoredInt, ...]
    num_outputs: StoredInt
    features: str | None = None

    @property
    def home(self) -> str:
        """Name of the space as a search knows it: with the setting, where candidates choose one."""
        return self.space if self.features is None else home_name(self.space, self.features)

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits: SHA-256 of the canonical JSON of the spec."""
        payload = {
            "space": self.space,
            "params": dict(self.params),
            "input_shape": list(self.input_shape),
            "num_outputs": self.num_outputs,
            **({} if self.features is None else {"features": self.features}),
        }
        text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def home_name(space: str, features: str) -> str:
    """Return the name of a space whose students read features of one setting."""
    return f"{space}@{features}"


class Chooser(Protocol):
    """The few decisions that a search space asks for; Optuna and a random generator both fit."""

    def categorical(self, name: str, choices: Sequence[ParamValue]) -> ParamValue:
        """Pick one of `choices`."""
        ...

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Pick an integer in [low, high], on a grid of `step` from `low`."""
        ...


class SearchSpace(Protocol):
    """A family of students. One file in `search_spaces/` (or the user's own) holds one."""

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def summary(self) -> str:
        """One line for `hwkd spaces list`."""
        ...

    def suggest(
        self, chooser: Chooser, *, input_shape: tuple[int, ...], num_outputs: int
    ) -> StudentSpec:
        """Sample one student; asks the chooser for each parameter once, by a stable name."""
        ...

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec: arithmetic only, well under a millisecond."""
        ...
