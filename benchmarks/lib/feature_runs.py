"""Runs the C of several pipelines as one program, on this computer or on an emulated core."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.core_file import ICOUNT_SHIFT, Core
from hwkd.deploy.toolchain import Tools, find_host_compiler, run_tool
from hwkd.deploy.verify_run import harness_text, write_link_script
from hwkd.signals.features import FittedFeatures, features_named
from hwkd.signals.pipeline import Pipeline, applied
from hwkd.signals.step import TextStep
from hwkd.signals.steps.standardise import Standardise
from hwkd.signals.tried import tried_signals, tried_texts

_FLAGS = ("-std=gnu99", "-O2", "-Wall", "-I.")
_FLASH_BYTES, _RAM_BYTES, _STACK_BYTES = 512 * 1024, 480 * 1024, 4096


@dataclass(frozen=True, kw_only=True)
class FeatureRun:
    """One pipeline with signals, and what its C made of them.

    Attributes:
        pipeline: in whole numbers.
        signals: int16 [n, channels, time], or uint8 of texts.
        found: int16 [n, features]: what the C gave, in steps of 1/256.
        instructions: of each signal, by the emulated core; zeros on this computer.
        code_bytes: of the function that everything was inlined into, and of the library that it
            calls; but for memcpy and memset, which networks have.
    """

    pipeline: Pipeline
    signals: NDArray[Any]
    found: NDArray[np.int16]
    instructions: NDArray[np.float64]
    code_bytes: int

    @property
    def differing(self) -> int:
        """How many features are not those of NumPy."""
        expected = self.pipeline.apply(self.signals).reshape(len(self.signals), -1) * 256
        return int((self.found != expected).sum())

    @property
    def frames(self) -> int:
        """How many frames were computed, of all signals."""
        return len(self.signals) * int(self.pipeline.apply(self.signals[:1]).shape[-1])


def pipeline_of(
    text: str,
    shape: tuple[int, int],
    rate_hz: float,
    *,
    count: int,
    given: NDArray[Any] | None = None,
) -> Any:
    """Return a pipeline with signals that try it.

    Args:
        text: features with settings.
        shape: channels and samples.
        rate_hz: samples per second.
        count: of signals.
        given: which it is fitted to; None makes some.
    """
    recipe = features_named(text)
    front = recipe.steps(shape, rate_hz)
    signals: NDArray[Any] = tried_signals(count, *shape)
    if isinstance(front[0], TextStep):
        signals = tried_texts(count, shape[1])
    signals = signals if given is None else given
    if isinstance(recipe, FittedFeatures):
        front = recipe.fitted(signals, np.arange(len(signals)) % 2)
    values = applied(front, signals).astype(np.float64)
    fitted = Standardise.of(values.mean(axis=(0, 2)).tolist(), values.std(axis=(0, 2)).tolist())
    pipeline = Pipeline(
        steps=(*front, fitted, *recipe.after(shape)),
        raw_shape=shape, raw_dtype=signals.dtype.name, raw_low=-32768.0, raw_high=32767.0,
    )  # fmt: skip
    return pipeline, signals


def run_features(
    cases: Sequence[tuple[Pipeline, NDArray[Any]]], core: Core | None, tools: Tools | None
) -> tuple[FeatureRun, ...]:
    """Compile all pipelines into one program and run each on its signals.

    Args:
        cases: pipelines with their signals.
        core: None is this computer.
        tools: of the core; None likewise.
    """
    with TemporaryDirectory(prefix="hwkd-features-") as place:
        folder = Path(place)
        names = _write(cases, folder)
        program = _link(names, folder, core, tools)
        (folder / "inputs.bin").write_bytes(b"".join(each.tobytes() for _, each in cases))
        if core is None or tools is None:
            run_tool([program], folder=folder)
            sizes = [0] * len(cases)
        else:
            command: list[str | Path] = [
                tools.emulator, "-M", core.machine, "-nographic", "-monitor", "none",
                "-serial", "none", "-icount", f"shift={ICOUNT_SHIFT},align=off,sleep=off",
                "-semihosting-config", "enable=on,target=native", "-kernel", program,
            ]  # fmt: skip
            run_tool(command, folder=folder)
            sizes = [_text_bytes(folder, i, core, tools) for i in range(len(cases))]
        written = (folder / "outputs.bin").read_bytes()
    return _read(cases, written, sizes, core)


def _read(
    cases: Sequence[tuple[Pipeline, NDArray[Any]]],
    written: bytes,
    sizes: Sequence[int],
    core: Core | None,
) -> tuple[FeatureRun, ...]:
    found, at = [], 0
    for (pipeline, signals), code_bytes in zip(cases, sizes, strict=True):
        elements = pipeline.apply(signals[:1]).size
        fields = np.dtype([("values", "<i2", (elements,)), ("ticks", "<u4")])
        rows = np.frombuffer(written, fields, count=len(signals), offset=at)
        at += rows.nbytes
        counts = [0.0 if core is None else float(core.instructions(int(t))) for t in rows["ticks"]]
        found.append(
            FeatureRun(
                pipeline=pipeline, signals=signals, found=rows["values"],
                instructions=np.array(counts), code_bytes=code_bytes,
            )
        )  # fmt: skip
    return tuple(found)


def _write(cases: Sequence[tuple[Pipeline, NDArray[Any]]], folder: Path) -> list[str]:
    """Write one source for each pipeline and the program that calls them; return all sources."""
    calls, declared = [], []
    for number, (pipeline, signals) in enumerate(cases):
        made = pipeline.to_c("prepare", put="put")
        for name, text in made.headers.items():
            (folder / name).write_text(text)
        elements = pipeline.apply(signals[:1]).size
        (folder / f"features_{number}.c").write_text(
            f"""#include <stdint.h>
extern {made.c_type} raw[];
extern int16_t out[];
static void put(int32_t i, int32_t value) {{ out[i] = (int16_t)value; }}
{made.text}
void features_of_{number}(void) {{ prepare(raw); }}
"""
        )
        declared.append(f"void features_of_{number}(void);\n")
        calls.append(
            f"    run(features_of_{number}, {len(signals)}, {signals[0].nbytes}, {2 * elements});\n"
        )
    most = max(signals[0].nbytes for _, signals in cases)
    largest = max(pipeline.apply(signals[:1]).size for pipeline, signals in cases)
    (folder / "model.h").write_text("#include <stdint.h>\nvoid model_run(void);\n")
    (folder / "program.c").write_text(
        f"""#include "harness.h"
#include "model.h"
{"".join(declared)}
int16_t raw[{(most + 1) // 2}], out[{largest + 2}];
static void (*function)(void);
void model_run(void) {{ function(); }}
static void run(void (*chosen)(void), int count, uint32_t read, uint32_t written)
{{
    function = chosen;
    for (int i = 0; i < count; i++) {{
        platform_read(raw, read);
        const uint32_t before = platform_ticks(), start = platform_ticks();
        platform_run_model();
        const uint32_t ticks = platform_ticks() - start - (start - before);
        platform_write(HARNESS_OUTPUTS, out, written);
        platform_write(HARNESS_OUTPUTS, &ticks, sizeof ticks);
    }}
}}
int harness_main(void)
{{
{"".join(calls)}    return 0;
}}
"""
    )
    (folder / "harness.h").write_text(harness_text("harness.h"))
    return ["program.c", *(f"features_{number}.c" for number in range(len(cases)))]


def _link(names: Sequence[str], folder: Path, core: Core | None, tools: Tools | None) -> Path:
    platform = "platform_host.c" if core is None else "platform_cortex_m.c"
    (folder / platform).write_text(harness_text(platform))
    program = folder / "program.elf"
    if core is None or tools is None:
        command: list[str | Path] = [
            *find_host_compiler(),
            *_FLAGS,
            *names,
            platform,
            "-lm",
            "-o",
            program,
        ]
        run_tool(command, folder=folder)
        return program
    write_link_script(folder / "p.ld", core, (_FLASH_BYTES, _RAM_BYTES, _STACK_BYTES))
    counter = [f"-D{name}={value}" for name, value in core.counter.items()]
    flags = [*core.flags, *_FLAGS, *counter, "-ffunction-sections"]
    run_tool([tools.compiler, *flags, "-c", *names, platform], folder=folder)
    objects = [re.sub(r"\.c$", ".o", name) for name in (*names, platform)]
    link = [*core.flags, "-nostartfiles", "-Wl,--gc-sections", "-Tp.ld", "-lm", "-o", program]
    run_tool([tools.compiler, *objects, *map(str, link)], folder=folder)
    return program


def _text_bytes(folder: Path, number: int, core: Core, tools: Tools) -> int:
    """Return bytes of code of one pipeline, linked alone, without constants."""
    given = ("raw", "out", "memcpy", "memset")
    known = [f"-Wl,--defsym={name}=0x20000000" for name in given]
    link = ["-nostartfiles", "-Wl,--gc-sections", f"-Wl,-efeatures_of_{number}", *known]
    program = folder / f"alone_{number}.elf"
    flags = [*core.flags, f"features_{number}.o", *link, "-o", str(program)]
    run_tool([tools.compiler, *flags], folder=folder)
    listing = run_tool([tools.size, "-A", program], folder=folder)
    parts = [line.split() for line in listing.splitlines() if line.startswith(".text")]
    return sum(int(one[1]) for one in parts)
