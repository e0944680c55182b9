"""The C99 of a pipeline: its steps' functions and what calls them, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType

from hwkd.core.listening import FrameForm
from hwkd.signals.step import ArrayStep, CCode, RowStep, Shape, Step, StreamStep
from hwkd.signals.steps.frames import Frames
from hwkd.signals.steps.standardise import Standardise

_C_TYPES = MappingProxyType(
    {
        "bool": "uint8_t", "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t",
        "uint64": "uint64_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t",
        "int64": "int64_t", "float16": "float", "float32": "float", "float64": "double",
    }
)  # fmt: skip
_FRAME = """\
/* The features of one frame by itself; sample t of channel c is samples[c * apart + t]. */
static inline void features(const int16_t *samples, int32_t apart, int32_t frame)
{{
    for (int32_t at = 0; at < {length}; at += {most}) {{
        const int32_t left = {length} - at, count = left < {most} ? left : {most};
        more(samples + at, apart, at, count);
    }}
    features_after(held[0], {length}, frame);
}}
"""
# Samples that are passed on at once where nothing cuts a signal into frames.
_BLOCK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineC:
    """A pipeline in C99.

    Attributes:
        text: static functions.
        c_type: of a raw value.
        headers: name -> text of files that it includes.
        is_whole: `put` takes whole steps of 1/256, else floats.
        ram_bytes: static memory; None where it was not counted.
        table_bytes: constants, likewise.
        frames: `features(samples, apart, frame)` remembers nothing from frame to frame; None where
            it does, or where there is no such function.
    """

    text: str
    c_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False
    ram_bytes: int | None = None
    table_bytes: int | None = None
    frames: FrameForm | None = None


def array_source(
    steps: Sequence[ArrayStep], shapes: Sequence[Shape], *, function: str, put: str, dtype: str
) -> PipelineC:
    """Return steps that take whole arrays, one after another.

    Args:
        steps: at least one.
        shapes: before each and after the last.
        function: see `Pipeline.to_c`.
        put: likewise.
        dtype: of raw values.
    """
    raw_type, functions, calls, given = _C_TYPES.get(dtype, "double"), [], [], "raw"
    for number, step in enumerate(steps, start=1):
        takes = put
        if number < len(steps):
            takes = f"put{number}"
            functions.append(
                f"static float after{number}[{math.prod(shapes[number])}];\n\n"
                f"static void {takes}(int32_t i, float value)\n"
                f"{{\n    after{number}[i] = value;\n}}\n"
            )
        c_type = raw_type if number == 1 else "float"
        name = f"{step.kind}{number}"
        functions.append(step.to_c(name, c_type=c_type, shape=shapes[number - 1], put=takes))
        calls.append(f"    {name}({given});\n")
        given = f"after{number}"
    whole = f"static void {function}(const {raw_type} *raw)\n{{\n{''.join(calls)}}}\n"
    return PipelineC(text="\n".join((*functions, whole)), c_type=raw_type)


def signal_source(
    steps: Sequence[Step], shapes: Sequence[Shape], *, function: str, put: str
) -> PipelineC:
    """Return steps that make features of int16 samples, one frame after another.

    Only what one frame needs is kept: samples come from where they lie, unless filters come first.

    Args:
        steps: streams, frames, rows, and what standardises; any part but the last may be missing.
        shapes: before each and after the last.
        function: see `Pipeline.to_c`.
        put: likewise, of whole steps.
    """
    plan = _Plan.of(steps, shapes)
    streams = _stream_parts(plan)
    # Steps of samples that remember nothing can make a frame by itself.
    is_each = bool(streams.codes) and plan.factor == 1 and not any(c.reset for c in streams.codes)
    rows = _row_parts(plan, put, "features_after" if streams.codes else "features")
    codes = [*streams.codes, *rows.codes]
    headers = headers_of(codes)
    resets = "".join(f"    {code.reset}\n" for code in codes if code.reset)
    text = "\n".join(
        (
            "".join(f'#include "{name}"\n' for name in headers),
            *(code.text for code in codes),
            rows.text,
            streams.text,
            _FRAME.format(length=plan.length, most=min(plan.length, _BLOCK)) if is_each else "",
            f"/* Back to the start of a signal. */\nstatic void features_reset(void)\n"
            f"{{\n{resets}}}\n",
            f"static void {function}(const int16_t *raw)\n{{\n    features_reset();\n"
            f"{streams.calls}}}\n",
        )
    )
    return PipelineC(
        text=text,
        c_type="int16_t",
        headers=headers,
        is_whole=True,
        ram_bytes=streams.ram_bytes + rows.ram_bytes + sum(code.state_bytes for code in codes),
        table_bytes=sum(code.table_bytes for code in codes),
        frames=None if resets or (plan.streams and not is_each) else plan.frame_form,
    )


def headers_of(codes: Sequence[CCode]) -> dict[str, str]:
    """Return name -> text of the files that code includes."""
    names = dict.fromkeys(["hwkd_signal.h", *(name for code in codes for name in code.headers)])
    own = {name: (files("hwkd.signals") / "c" / name).read_text("utf-8") for name in names}
    return own | {name: text for code in codes for name, text in code.made.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The steps by what they take.

    Attributes:
        streams: with the number of their channels.
        rows: with the shape of their input.
        standardise: the last that computes.
        raw_time: samples of a raw channel.
        factor: raw samples for one of a frame.
        channels: of a frame.
        frames: number of them.
        length: samples of one.
        stride: to the next.
        values: of a row of features.
        is_framed: rows become channels; else a frame is a part of a channel.
    """

    streams: tuple[tuple[StreamStep, int], ...]
    rows: tuple[tuple[RowStep, Shape], ...]
    standardise: Standardise
    raw_time: int
    factor: int
    channels: int
    frames: int
    length: int
    stride: int
    values: int
    is_framed: bool

    @property
    def frame_form(self) -> FrameForm | None:
        """What a frame becomes; None where a signal is not cut into some."""
        if not self.is_framed:
            return None
        return FrameForm(
            length=self.length,
            stride=self.stride,
            count=self.frames,
            values=self.channels * self.values,
        )

    @classmethod
    def of(cls, steps: Sequence[Step], shapes: Sequence[Shape]) -> _Plan:
        pairs = list(zip(steps, shapes, strict=False))
        streams = tuple((s, shape[0]) for s, shape in pairs if isinstance(s, StreamStep))
        rows = tuple((s, shape) for s, shape in pairs if isinstance(s, RowStep))
        cut = next((step for step in steps if isinstance(step, Frames)), None)
        channels, time = shapes[len(streams)]
        if cut is None:
            length = next(n for n in range(min(_BLOCK, time), 0, -1) if time % n == 0)
            cut = Frames(length=length, stride=length)
        frames = cut.output_shape((channels, time))[1]
        last = rows[-1][0].output_shape(rows[-1][1])[-1] if rows else cut.length
        return cls(
            streams=streams,
            rows=rows,
            standardise=next(step for step in steps if isinstance(step, Standardise)),
            raw_time=shapes[0][1],
            factor=math.prod(step.factor for step, _ in streams),
            channels=channels,
            frames=frames,
            length=cut.length,
            stride=cut.stride,
            values=last,
            is_framed=bool(rows),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Text with the steps that it calls and the static memory that it has."""

    codes: tuple[CCode, ...]
    text: str
    ram_bytes: int
    calls: str = ""


def _row_parts(plan: _Plan, put: str, function: str) -> _Parts:
    """Return `function(samples, apart, frame)`: every channel of one frame, put in its place."""
    codes, calls = [], []
    words = {"rows_a": 0, "rows_b": 0}
    at, c_type = "samples + channel * apart", "int16_t"
    for number, (step, shape) in enumerate(plan.rows, start=1):
        to = at if step.in_place else ("rows_b" if at == "rows_a" else "rows_a")
        size = step.output_shape(shape)[-1]
        words[to] = max(words[to], size * step.words)
        name = f"{step.kind.replace('-', '_')}_{number}"
        codes.append(step.row_c(name, c_type=c_type, shape=shape))
        calls.append(f"        {name}({at}, {to}, channel);\n")
        at, c_type = to, "int32_t"
    codes.append(plan.standardise.value_c("standardise"))
    if plan.is_framed:
        read = f"{at}[i]"
        channel, position = f"channel * {plan.values} + i", f"k * {plan.frames} + frame"
    else:
        read = f"({at})[i]"
        channel = "channel"
        position = f"k * {plan.frames * plan.length} + frame * {plan.length} + i"
    buffers = "".join(f"static int32_t {name}[{n}];\n" for name, n in words.items() if n)
    text = f"""{buffers}
/* One frame of every channel; sample t of channel c is samples[c * apart + t]. */
static void {function}(const int16_t *samples, int32_t apart, int32_t frame)
{{
    for (int32_t channel = 0; channel < {plan.channels}; ++channel) {{
{"".join(calls)}        for (int32_t i = 0; i < {plan.values}; ++i) {{
            const int32_t k = {channel};
            {put}({position}, standardise(k, {read}));
        }}
    }}
}}
"""
    return _Parts(codes=tuple(codes), text=text, ram_bytes=4 * sum(words.values()))


def _stream_parts(plan: _Plan) -> _Parts:
    """Return what gets frames out of raw samples, through the filters where there are some."""
    if not plan.streams:
        calls = f"""    for (int32_t frame = 0; frame < {plan.frames}; ++frame)
        features(raw + frame * {plan.stride}, {plan.raw_time}, frame);
"""
        return _Parts(codes=(), text="", ram_bytes=0, calls=calls)
    most, at, apart = min(plan.length, _BLOCK), "raw", "apart"
    factor = plan.factor
    codes: list[CCode] = []
    calls_of: list[str] = []
    buffers: list[str] = []
    ram_bytes = 2 * plan.channels * plan.length
    for number, (step, channels) in enumerate(plan.streams, start=1):
        name = f"{step.kind.replace('-', '_')}_{number}"
        codes.append(step.stream_c(name, channels=channels, most=most * factor))
        count = f"count * {factor}"
        factor //= step.factor
        outputs = step.output_shape((channels, step.factor))[0]
        to, to_apart = f"part{number}[0]", str(most * factor)
        if number == len(plan.streams):
            to, to_apart = "held[0] + at", str(plan.length)
        else:
            buffers.append(f"static int16_t part{number}[{outputs}][{most * factor}];\n")
            ram_bytes += 2 * outputs * most * factor
        calls_of.append(f"    {name}({at}, {apart}, {to}, {to_apart}, {count});\n")
        at, apart = to, to_apart
    text = f"""{"".join(buffers)}static int16_t held[{plan.channels}][{plan.length}];

/* Raw samples of every channel, filtered to `count` places from `at` on of the frame. */
static void more(const int16_t *raw, int32_t apart, int32_t at, int32_t count)
{{
{"".join(calls_of)}}}
"""
    shift = ""
    if plan.stride < plan.length:
        kept = 2 * (plan.length - plan.stride)
        shift = f"""        for (int32_t channel = 0; frame && channel < {plan.channels}; ++channel)
            memmove(held[channel], held[channel] + {plan.stride}, {kept});
"""
    start = f"frame ? {plan.length - plan.stride} : 0"
    calls = f"""    for (int32_t frame = 0; frame < {plan.frames}; ++frame) {{
{shift}        for (int32_t at = {start}; at < {plan.length}; at += {most}) {{
            const int32_t left = {plan.length} - at, count = left < {most} ? left : {most};
            more(raw + (frame * {plan.stride} + at) * {plan.factor}, {plan.raw_time}, at, count);
        }}
        features_after(held[0], {plan.length}, frame);
    }}
"""
    return _Parts(codes=tuple(codes), text=text, ram_bytes=ram_bytes, calls=calls)
