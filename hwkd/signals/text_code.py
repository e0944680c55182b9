"""The C99 of a pipeline of texts: the step that reads bytes, and what scales its values."""

from __future__ import annotations

from collections.abc import Sequence

from hwkd.signals.source import PipelineC, headers_of
from hwkd.signals.step import Shape, Step, TextStep
from hwkd.signals.steps.channels import Picture
from hwkd.signals.steps.standardise import Standardise


def text_source(
    steps: Sequence[Step], shapes: Sequence[Shape], *, function: str, put: str
) -> PipelineC:
    """Return a step that reads UTF-8 bytes, and what standardises its values.

    Args:
        steps: these two, and what moves no value.
        shapes: before each and after the last.
        function: see `Pipeline.to_c`.
        put: likewise, of whole steps.
    """
    first, last, *rest = steps
    is_moved = any(not isinstance(step, Picture) for step in rest)
    if not (isinstance(first, TextStep) and isinstance(last, Standardise)) or is_moved:
        raise ValueError("texts take one step, and one that standardises")
    read = first.text_c("text_values", shape=shapes[0], put="text_value")
    codes = [last.value_c("standardise"), read]
    headers = headers_of(codes)
    text = f"""{"".join(f'#include "{name}"' + chr(10) for name in headers)}
{codes[0].text}
static void text_value(int32_t i, int32_t value)
{{
    {put}(i, standardise({"0" if shapes[1][0] == 1 else f"i / {shapes[1][1]}"}, value));
}}

{read.text}
/* A text of UTF-8 bytes ends at its first zero. */
static void {function}(const uint8_t *raw)
{{
    text_values(raw);
}}
"""
    return PipelineC(
        text=text,
        c_type="uint8_t",
        headers=headers,
        is_whole=True,
        ram_bytes=read.state_bytes,
        table_bytes=sum(code.table_bytes for code in codes),
    )
