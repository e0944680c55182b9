"""The function that firmware calls with raw values: prepared, quantised and put in their places."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwkd.deploy.to_c.layout import channels_last, row_major
from hwkd.deploy.to_c.project import Project

# Function and files that turn a raw input into the network's, before quantisation.
PREPROCESS = "model_preprocess"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """C of `void model_preprocess(const TYPE *raw, float *input)`.

    Attributes:
        header: text that declares it.
        source: text that defines it.
        c_type: of a raw value.
    """

    header: str
    source: str
    c_type: str


def raw_input_files(project: Project, preprocessing: Preprocessing) -> dict[str, str]:
    """Return name -> text of `void model_set_raw_input(const TYPE *raw)` and what it calls.

    It fills `model_input()`: `model_preprocess` turns raw values into the network's, which are
    rounded as ONNX Runtime rounds them and lie where the network reads them.

    Args:
        project: whose input it fills.
        preprocessing: of its raw inputs.
    """
    shape = project.input.shape[1:]
    elements, channels = math.prod(shape), shape[0]
    places = project.arranged.places[project.input.name]
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
    signature = f"void model_set_raw_input(const {preprocessing.c_type} *raw)"
    header = f"""#ifndef MODEL_RAW_INPUT_H
#define MODEL_RAW_INPUT_H

#include <stdint.h>

/* Fills model_input() from {elements} raw values, {" x ".join(map(str, shape))} with the channels
   first. Keeps {4 * elements} bytes of RAM of its own. */
{signature};

#endif
"""
    source = f"""#include "model_raw_input.h"

#include <math.h>

#include "model.h"
#include "model_preprocess.h"

{signature}
{{
    static float values[{elements}];
{table}    int8_t *input = model_input();
    model_preprocess(raw, values);
    for (int32_t i = 0; i < {elements}; i++) {{
        const float q = rintf(values[i] / MODEL_INPUT_SCALE) + MODEL_INPUT_ZERO_POINT;
        input[{place}] = (int8_t)(q < -128.0f ? -128.0f : q > 127.0f ? 127.0f : q);
    }}
}}
"""
    return {
        f"{PREPROCESS}.h": preprocessing.header,
        f"{PREPROCESS}.c": preprocessing.source,
        "model_raw_input.h": header,
        "model_raw_input.c": source,
    }
