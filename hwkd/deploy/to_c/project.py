"""What the C project is written from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hwkd.core.head import CAnswer
from hwkd.core.patches import Patches
from hwkd.core.streaming import Stream
from hwkd.deploy.to_c.cmsis_nn import CMSIS_HOST_FLAGS, cmsis_flags
from hwkd.deploy.to_c.layout import Arranged, Places, channels_last
from hwkd.deploy.to_c.memory import Memory
from hwkd.deploy.to_c.raw_input import RawInput
from hwkd.deploy.to_c.step_builder import CStep
from hwkd.qgraph.ir import QuantTensor
from hwkd.qgraph.requantise import Rounding

# What the C was made from, so that `hwkd verify` can check the folder.
MODEL_FILE = "model_int8.onnx"
# Plays recordings on a PC.
LISTEN_FILE = "listen.c"
# Sources with a `main`, which firmware leaves out.
PROGRAMS = ("main.c", LISTEN_FILE)


CMSIS_NN = "hwkd_cmsis_nn"
# The array of names of outputs.
_NAMES = "model_labels"


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedInput:
    """One input for main.c, and what is known about it.

    Attributes:
        values: normalised floats, the input's shape without batch.
        origin: where it comes from, for people.
        label: its class; empty if unknown.
    """

    values: np.ndarray[Any, np.dtype[np.float32]]
    origin: str
    label: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One input and what ONNX Runtime makes of it, int8, in the order of the C buffers.

    Attributes:
        input: flat.
        output: flat, one output after the other.
        label: its class; empty if unknown.
    """

    input: np.ndarray[Any, np.dtype[np.int8]]
    output: np.ndarray[Any, np.dtype[np.int8]]
    origin: str
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Project:
    """Everything that the files are written from.

    Attributes:
        steps: in execution order.
        labels: name of each value of the first output, or empty.
        sample: recorded for main.c.
        answer: what the outputs mean; None where it is not known.
        raw: what turns raw values into the input; None where it is not known.
        facts: what else model.json says of the student.
        about: what else the README says of it, Markdown.
        patches: into which the first layers are divided; None where they run as a whole.
        stream: what each run takes, where it takes the next frames; None where it takes a window.
        exit_entropy: below which an output but the first ends an inference, nats; None without
            exits.
        source: name of the ONNX file.
        source_bytes: what it holds, weights of other files among it.
    """

    arranged: Arranged
    steps: tuple[CStep, ...]
    memory: Memory
    rounding: Rounding
    labels: tuple[str, ...]
    sample: Sample
    answer: CAnswer | None
    raw: RawInput | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    patches: Patches | None = None
    stream: Stream | None = None
    exit_entropy: float | None = None
    source: str
    source_bytes: bytes

    def fed(self, raw: RawInput | None) -> Project:
        """Return the project with another way in; None leaves the input to the firmware.

        An answer that compares the outputs with what raw values became goes with them.
        """
        compares = self.answer is not None and self.answer.compares is not None
        answer = None if raw is None and compares else self.answer
        return replace(self, raw=raw, answer=answer)

    @property
    def source_sha256(self) -> str:
        """Of the ONNX file's bytes."""
        return hashlib.sha256(self.source_bytes).hexdigest()

    @property
    def input(self) -> QuantTensor:
        """The tensor that the application fills."""
        return self.arranged.graph.tensors[self.arranged.graph.input]

    @property
    def window_places(self) -> Places:
        """Where each value of a whole window lies in the recorded sample."""
        if self.stream is None:
            return self.arranged.places[self.input.name]
        return channels_last((*self.input.shape[:-1], self.stream.window_frames))

    @property
    def outputs(self) -> Mapping[str, QuantTensor]:
        """Name of each output in the file -> tensor that the application reads."""
        graph = self.arranged.graph
        return {name: graph.tensors[tensor] for name, tensor in graph.outputs.items()}

    @property
    def output(self) -> QuantTensor:
        """The first of them, which labels belong to."""
        return next(iter(self.outputs.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """What the C calls each output; none where nobody named them and no answer does."""
        answer = self.answer
        if self.labels or answer is None or _NAMES not in answer.usage + answer.printed:
            return self.labels
        return tuple(f"output {number}" for number in range(self.output.elements))

    @property
    def output_bytes(self) -> int:
        """Of all outputs together."""
        return sum(tensor.elements for tensor in self.outputs.values())

    @property
    def kernels(self) -> tuple[str, ...]:
        """Kernel source files, without suffix, sorted."""
        return tuple(sorted({name for step in self.steps for name in step.kernels}))

    def traced_bytes(self, step: CStep) -> int:
        """Return how much of its output a step shows: all once it is whole."""
        return 0 if step.is_partial else self.arranged.graph.tensors[step.output].elements

    @property
    def uses_cmsis_nn(self) -> bool:
        """Whether Arm's kernels are linked."""
        return CMSIS_NN in self.kernels

    @property
    def flags(self) -> tuple[str, ...]:
        """Compiler options that results depend on."""
        # Products and sums that are not fused stay equal on every machine.
        own = ("-ffp-contract=off",)
        return (*own, *cmsis_flags(self.rounding)) if self.uses_cmsis_nn else own

    @property
    def host_flags(self) -> tuple[str, ...]:
        """Further options where the compiler's target is no Arm core."""
        return CMSIS_HOST_FLAGS if self.uses_cmsis_nn else ()
