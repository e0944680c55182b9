"""Reads WAV files of any rate, mono or stereo, 8 to 32 bits or float, as int16 samples."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError, first_line
from hwkd.core.printable import printable

_LONGEST_S = 3600.0
_LARGEST = 32767
# What programs write that do not know yet how long the sound will be.
_NO_LENGTH = (b"\0\0\0\0", b"\xff\xff\xff\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One file.

    Attributes:
        samples: int16, one channel, shape [n].
    """

    samples: NDArray[np.int16]
    rate_hz: int


def read_wav(path: Path) -> Clip:
    """Return the samples of a file; channels are averaged, nothing else is scaled.

    Raises:
        DataError: if it is truncated, empty, companded, longer than an hour or no WAV file.
    """
    # SciPy's reader takes part of a second to import; other tasks never need it.
    from scipy.io import wavfile

    where = printable(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] == b"RIFF" and head[4:] in _NO_LENGTH:
        raise DataError(
            f"{where}: was written as a stream, so its header lacks the length; write it anew as "
            "a file, as with ffmpeg -i FILE NEW.wav"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)
            # Peaks, cues, tags: what programs write beside the samples.
            warnings.filterwarnings("ignore", r"Chunk \(non-data\)", wavfile.WavFileWarning)
            rate, values = wavfile.read(path)
    except wavfile.WavFileWarning as warning:
        raise DataError(
            f"{where}: is damaged or cut off ({first_line(warning)}); copy it again or drop it"
        ) from None
    except OSError:
        raise
    except Exception as error:  # SciPy raises a dozen kinds on damaged headers
        raise DataError(
            f"{where}: no WAV file of plain samples ({printable(first_line(error))}); convert it "
            "to WAV of 16 bits, not companded"
        ) from None
    if not len(values) or rate <= 0:
        raise DataError(f"{where}: holds no samples; drop it")
    if len(values) > _LONGEST_S * rate:
        raise DataError(
            f"{where}: {len(values) / rate:,.0f} s long; cut it to an hour (3,600 s) or less"
        )
    return Clip(samples=_whole(values, where), rate_hz=int(rate))


def is_wav(path: Path) -> bool:
    """Tell whether a file begins as WAV files do, whatever it is called."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WAVE"


def _whole(values: NDArray[np.generic], where: str) -> NDArray[np.int16]:
    if values.dtype.kind == "f":
        wide = values.astype(np.float64)
        if not np.isfinite(wide).all():
            raise DataError(f"{where}: holds NaN or infinite samples; repair or drop it")
        wide *= _LARGEST + 1
    elif values.dtype == np.uint8:
        wide = (values.astype(np.float64) - 128) * 256
    else:  # SciPy gives 24 bits as the upper ones of 32
        wide = values.astype(np.float64) / (1 if values.dtype == np.int16 else 65536)
    mixed = wide.mean(axis=1) if wide.ndim == 2 else wide
    return np.clip(np.rint(mixed), -_LARGEST - 1, _LARGEST).astype(np.int16)


def at_rate(clip: Clip, rate_hz: float) -> NDArray[np.int16]:
    """Return the samples at another rate, by SciPy's polyphase filter."""
    if clip.rate_hz == rate_hz:
        return clip.samples
    from scipy.signal import resample_poly

    ratio = Fraction(rate_hz / clip.rate_hz).limit_denominator(1000)
    found = resample_poly(clip.samples.astype(np.float64), ratio.numerator, ratio.denominator)
    resampled: NDArray[np.int16] = np.clip(np.rint(found), -_LARGEST - 1, _LARGEST).astype(np.int16)
    return resampled


# For people.
OF_LENGTH = "the middle of longer ones, silence on both sides of shorter ones"


def of_length(samples: NDArray[np.int16], length: int) -> NDArray[np.int16]:
    """Return the middle of so many samples, or all with silence on both sides."""
    if len(samples) >= length:
        start = (len(samples) - length) // 2
        return samples[start : start + length]
    before = (length - len(samples)) // 2
    return np.pad(samples, (before, length - len(samples) - before))
