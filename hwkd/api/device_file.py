"""Text of device files: a commented new one, and a calibration written into an existing one."""

from __future__ import annotations

import re

import tomli_w

from hwkd.core.choices import Dtype
from hwkd.core.device import Device, LatencyModel

_BEGIN = "# --- calibrated by `hwkd devices calibrate`: {what} ---"
_END = "# --- end of calibration: {what} ---"


def new_device_text(name: str, like: Device) -> str:
    """Return a commented device file that starts from a packaged device's fits.

    Args:
        name: of the new device; other than letters, digits and dashes become dashes.
        like: device whose numbers and runtimes are copied.
    """
    safe = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "my-board"
    memory = ""
    if like.sram_bytes is not None and like.flash_bytes is not None:
        memory = _MEMORY.format(sram=like.sram_bytes, flash=like.flash_bytes)
    runtimes = "\n".join(
        f'[runtimes.{runtime}]\nfit = "{like.name}/{runtime}"\n'
        for runtime in sorted(like.runtimes)
        if like.runtimes[runtime].latency
    )
    return _TEMPLATE.format(
        name=safe, like=like.name, core=like.core, clock=like.clock_hz or 100e6, memory=memory,
        target=like.target_latency_s, runtime=like.default_runtime, runtimes=runtimes,
        memory_sources=_MEMORY_SOURCES if memory else "",
    )  # fmt: skip


def with_calibration(text: str, runtime: str, dtype: Dtype, model: LatencyModel) -> str:
    """Return a device file's text with the runtime's latency replaced by `model`.

    What the user wrote stays as it is; the calibration is a marked block at the end, and one of
    the same runtime and dtype that is there already is replaced.
    """
    what = f"{runtime}, {dtype}"
    begin, end = _BEGIN.format(what=what), _END.format(what=what)
    old = re.compile(rf"\n*{re.escape(begin)}\n.*?{re.escape(end)}\n?", re.DOTALL)
    kept = old.sub("\n", text).rstrip("\n")
    table = model.model_dump(mode="json", exclude_none=True)
    block = tomli_w.dumps({"runtimes": {runtime: {"latency": {dtype: table}}}})
    return f"{kept}\n\n{begin}\n{block.strip()}\n{end}\n"


_MEMORY = """sram_bytes = {sram}            # RAM that a network may use, in bytes
flash_bytes = {flash}          # flash for code and weights, in bytes
"""
_MEMORY_SOURCES = """sram_bytes = "FILL IN: datasheet and page"
flash_bytes = "FILL IN: datasheet and page"
"""
_TEMPLATE = """# A device for hwkd, started from {like}. Every number needs a line in [sources].
# Check it with `hwkd devices validate THIS-FILE`, use it with `hwkd search --device THIS-FILE`.
schema_version = 1
name = "{name}"
description = "one line for reports"
core = "{core}"                 # published fits of the same core count most in a calibration
board = "{name}"
clock_hz = {clock:.0f}          # plain hertz: 120 MHz is 120000000
{memory}target_latency_s = {target}     # default target of a search, in seconds
default_runtime = "{runtime}"

[sources]
clock_hz = "FILL IN: datasheet and page, or how the clock is set up"
{memory_sources}target_latency_s = "FILL IN: what your application needs"

# A runtime takes a published fit as it is until you calibrate it:
#   hwkd devices bench-kit --device THIS-FILE --out kit      writes models to time on your board
#   hwkd devices calibrate --device THIS-FILE --measurements kit/measurements.csv
# One measured model is enough for a first calibration. Optional keys of a runtime, each with its
# line in [runtimes.NAME.sources]: active_power_w (watts during an inference), cycles_scale.
{runtimes}"""
