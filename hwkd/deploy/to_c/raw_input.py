"""The function that firmware calls with raw values: prepared, quantised and put in their places."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwkd.deploy.to_c.layout import Places, channels_last, row_major

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
    if (compared != 0) {
        const float output = MODEL_OUTPUT_SCALE * (float)(compared[i] - MODEL_OUTPUT_ZERO_POINT);
        const double difference = (double)output - (double)value;
        squared += difference * difference;
        return;
    }
"""
_AGAIN = f"""\
    squared = 0.0;
    compared = model_output();
    {PREPARE}(raw);
    compared = 0;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawInput:
    """What turns raw values into the network's inputs, in C.

    Attributes:
        shape: of a raw input, without batch, channels first.
        source: `static void prepare(const C_TYPE *raw)`, which gives every input of the network,
            not yet quantised, to `put(position, value)`.
    """

    shape: tuple[int, ...]
    c_type: str
    source: str

    @property
    def elements(self) -> int:
        """Number of raw values."""
        return math.prod(self.shape)

    @property
    def shape_text(self) -> str:
        """The shape, for people."""
        return " x ".join(map(str, self.shape))

    @property
    def declared(self) -> str:
        """What model.h says."""
        return f"""
/* Raw values that one inference takes: {self.shape_text}, channels first, as in the data. */
#define MODEL_RAW_VALUES {self.elements}

/* One inference on raw values: prepares, quantises and orders them, then runs. Keeps nothing. */
void model_run_raw(const {self.c_type} *raw);
"""

    def file(self, places: Places, *, compares: bool = False) -> str:
        """Return the text of the file that defines the function.

        Args:
            places: where each element of the network's input lies.
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
        before = _COMPARES if compares else ""
        # Rounded as ONNX Runtime rounds.
        return f"""#include <math.h>

#include "model.h"

{_COMPARE if compares else ""}static void {PUT}(int32_t i, float value)
{{
{before}{table}    const float q = rintf(value / MODEL_INPUT_SCALE) + MODEL_INPUT_ZERO_POINT;
    model_input()[{place}] = (int8_t)(q < -128.0f ? -128.0f : q > 127.0f ? 127.0f : q);
}}

{self.source}
void model_run_raw(const {self.c_type} *raw)
{{
    {PREPARE}(raw);
    model_run();
{_AGAIN if compares else ""}}}
"""
