"""Folders of spoken words for the keyword task: engines kept apart by split, rooms and noise drawn.

Training hears espeak-ng and festival, students are chosen by two voices of flite, and the test is
what neither has: Piper, flite's slt and one real speaker (Asterisk's prompts, 8 kHz).
OUT has the words' folders with `validation_list.txt` and `testing_list.txt`, and
OUT/_tests/VOICE/WORD with the test clips of one voice, for `hwkd evaluate`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import fftconvolve, resample_poly

from hwkd.tasks.wav import of_length, read_wav
from tools.voices import (
    ESPEAK,
    FESTIVAL,
    FLITE_MEN,
    FLITE_SLT,
    PIPER,
    RATE_HZ,
    Engine,
    Sound,
    Spoken,
    resampled,
)

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_REAL = Path("/usr/share/asterisk/sounds/en_US_f_Allison/digits")
_CLIP = RATE_HZ
_QUIET_RATIO = 0.02  # of a clip's loudest sample: what is cut off at both ends
_MARGIN = RATE_HZ // 40
# Engine, and how often each word is spoken.
_TRAIN, _VALIDATION = ((ESPEAK, 120), (FESTIVAL, 40)), ((FLITE_MEN, 20),)
# Rooms in which each of train is heard: speaking takes longer than hearing.
_ROOMS = 3
_TEST = ((PIPER, 15), (FLITE_SLT, 12))


def make_keyword(out: Path) -> Path:
    """Write the ten digits.

    Raises:
        ValueError: if an engine or the real voice is not installed, or the folder exists.
    """
    return written(out, _write_words)


def written(out: Path, write: Callable[[Path], None]) -> Path:
    """Write a folder that is there whole or not at all.

    Raises:
        ValueError: if it is there already.
    """
    if out.exists():
        raise ValueError(f"{out}: exists; name a new folder")
    part = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(part, ignore_errors=True)
    write(part)
    part.replace(out)
    return out


def _write_words(out: Path) -> None:
    random = np.random.default_rng(0)
    for spoken in _of(_TRAIN, random):
        for _ in range(_ROOMS):
            _write(out, spoken, recorded(spoken.samples, random))
    lists: dict[str, list[str]] = {"validation": [], "testing": []}
    for spoken in _of(_VALIDATION, random):
        lists["validation"].append(_write(out, spoken, recorded(spoken.samples, random)))
    for spoken in (*_of(_TEST, random), *_real()):
        clip = of_length(trimmed(spoken.samples), _CLIP)
        lists["testing"].append(_write(out, spoken, clip))
        _write(out / "_tests" / spoken.voice, spoken, clip)
    for name, lines in lists.items():
        (out / f"{name}_list.txt").write_text("\n".join(lines) + "\n")


def _of(engines: Iterable[tuple[Engine, int]], random: np.random.Generator) -> Iterator[Spoken]:
    for engine, times in engines:
        yield from engine.spoken(DIGITS, times, random)


def _real() -> Iterator[Spoken]:
    for number, word in enumerate(DIGITS):
        path = _REAL / f"{number}.wav"
        if not path.is_file():
            raise ValueError(f"{path} is missing: apt-get install asterisk-core-sounds-en-wav")
        clip = read_wav(path)
        samples = resampled(clip.samples, clip.rate_hz)
        yield Spoken(text=word, voice="real_allison", samples=samples)


def _write(out: Path, spoken: Spoken, clip: Sound) -> str:
    """Write a clip into its word's folder; return what a list calls it."""
    folder = out / spoken.text
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{spoken.voice}_{sum(1 for _ in folder.iterdir()):04d}.wav"
    wavfile.write(folder / name, RATE_HZ, clip)
    return f"{spoken.text}/{name}"


def trimmed(samples: Sound) -> Sound:
    """Return a sound without its quiet ends."""
    loud = np.abs(samples.astype(np.int32))
    heard = np.flatnonzero(loud > _QUIET_RATIO * loud.max())
    if not len(heard):
        return samples
    return samples[max(0, heard[0] - _MARGIN) : heard[-1] + _MARGIN]


def recorded(
    samples: Sound,
    random: np.random.Generator,
    length: int = _CLIP,
    *,
    off_middle: int | None = None,
) -> Sound:
    """Return a sound as a microphone in some room hears a voice of some size, at some moment.

    Size (resampling), timbre, room, a telephone's band, noise, loudness and place are drawn.

    Args:
        off_middle: samples that its middle may lie beside that of the whole; None is anywhere.
    """
    wave = trimmed(samples).astype(np.float64) / 32768
    wave = resample_poly(wave, int(random.integers(84, 119)), 100)
    wave = _coloured(wave, random)
    if random.random() < 0.5:
        wave = _in_room(wave, random)
    wave = wave[:length]
    found = np.zeros(length)
    room = length - len(wave)
    first, last = 0, room
    if off_middle is not None:
        first, last = max(0, room // 2 - off_middle), min(room, room // 2 + off_middle)
    start = int(random.integers(first, last + 1))
    found[start : start + len(wave)] = wave
    loudness = float(np.sqrt(np.mean(np.square(wave)))) or 1.0
    if random.random() < 0.8:
        found += loudness * 10 ** (-random.uniform(5, 40) / 20) * noise(length, random)
    if random.random() < 0.4:
        found = resample_poly(resample_poly(found, 1, 2), 2, 1)[:length]
    peak = 10 ** (-random.uniform(1, 18) / 20)
    whole: Sound = np.rint(found * peak / max(1e-9, np.abs(found).max()) * 32767).astype(np.int16)
    return whole


def _coloured(wave: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return a wave with a smooth curve over frequency, of up to 10 dB, as of a microphone."""
    spectrum = np.fft.rfft(wave)
    places = np.linspace(0, 1, 6)
    decibels = np.interp(
        np.linspace(0, 1, len(spectrum)) ** 0.5, places, random.uniform(-10, 10, len(places))
    )
    found: NDArray[np.float64] = np.fft.irfft(spectrum * 10 ** (decibels / 20), len(wave))
    return found


def _in_room(wave: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return a wave with the echoes of a room of 50 to 400 ms."""
    decay_s = random.uniform(0.05, 0.4)
    times = np.arange(int(decay_s * RATE_HZ)) / RATE_HZ
    echoes = random.standard_normal(len(times)) * 10 ** (-3 * times / decay_s)
    echoes *= random.uniform(0.1, 0.6) / np.linalg.norm(echoes)
    echoes[0] = 1.0
    found: NDArray[np.float64] = fftconvolve(wave, echoes)
    return found


def noise(length: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return noise of mean square 1 whose power falls with frequency by a drawn slope."""
    slope = random.uniform(0, 1)
    spectrum = np.fft.rfft(random.standard_normal(length))
    spectrum *= np.maximum(1, np.arange(len(spectrum))) ** -slope
    found = np.fft.irfft(spectrum, length)
    even: NDArray[np.float64] = found / float(np.sqrt(np.mean(np.square(found))))
    return even
