"""The function that firmware calls with raw values: prepared, quantised and put in their places."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import ConfigError
from hwkd.core.listening import FrameForm
from hwkd.core.streaming import Stream
from hwkd.deploy.to_c.layout import Places, channels_last, row_major
from hwkd.deploy.to_c.whole_quantiser import whole_quantiser
from hwkd.qgraph.ir import QuantTensor

RAW_FILE = "model_raw.c"
# Names inside that file.
PREPARE, PUT = "prepare", "put"
COMPARED = """
/* Sum of the squared differences between the prepared input of the last model_run_raw, as real
   numbers, and the outputs, one for each of its values. */
double model_squared_difference(void);
"""
# Preparing the input a second time takes less memory than keeping it beside the network's.
_COMPARE = """\
static const int8_t *compared; /* outputs, while the input is prepared to be compared with them */
static double squared;

double model_squared_difference(void)
{
    return squared;
}

"""
_COMPARES = """\
    if (compared != 0) {{
        const float output = MODEL_OUTPUT_SCALE * (float)(compared[i] - MODEL_OUTPUT_ZERO_POINT);
        double difference = (double)output - {value};
        difference = difference > {most} ? {most} : difference < -{most} ? -{most} : difference;
        squared += difference * difference;
        return;
    }}
"""
_AGAIN = """\
    squared = 0.0;
    compared = model_output();
    prepare_input(raw);
    compared = 0;
"""
# One frame is prepared where the first of an input lies, and taken from there.
_FRAMES = """
void model_frame(const int16_t *samples, int32_t apart, int8_t *row)
{
    features(samples, apart, 0);
    for (int32_t k = 0; k < MODEL_FRAME_VALUES; ++k)
        row[k] = model_input()[place(k * MODEL_FRAMES)];
}

void model_run_frames(const int8_t *rows, int32_t first)
{
    for (int32_t frame = 0; frame < MODEL_FRAMES; ++frame) {
        const int8_t *row = rows + (first + frame) % MODEL_FRAMES * MODEL_FRAME_VALUES;
        for (int32_t k = 0; k < MODEL_FRAME_VALUES; ++k)
            model_input()[place(k * MODEL_FRAMES + frame)] = row[k];
    }
    model_run();
}
"""

# Values of a frame come in their order, frame by frame.
_STREAM = """#include "model.h"

{quantised}
static int8_t row[MODEL_FRAME_VALUES];
static int32_t answers;

static void put(int32_t i, int32_t value)
{{
    const int32_t k = i / MODEL_FRAMES;
    row[k] = quantised(value);
    if (k + 1 == MODEL_FRAME_VALUES)
        answers = model_push(row);
}}

{source}
int32_t model_run_frame(const {c_type} *samples, int32_t apart)
{{
    features(samples, apart, 0);
    return answers;
}}

void model_run_raw(const {c_type} *raw)
{{
    model_init();
    prepare(raw);
}}
"""

# ARMv6-M has no tail calls: inlined, the features' stack would stay below that of the network.
_OWN_STACK = """\
#ifdef __GNUC__
__attribute__((noinline)) /* its stack is free again before the network runs */
#endif
"""
# Rounded as ONNX Runtime rounds.
_FLOAT_QUANTISER = """static int8_t quantised(float value)
{
    const float q = rintf(value / MODEL_INPUT_SCALE) + MODEL_INPUT_ZERO_POINT;
    return (int8_t)(q < -128.0f ? -128.0f : q > 127.0f ? 127.0f : q);
}
"""


class FeatureStack(NamedTuple):
    """What features take of the stack, without what libraries take below.

    Attributes:
        deepest_bytes: at most.
        held_bytes: while a network runs below the features of a stream.
    """

    deepest_bytes: int
    held_bytes: int


def _uncounted(core: str) -> int:
    """Return 0: the code that prepares floats is left out of predictions."""
    del core
    return 0


def _no_stack(core: str) -> FeatureStack:
    """Return none, likewise."""
    del core
    return FeatureStack(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawInput:
    """What turns raw values into the network's inputs, in C.

    Attributes:
        shape: of a raw input, without batch, channels first.
        source: `static void prepare(const C_TYPE *raw)`, which gives every input of the network,
            not yet quantised, to `put(position, value)`.
        headers: name -> text of files that it includes.
        is_whole: values are whole steps of 1/256, else floats.
        ram_bytes: static memory that it takes; None where it was not counted.
        table_bytes: constants, likewise.
        power_table: `powers` in C: 2^(i / 64) in steps of 1/32768; empty where floats are prepared.
        code_bytes: core, by the name of its file -> code of features; None where it was never
            measured.
        stack: core likewise -> what features take of it.
        frames: of samples whose features firmware may keep; None where it keeps samples.
        apply: the same in NumPy: raw values [n, *shape] to inputs of the network before int8.
    """

    shape: tuple[int, ...]
    c_type: str
    source: str
    headers: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False
    ram_bytes: int | None = None
    table_bytes: int | None = None
    power_table: str = ""
    code_bytes: Callable[[str], int | None] = _uncounted
    stack: Callable[[str], FeatureStack | None] = _no_stack
    frames: FrameForm | None = None
    apply: Callable[[NDArray[Any]], NDArray[np.float32]] | None = None

    @property
    def value_bytes(self) -> int:
        """Of one raw value."""
        name = {"float": "float32", "double": "float64"}.get(self.c_type)
        return np.dtype(name or self.c_type.removesuffix("_t")).itemsize

    @property
    def elements(self) -> int:
        """Number of raw values."""
        return math.prod(self.shape)

    @property
    def is_text(self) -> bool:
        """Whether raw values are UTF-8 bytes: nothing else that is bytes stays in whole numbers."""
        return self.is_whole and self.c_type == "uint8_t"

    @property
    def shape_text(self) -> str:
        """The shape, for people."""
        return " x ".join(map(str, self.shape))

    @property
    def declared(self) -> str:
        """What model.h says."""
        return f"""
/* {self._what_raw_is} */
#define MODEL_RAW_VALUES {self.elements}

/* One inference on raw values: prepares, quantises and orders them, then runs. Keeps nothing. */
void model_run_raw(const {self.c_type} *raw);
{self._frames_declared}"""

    @property
    def stream_declared(self) -> str:
        """What model.h says where the network takes frame after frame."""
        form = self.frames
        assert form is not None
        return f"""
/* Samples of a channel in one frame, and to the beginning of the next. */
#define MODEL_FRAME_LENGTH {form.length}
#define MODEL_FRAME_STRIDE {form.stride}

/* The features of one frame, pushed: sample t of channel c is samples[c * apart + t]. */
int32_t model_run_frame(const {self.c_type} *samples, int32_t apart);

/* {self._what_raw_is} */
#define MODEL_RAW_VALUES {self.elements}

/* A window by itself: forgets what was, then takes its frames one after another. */
void model_run_raw(const {self.c_type} *raw);
"""

    @property
    def _what_raw_is(self) -> str:
        if self.is_text:
            return "Bytes of UTF-8 that are read at most; a text ends at its first zero before."
        form = f"{self.shape_text}, channels first, as in the data"
        return f"Raw values that one inference takes: {form}."

    @property
    def _frames_declared(self) -> str:
        form = self.frames
        return (
            ""
            if form is None
            else f"""
/* The same, frame by frame: features of a frame of every channel, then one inference on the
   features of MODEL_FRAMES frames, of which `first` is the oldest; the rows are a ring. */
#define MODEL_FRAMES {form.count}
#define MODEL_FRAME_LENGTH {form.length}
#define MODEL_FRAME_STRIDE {form.stride}
#define MODEL_FRAME_VALUES {form.values}
void model_frame(const {self.c_type} *samples, int32_t apart, int8_t *row);
void model_run_frames(const int8_t *rows, int32_t first);
"""
        )

    def stream_file(self, target: QuantTensor) -> str:
        """Return the text of the file where the network takes frame after frame.

        Args:
            target: the network's input.
        """
        form = self.frames
        assert form is not None
        return _STREAM.format(
            quantised=whole_quantiser(target), source=self.source, c_type=self.c_type
        )

    def file(self, places: Places, target: QuantTensor, *, compares: float | None = None) -> str:
        """Return the text of the file that defines the function.

        Args:
            places: where each element of the network's input lies.
            target: the network's input.
            compares: most that counts of a difference between a prepared value and the output that
                repeats it; None compares nothing.
        """
        elements, channels = places.size, places.shape[1]
        table = ""
        if np.array_equal(places, row_major(places.shape)):
            place = "i"
        elif np.array_equal(places, channels_last(places.shape)):
            positions = elements // channels
            place = f"i % {positions} * {channels} + i / {positions}"
        else:
            place = "places[i]"
            numbers = ", ".join(str(int(number)) for number in places.reshape(-1))
            table = f"    static const int32_t places[{elements}] = {{{numbers}}};\n"
        put = whole_quantiser(target) if self.is_whole else _FLOAT_QUANTISER
        include = "" if self.is_whole else "#include <math.h>\n\n"
        c_type = "int32_t" if self.is_whole else "float"
        real = "value / 256.0" if self.is_whole else "value"
        before = "" if compares is None else _COMPARES.format(value=real, most=compares)
        return f"""{include}#include "model.h"

#ifdef MODEL_TRACE
void model_after_step(int32_t step, const int8_t *output, int32_t bytes);
#define MODEL_AFTER_FEATURES() model_after_step(MODEL_STEP_COUNT, model_input(), MODEL_INPUT_BYTES)
#else
#define MODEL_AFTER_FEATURES() ((void)0)
#endif

{_COMPARE if compares is not None else ""}{put}
static int32_t place(int32_t i)
{{
{table}    return {place};
}}

static void {PUT}(int32_t i, {c_type} value)
{{
{before}    model_input()[place(i)] = quantised(value);
}}

{self.source}
{_OWN_STACK}static void prepare_input(const {self.c_type} *raw)
{{
    {PREPARE}(raw);
}}

void model_run_raw(const {self.c_type} *raw)
{{
    prepare_input(raw);
    MODEL_AFTER_FEATURES();
    model_run();
{_AGAIN if compares is not None else ""}}}
{_FRAMES if self.frames is not None else ""}"""


def require_frames(raw: RawInput | None, stream: Stream) -> None:
    """Refuse features that a network cannot take frame by frame.

    Raises:
        ConfigError: if they are not made of one frame alone, or are not the network's columns.
    """
    if raw is None:
        return
    if raw.is_text:
        raise ConfigError("--streaming: a text is no signal that goes on; leave it out")
    form = raw.frames
    if form is None:
        raise ConfigError(
            "--streaming: the features of a frame do not follow from its samples alone, as behind "
            "a filter, pcen or deltas, or there are no frames; leave it out, or search with "
            "--features log-mel, mfcc or imu"
        )
    if (form.count, form.values) != (stream.window_frames, stream.frame_bytes):
        raise ConfigError(
            f"--streaming: the features are {form.count} frames of {form.values}, the network "
            f"reads {stream.window_frames} of {stream.frame_bytes}; leave it out"
        )
