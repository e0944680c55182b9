"""Arm's CMSIS-DSP: its Python package, and the few of its C sources that features need as one file.

The package of PyPI is compiled when it is installed and leaves its C behind, so a folder of the
sources is named by the environment. They are read, cut down and written into exported folders;
nothing of Arm's is part of hwkd.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hwkd.core.errors import ConfigError

VARIABLE = "HWKD_CMSIS_DSP"
HEADER = "hwkd_cmsis_dsp.h"
_VERSION = "1.10.3"
_HEADERS = ("dsp/transform_functions.h", "arm_common_tables.h")
_SOURCES = (
    "StatisticsFunctions/arm_absmax_q15",
    "FastMathFunctions/arm_divide_q15",
    "FastMathFunctions/arm_sqrt_q31",
    "FastMathFunctions/arm_vlog_q31",
    "BasicMathFunctions/arm_abs_q15",
    "BasicMathFunctions/arm_scale_q15",
    "BasicMathFunctions/arm_mult_q15",
    "BasicMathFunctions/arm_dot_prod_q15",
    "BasicMathFunctions/arm_scale_q31",
    "BasicMathFunctions/arm_offset_q31",
    "BasicMathFunctions/arm_shift_q15",
    "BasicMathFunctions/arm_shift_q31",
    "ComplexMathFunctions/arm_cmplx_mag_q15",
    "MatrixFunctions/arm_mat_vec_mult_q15",
    "TransformFunctions/arm_bitreversal",
    "TransformFunctions/arm_bitreversal2",
    "TransformFunctions/arm_cfft_radix4_q15",
    "TransformFunctions/arm_cfft_q15",
    "TransformFunctions/arm_rfft_q15",
    "TransformFunctions/arm_mfcc_q15",
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)".*$', re.MULTILINE)
# As the Python package is built: plain C without intrinsics, so that every core computes alike.
_BEGINS = """\
/* Parts of Arm's CMSIS-DSP %s, SPDX-License-Identifier: Apache-2.0, put together by hwkd.
 * Copyright (C) 2010-2023 ARM Limited or its affiliates. All rights reserved. Changes: one file,
 * without comments, other sizes of the transform and intrinsics. */
#ifndef HWKD_CMSIS_DSP_H
#define HWKD_CMSIS_DSP_H
#pragma GCC system_header
#ifndef __GNUC_PYTHON__
#define __GNUC_PYTHON__
#endif
#define ARM_MATH_AUTOVECTORIZE
#define DISABLEFLOAT16
"""


@cache
def wrapper() -> Any:
    """Return Arm's Python package.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        return importlib.import_module("cmsisdsp")
    except ImportError:
        raise ConfigError(
            "--features cmsis-dsp: Arm's CMSIS-DSP is not installed; run "
            "`pip install 'hwkd[signals]'`, which needs a C compiler, or take --features mfcc"
        ) from None


def sources() -> Path:
    """Return the folder of Arm's sources.

    Raises:
        ConfigError: if none is named, or what is named is another.
    """
    given = os.environ.get(VARIABLE, "")
    get = f"`pip download --no-deps --no-build-isolation cmsisdsp=={_VERSION}` and unpack it"
    if not given:
        raise ConfigError(
            f"--features cmsis-dsp: {VARIABLE} names no folder of Arm's C sources, which exported "
            f"C is made of and the installed package leaves out; {get}"
        )
    missing = [name for name in _SOURCES if not (Path(given) / "Source" / f"{name}.c").is_file()]
    if missing:
        raise ConfigError(
            f"--features cmsis-dsp: {VARIABLE}={given} has no Source/{missing[0]}.c; {get}"
        )
    return Path(given)


def tables(size: int) -> tuple[str, ...]:
    """Return the names of Arm's tables for real spectra of a size."""
    points = size // 2
    return (
        "sqrt_initial_lut_q31", "realCoefAQ15", "realCoefBQ15", f"twiddleCoef_{points}_q15",
        f"armBitRevIndexTable_fixed_{points}",
    )  # fmt: skip


def header(size: int) -> str:
    """Return one C header with `arm_mfcc_q15` and all that it calls, of spectra of a size.

    Raises:
        ConfigError: see `sources`.
    """
    root, seen = sources(), set[Path]()
    types = [_inlined(root / "Include" / name, root, seen) for name in _HEADERS]
    code = [_inlined(root / "Source" / f"{name}.c", root, seen) for name in _SOURCES]
    parts = [*types, *_tables(root, tables(size)), *code]
    text = re.sub(r"\n\s*\n+", "\n", _without_comments("\n".join(parts)))
    return f"{_BEGINS % _VERSION}{text}\n#endif\n"


def _inlined(path: Path, root: Path, seen: set[Path]) -> str:
    """Return a file with every file of Arm's that it includes in its place, each once."""
    seen.add(path.resolve())

    def text_of(include: re.Match[str]) -> str:
        for folder in (path.parent, root / "Include", root / "PrivateInclude"):
            other = (folder / include.group(1)).resolve()
            if other.is_file():
                return "" if other in seen else _inlined(other, root, seen)
        return include.group(0)  # of other processors and compilers, behind an #if

    return _INCLUDE.sub(text_of, path.read_text(encoding="utf-8-sig", errors="replace"))


def _tables(root: Path, names: tuple[str, ...]) -> Iterator[str]:
    text = _without_comments(
        (root / "Source" / "CommonTables" / "arm_common_tables.c").read_text("utf-8-sig")
    )
    for name in names:
        defined = re.search(rf"^\s*const\b[^={{;]*\b{name}\[[^;]*?\}};", text, re.MULTILINE)
        if defined is None:
            raise ConfigError(
                f"--features cmsis-dsp: {VARIABLE}={root} has no table {name}; take cmsisdsp "
                f"{_VERSION}"
            )
        yield f"{defined.group(0).strip()}\n"


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
