"""What a step of a pipeline is: the same values in NumPy and in C99, and what they take.

Between raw samples and the network values go through stages: streams of samples, frames of them,
rows (one frame of one channel becomes one row of values), then features, one channel each. A row in
C is an array of int32; a number of 64 bits takes two of them, the low one first. Texts are bytes
that one step makes features of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray
from pydantic import Field

Shape = tuple[int, ...]

# Bounds of what a step holds; a record of one that breaks them is damaged.
Count: TypeAlias = Annotated[int, Field(ge=1, le=2**20)]
Int32: TypeAlias = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Finite: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Hertz: TypeAlias = Annotated[float, Field(ge=0.0, le=1e6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CCode:
    """A step in C99.

    Attributes:
        text: tables, state and one static function.
        reset: statement that brings the state back to the start of a signal; empty without one.
        state_bytes: static memory that it needs beside the rows.
        table_bytes: constants.
        headers: files of `c/` that it includes.
        made: name -> text of others that it includes.
    """

    text: str
    reset: str = ""
    state_bytes: int = 0
    table_bytes: int = 0
    headers: tuple[str, ...] = ("hwkd_signal.h",)
    made: Mapping[str, str] = field(default_factory=dict)


class Step(Protocol):
    """One step; a frozen dataclass of numbers that `STEPS` has under its kind."""

    @property
    def kind(self) -> str:
        """Registered name."""
        ...

    @property
    def formula(self) -> str:
        """What it does, for people; what a formula leaves open may stand in `details`."""
        ...

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the step's output for values of shape [n, *input]."""
        ...

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of an output, without batch, for inputs of a shape.

        Raises:
            ValueError: if it takes no inputs of that shape.
        """
        ...


@runtime_checkable
class ArrayStep(Step, Protocol):
    """A step that takes a whole input at once, in C too."""

    def to_c(self, function: str, *, c_type: str, shape: Shape, put: str) -> str:
        """Return `static void FUNCTION(const C_TYPE *from)` in C99.

        Args:
            function: its name.
            c_type: of the values that it reads.
            shape: of its input, without batch; rows lie one after another.
            put: function of position and value that takes every output once, in any order.
        """
        ...


@runtime_checkable
class StreamStep(Step, Protocol):
    """A step from int16 samples to int16 samples: shape [channels, time] to the same kind."""

    @property
    def factor(self) -> int:
        """How many samples become one, >= 1."""
        ...

    def stream_c(self, function: str, *, channels: int, most: int) -> CCode:
        """Return `static void FUNCTION(from, apart, to, to_apart, count)` of int16_t samples.

        Args:
            function: its name.
            channels: that it reads; sample t of channel c is from[c * apart + t].
            most: samples of a channel that one call takes; `count` is a multiple of `factor`.
        """
        ...

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return how often it does what takes time, by name; see `hwkd.signals.work`."""
        ...


@runtime_checkable
class RowStep(Step, Protocol):
    """A step that makes a row of each row: shape [channels, frames, values] to the same kind."""

    @property
    def in_place(self) -> bool:
        """Whether the C may write where it reads."""
        ...

    @property
    def words(self) -> int:
        """How many int32 a value of the result takes."""
        ...

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return `static void FUNCTION(const C_TYPE *from, int32_t *to, int32_t channel)`.

        Args:
            function: its name.
            c_type: int16_t of samples, else int32_t.
            shape: of its input: channels, frames, values.
        """
        ...

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return how often it does what takes time, by name; see `hwkd.signals.work`."""
        ...


@runtime_checkable
class TextStep(Step, Protocol):
    """A step from UTF-8 bytes, shape [1, bytes], to whole numbers within int16: [channels, time].

    A text ends at its first zero.
    """

    @property
    def are_numbers(self) -> bool:
        """Whether these name what the network looks up, digit by digit, and are not scaled."""
        ...

    def text_c(self, function: str, *, shape: Shape, put: str) -> CCode:
        """Return `static void FUNCTION(const uint8_t *text)` in C99.

        Args:
            function: its name.
            shape: of its input.
            put: function of position and value that takes every output once, in any order.
        """
        ...

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return how often it does what takes time, by name; see `hwkd.signals.work`."""
        ...


def require_text(shape: Shape, most: int) -> None:
    """Refuse what are no texts of a length.

    Raises:
        ValueError: if the shape is none of (1, bytes).
    """
    if len(shape) != 2 or shape[0] != 1 or not 1 <= shape[1] <= most:
        raise ValueError(f"shape {shape}, expected that of texts, (1, at most {most} bytes)")


def require_sizes(sizes: Iterable[int], expected: int, *, what: str) -> None:
    """Refuse parts of a step that do not fit what it is given.

    Raises:
        ValueError: if a size is another than is expected.
    """
    if other := [size for size in sizes if size != expected]:
        raise ValueError(f"{other[0]} {what}, expected {expected}")


def table_c(kind: str, name: str, values: Iterable[int]) -> str:
    """Return a table of constants in C."""
    numbers = [str(int(value)) for value in values]
    lines = [", ".join(numbers[start : start + 16]) for start in range(0, len(numbers), 16)]
    return f"static const {kind} {name}[{len(numbers)}] = {{\n    " + ",\n    ".join(lines) + "};\n"
