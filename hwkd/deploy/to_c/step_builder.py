"""One step while it is built: the constants, calls and working memory that operators add to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from hwkd.core.core_file import InstructionSet
from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.arena import Overlap
from hwkd.deploy.to_c.c_text import Constants, struct
from hwkd.deploy.to_c.layout import COPY_LOOPS, Arranged, loop_nest
from hwkd.deploy.to_c.pack import (
    folded_bias,
)
from hwkd.qgraph.ir import (
    QuantOp,
    QuantTensor,
    Weighted,
    op_macs,
)
from hwkd.qgraph.requantise import (
    Rounding,
    accumulator_scales,
    channel_fields,
    product_fields,
)
from hwkd.qgraph.tflite_rounding import table_form

INSTRUCTION_SETS: tuple[InstructionSet, ...] = ("portable", "dsp", "helium")
Kernels: TypeAlias = Literal["hwkd", "cmsis-nn"]
KERNELS: tuple[Kernels, ...] = ("hwkd", "cmsis-nn")

# Each has a header of its own: few networks need it, and the others' files stay as they are.
OFFSET_CONV, LAYER_NORM = "hwkd_offset_conv", "hwkd_layer_norm"
RESIZE, TRANSPOSED_CONV = "hwkd_resize", "hwkd_transposed_conv"
LOOKUP = "hwkd_lookup"
# sizeof(hwkd_channel)
_CHANNEL_BYTES: dict[Rounding, int] = {"float": 8, "q31": 12, "tflite": 12}
# An int8 product is at most 128 * 255 with the zero point taken out, or both factors' so.
_LARGEST_PRODUCT, _LARGEST_OFFSET_PRODUCT = 128 * 255, 255 * 255


@dataclass(frozen=True, kw_only=True)
class CStep:
    """One operator as C.

    Attributes:
        kind: operator class, for people.
        constants: definitions that go before the code.
        calls: C statements with the fields {in0}, {in1}, ... of `inputs`, {out} and {scratch}.
        kernels: source files needed, without suffix.
        inputs: tensors in the arena that it reads.
        may_overwrite: inputs whose place the output may take.
        overlap: how the output may lie over the first input; None where they must lie apart.
        is_partial: later steps write the rest of the output.
    """

    name: str
    kind: str
    constants: Constants
    calls: tuple[str, ...]
    kernels: frozenset[str]
    inputs: tuple[str, ...]
    output: str
    scratch_bytes: dict[InstructionSet, int]
    may_overwrite: tuple[str, ...] = ()
    overlap: Overlap | None = None
    macs: int = 0
    is_partial: bool = False


class StepBuilder:
    """Collects what one operator becomes; used once."""

    def __init__(
        self,
        arranged: Arranged,
        rounding: Rounding,
        library: Kernels,
        index: int,
        constants: Constants,
    ) -> None:
        """Begin with nothing; see `build_steps`. `index` is the place of the operator."""
        self.arranged = arranged
        self.rounding = rounding
        self.library = library
        self.index = index
        self.op: QuantOp = arranged.graph.ops[index]
        self.constants = constants
        self.calls: list[str] = []
        self.kernels: set[str] = set()
        self.scratch: dict[InstructionSet, int] = {}
        self.may_overwrite: tuple[str, ...] = ()
        self.overlap: Overlap | None = None
        self.is_partial = False

    def finished(self) -> CStep:
        """Return the step."""
        op = self.op
        constants = self.arranged.graph.constants
        return CStep(
            name=op.name,
            kind=type(op).__name__,
            constants=self.constants,
            calls=tuple(self.calls),
            kernels=frozenset(self.kernels),
            inputs=tuple(name for name in op.inputs if name not in constants),
            output=op.output,
            scratch_bytes={name: self._scratch_of(name) for name in INSTRUCTION_SETS},
            may_overwrite=self.may_overwrite,
            overlap=self.overlap,
            macs=op_macs(op, self.arranged.graph),
            is_partial=self.is_partial,
        )

    def _scratch_of(self, name: InstructionSet) -> int:
        """Return working memory; Helium cores run the DSP kernels where they have none."""
        fallback = self.scratch.get("dsp", 0) if name == "helium" else 0
        return self.scratch.get(name, fallback)

    def tensor(self, name: str) -> QuantTensor:
        """Return a tensor of the graph by name."""
        return self.arranged.graph.tensors[name]

    def last_writer_of(self, name: str) -> QuantOp:
        """Return the last operator that writes a tensor."""
        return next(op for op in reversed(self.arranged.graph.ops) if op.output == name)

    def symbol(self, kind: str) -> str:
        """Return a name in C of the kind that no other step has."""
        return f"{kind}_{self.index}"

    def call(self, kernel: str, function: str, arguments: str) -> None:
        """Add a call of a kernel, `hwkd_run_FUNCTION(ARGUMENTS);`."""
        self.kernels.add(kernel)
        self.calls.append(f"hwkd_run_{function}({arguments});")

    def operand(self, position: int) -> str:
        """Return how a call names an operand: a place in the arena or a constant array."""
        constants = self.arranged.graph.constants
        name = self.op.inputs[position]
        values = constants.get(name)
        if values is None:
            # By number: a tensor's name may be anything, also `out`, `scratch` or a brace.
            earlier = sum(other not in constants for other in self.op.inputs[:position])
            return f"{{in{earlier}}}"
        placed = np.empty(values.size, np.int8)
        placed[self.arranged.places[name].reshape(-1)] = values.reshape(-1)
        return self.constants.int8(self.symbol("operand"), placed)

    def channels(self, op: Weighted, depth: int, *, repeated: int = 0) -> str:
        """Define the requantisation of each output channel, the last repeated; return its name."""
        source, target = self.tensor(op.inputs[0]), self.tensor(op.output)
        biases = folded_bias(op, source.zero_point)
        scales = accumulator_scales(op, source, target, self.rounding)
        product = _LARGEST_PRODUCT if op.weight_zeros is None else _LARGEST_OFFSET_PRODUCT
        rows = []
        for bias, raw_bias, scale in zip(biases, op.bias, scales, strict=True):
            largest = depth * product + abs(int(raw_bias))
            fields = channel_fields(scale, self.rounding, largest=largest)
            rows.append(f"{bias}, {fields}")
        return self.channel_array("channels", rows + rows[-1:] * repeated)

    def channel_array(self, kind: str, rows: Sequence[str]) -> str:
        """Define an array of requantisations and return its name."""
        size = _CHANNEL_BYTES[self.rounding]
        return self.constants.structs("hwkd_channel", self.symbol(kind), rows, row_bytes=size)

    def product(self, ends: Sequence[QuantTensor], terms: int) -> str:
        """Return the channel of a sum of products of two tensors; its bias is unused."""
        first, second, target = ends
        return product_fields(first, second, target, self.rounding, terms=terms)

    def table_values(self, table: Any, source: str, target: str) -> Any:
        """Return a table as the rounding's peer computes it."""
        if self.rounding != "tflite":
            return table
        form = table_form(table, self.tensor(source), self.tensor(target))
        return table if form is None else form[1]

    def copy(
        self,
        position: int,
        *,
        source: tuple[Any, ...] = (),
        target: tuple[slice, ...] = (),
        table: Any = None,
    ) -> None:
        """Emit a copy of a region of operand `position` to one of the output; all by default.

        Args:
            source: slices, or arrays that say which index is read for each that is written.
        """
        read = self.arranged.places[self.op.inputs[position]][source]
        written = self.arranged.places[self.op.output][target]
        loops = loop_nest(read, written)
        if loops is None or len(loops) > COPY_LOOPS:
            raise ExportError(
                f"node {self.op.name!r} ({type(self.op).__name__}): moving shape "
                f"{list(read.shape)} takes more than {COPY_LOOPS} loops"
            )
        nest = [(1, 0, 0)] * (COPY_LOOPS - len(loops)) + loops
        values: Sequence[str] = [
            f"{{{', '.join(str(level[field]) for level in nest)}}}" for field in range(3)
        ]
        mapping = "0"
        if table is not None:
            mapping = self.constants.int8(f"{self.symbol('table')}_{position}", table)
        layer = struct(
            counts=values[0],
            in_strides=values[1],
            out_strides=values[2],
            in_offset=int(read.min()),
            out_offset=int(written.min()),
            table=mapping,
        )
        name = self.constants.struct("hwkd_copy", f"{self.symbol('copy')}_{position}", layer)
        self.call("hwkd_copy", "copy", f"&{name}, {self.operand(position)}, {{out}}")
