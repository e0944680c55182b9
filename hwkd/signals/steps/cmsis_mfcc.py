"""Cepstral coefficients as Arm's CMSIS-DSP computes them, for firmware that has it already."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.core.errors import ConfigError
from hwkd.signals.cmsis_dsp import HEADER, header, wrapper
from hwkd.signals.step import CCode, Count, Hertz, Shape, table_c

# Of Arm's tables for spectra, the same for every size, and beside these.
_REAL_TABLES_BYTES, _ROOT_TABLE_BYTES = 2 * 2 * 8192, 4 * 32
_MOST = 32767


@dataclass(frozen=True, slots=True, kw_only=True)
class MfccTables:
    """Constants of `arm_mfcc_q15`.

    Attributes:
        window: shape [size], in steps of 1/32768, as the others of int16.
        first: of each filter's frequencies, shape [bins].
        counts: of them, likewise.
        weights: of all filters, one after another.
        cosines: shape [coefficients x bins].
    """

    window: NDArray[np.int16]
    first: NDArray[np.uint32]
    counts: NDArray[np.uint32]
    weights: NDArray[np.int16]
    cosines: NDArray[np.int16]


@STEPS.register("cmsis-mfcc")
@dataclass(frozen=True, slots=True, kw_only=True)
class CmsisMfcc:
    """Arm's `arm_mfcc_q15`: window, spectrum, mel filters, logarithm, cosines, in 16 bits.

    Attributes:
        length: samples of a frame; zeros behind them fill the spectrum.
        size: of the spectrum, a power of two, 32 to 4096.
        bins: mel filters.
        coefficients: that are kept, 1 to the number of bins.
        low_hz: where the first filter begins.
        high_hz: where the last ends.
        rate_hz: sampling rate.

    Source:
        Arm, CMSIS-DSP 1.10.3, arm_mfcc_q15.c; tables as its Scripts and `cmsisdsp.mfcc` make them.
    """

    kind: ClassVar[str] = "cmsis-mfcc"
    formula: ClassVar[str] = "Arm's arm_mfcc_q15 of CMSIS-DSP, in steps of 1/128"
    in_place: ClassVar[bool] = False
    words: ClassVar[int] = 1

    length: Count
    size: Annotated[int, Field(ge=32, le=4096)]
    bins: Annotated[int, Field(ge=1, le=256)]
    coefficients: Annotated[int, Field(ge=1, le=256)]
    low_hz: Hertz
    high_hz: Hertz
    rate_hz: Annotated[Hertz, Field(gt=0.0)]

    def tables(self) -> MfccTables:
        """Return the constants.

        Raises:
            ConfigError: if a filter holds no frequency of the spectrum.
        """
        corners = np.linspace(_mel(self.low_hz), _mel(self.high_hz), self.bins + 2)
        mels = _mel(np.arange(self.size // 2 + 1) * self.rate_hz / self.size)
        rises = (mels - corners[:-2, None]) / np.diff(corners)[:-1, None]
        falls = (corners[2:, None] - mels) / np.diff(corners)[1:, None]
        filters = _q15(np.maximum(0.0, np.minimum(rises, falls)))
        first, counts, weights = [], [], []
        for number, row in enumerate(filters, start=1):
            held = np.flatnonzero(row)
            if not len(held):
                raise ConfigError(
                    f"mel filter {number} of {self.bins} holds none of the frequencies, which lie "
                    f"{self.rate_hz / self.size:.3g} Hz apart; take fewer bins, a longer window or "
                    "a higher lowest frequency"
                )
            first.append(held[0])
            counts.append(held[-1] + 1 - held[0])
            weights.append(row[held[0] : held[-1] + 1])
        places = (np.arange(self.bins) + 0.5) / self.bins
        cosines = np.cos(np.pi * np.outer(np.arange(self.coefficients), places))
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.length) / self.length)
        return MfccTables(
            window=_q15(np.pad(hann, (0, self.size - self.length))),
            first=np.array(first, np.uint32),
            counts=np.array(counts, np.uint32),
            weights=np.concatenate(weights),
            cosines=_q15(cosines * math.sqrt(2 / self.bins)).reshape(-1),
        )

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [..., coefficients] of int16 [..., length], by Arm's Python package.

        Raises:
            ConfigError: if it is not installed.
        """
        arm, of = wrapper(), self.tables()
        instance = arm.arm_mfcc_instance_q15()
        arm.arm_mfcc_init_q15(
            instance, self.size, self.bins, self.coefficients,
            of.cosines, of.first, of.counts, of.weights, of.window,
        )  # fmt: skip
        rows = values.reshape(-1, self.length)
        found = np.empty((len(rows), self.coefficients), np.int16)
        work, frame = np.zeros(2 * self.size, np.int32), np.zeros(self.size, np.int16)
        for at, row in enumerate(rows):
            frame[:] = 0  # Arm's function writes over its input
            frame[: self.length] = row
            found[at] = arm.arm_mfcc_q15(instance, frame, work)[1]
        return found.reshape(*values.shape[:-1], self.coefficients)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with one value for each coefficient."""
        if self.size & (self.size - 1) or not self.length <= self.size:
            raise ValueError(f"{self.length} samples in a spectrum of {self.size}")
        if self.coefficients > self.bins or shape[-1] != self.length:
            raise ValueError(
                f"{self.coefficients} coefficients of {self.bins}, {shape[-1]} samples"
            )
        return (*shape[:-1], self.coefficients)

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C, of Arm's sources; see `RowStep`.

        Raises:
            ConfigError: if these are not there.
        """
        del shape
        of, points = self.tables(), self.size // 2
        text = f"""{table_c("q15_t", f"{function}_window", of.window)}
{table_c("q15_t", f"{function}_weights", of.weights)}
{table_c("q15_t", f"{function}_cosines", of.cosines)}
{table_c("uint32_t", f"{function}_first", of.first)}
{table_c("uint32_t", f"{function}_counts", of.counts)}
static const arm_cfft_instance_q15 {function}_points = {{
    {points}, twiddleCoef_{points}_q15, armBitRevIndexTable_fixed_{points},
    sizeof armBitRevIndexTable_fixed_{points} / sizeof(uint16_t)}};
static const arm_mfcc_instance_q15 {function}_of = {{
    .dctCoefs = {function}_cosines, .filterCoefs = {function}_weights,
    .windowCoefs = {function}_window, .filterPos = {function}_first,
    .filterLengths = {function}_counts, .fftLen = {self.size}, .nbMelFilters = {self.bins},
    .nbDctOutputs = {self.coefficients},
    .rfft = {{.fftLenReal = {self.size}, .ifftFlagR = 0, .bitReverseFlagR = 1,
             .twidCoefRModifier = {8192 // self.size}, .pTwiddleAReal = realCoefAQ15,
             .pTwiddleBReal = realCoefBQ15, .pCfft = &{function}_points}}}};
static q15_t {function}_frame[{self.size}], {function}_found[{self.coefficients}];
static q31_t {function}_work[{self.size}];

static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    (void)channel;
    for (int32_t i = 0; i < {self.size}; ++i)
        {function}_frame[i] = i < {self.length} ? (q15_t)from[i] : 0;
    arm_mfcc_q15(&{function}_of, {function}_frame, {function}_found, {function}_work);
    for (int32_t i = 0; i < {self.coefficients}; ++i)
        to[i] = {function}_found[i];
}}
"""
        own = 2 * (len(of.window) + len(of.weights) + len(of.cosines)) + 8 * self.bins
        return CCode(
            text=text,
            state_bytes=6 * self.size + 2 * self.coefficients,
            table_bytes=own + _REAL_TABLES_BYTES + _ROOT_TABLE_BYTES + 3 * self.size,
            made={HEADER: header(self.size)},
        )

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return frames, whose instructions nobody counted; see `RowStep`."""
        return {"cmsis-mfcc.frame": float(math.prod(shape[:-1]))}


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log(1.0 + hertz / 700.0)


def _q15(values: NDArray[np.float64]) -> NDArray[np.int16]:
    whole: NDArray[np.int16] = np.clip(np.rint(values * 32768), -32768, _MOST).astype(np.int16)
    return whole
