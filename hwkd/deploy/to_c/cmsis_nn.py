"""Arm's CMSIS-NN as an alternative to our own kernels: where its sources are, what it needs.

The sources are never part of hwkd. They come from the optional package `bakenn`, which carries the
int8 subset of CMSIS-NN 4.0.0 with Arm's licence, and are copied into the exported folder.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.c_text import Constants
from hwkd.deploy.to_c.layout import Places
from hwkd.deploy.to_c.pack import rows_of_inputs
from hwkd.qgraph.ir import Conv, FullyConnected, QuantTensor
from hwkd.qgraph.requantise import Rounding, accumulator_scales, q31_multiplier

# What CMSIS-NN itself defines where it is built for a computer, whose compiler has no arm_acle.h.
CMSIS_HOST_FLAGS = ("-D__GNUC_PYTHON__", "-D__RESTRICT=__restrict")


_PACKAGE = "bakenn"
_FOLDER = ("backend", "cmsis_nn", "vendor")
_INT16_BYTES = 2
# CH_IN_BLOCK_MVE in arm_nnsupportfunctions.h.
_MVE_CHANNELS = 124


def takes_cmsis(op: Conv | FullyConnected, rows: int) -> str | None:
    """Return the wrapper that computes an operator, or None where CMSIS-NN has none.

    Args:
        op: the operator, its output not limited by a fused activation.
    """
    if op.output_range != (-128, 127) or op.weight_zeros is not None:
        return None
    if isinstance(op, FullyConnected):
        return "fully_connected" if rows == 1 and len(set(op.weight_scales)) == 1 else "conv"
    if op.groups == 1:
        return "conv"
    channels, per_group = op.weights.shape[:2]
    is_depthwise = per_group == 1 and channels % op.groups == 0
    return "depthwise" if is_depthwise else None


def cmsis_fields(
    constants: Constants,
    suffix: int,
    op: Conv | FullyConnected,
    places: Places,
    tensors: tuple[QuantTensor, QuantTensor],
    rounding: Rounding,
) -> dict[str, str | int]:
    """Define weights, biases and multipliers; return the fields of `hwkd_cmsis_layer`."""
    source, target = tensors
    if isinstance(op, Conv) and op.groups > 1:
        weights = op.weights[:, 0].transpose(1, 2, 0).reshape(-1)
    else:
        weights = rows_of_inputs(op, places).reshape(-1)
    scales = accumulator_scales(op, source, target, rounding)
    pairs = [q31_multiplier(scale) for scale in scales]
    return {
        "weights": constants.int8(f"weights_{suffix}", weights),
        "bias": constants.int32(f"bias_{suffix}", op.bias),
        "multipliers": constants.int32(f"multipliers_{suffix}", np.array([m for m, _ in pairs])),
        "shifts": constants.int32(f"shifts_{suffix}", np.array([e for _, e in pairs])),
        "in_zero": source.zero_point,
        "out_zero": target.zero_point,
    }


def cmsis_scratch_bytes(wrapper: str, op: Conv | FullyConnected) -> dict[str, int]:
    """Return the working memory that each instruction set's kernel asks for.

    Source: the `*_get_buffer_size` functions of CMSIS-NN 4.0.0.
    """
    if wrapper == "fully_connected" or isinstance(op, FullyConnected):
        return {"portable": 0, "dsp": 0, "helium": 0}
    taps = op.kernel[0] * op.kernel[1]
    if wrapper == "depthwise":
        dsp = op.weights.shape[0] * taps * _INT16_BYTES
        return {"portable": 0, "dsp": dsp, "helium": 4 * _MVE_CHANNELS * taps}
    depth = int(op.weights[0].size)
    both = 2 * depth * _INT16_BYTES
    return {"portable": both, "dsp": both, "helium": 4 * (-(-depth // 8) * 8)}


def cmsis_flags(rounding: Rounding) -> tuple[str, ...]:
    """Return compiler options that make CMSIS-NN round like the rest of the network."""
    single = ("-DCMSIS_NN_USE_SINGLE_ROUNDING",) if rounding == "q31" else ()
    return ("-DBAKENN_CMSIS_NN_BUILTIN_MEMORY", *single)


def cmsis_files() -> dict[str, str]:
    """Return file name -> text of the sources, headers, licence and provenance.

    Raises:
        ExportError: if the optional package is missing.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ExportError(
            "CMSIS-NN is not installed; run `pip install 'hwkd[cmsis-nn]'` or leave out "
            "`--kernels cmsis-nn`"
        )
    root = Path(spec.submodule_search_locations[0]).joinpath(*_FOLDER)
    wanted = [
        path
        for folder in ("cmsis_nn", "cmsis_core")
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in (".c", ".h") and "Pooling" not in str(path)
    ]
    texts = {path.name: path.read_text(encoding="utf-8") for path in wanted}
    for name, path in (
        ("CMSIS-NN-LICENSE.txt", root / "cmsis_nn" / "LICENSE.txt"),
        ("CMSIS-NN-PROVENANCE.md", root / "cmsis_nn" / "BAKENN_PROVENANCE.md"),
    ):
        texts[name] = path.read_text(encoding="utf-8")
    return texts
