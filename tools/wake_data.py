"""The folder of a wake word, "hey computer": clips, sound-alikes, and hours without it.

Training hears espeak-ng, festival and Pico, thresholds are chosen by two voices of flite, and the
test is what none of them has: Piper and flite's slt. Every voice is heard in drawn rooms and noise.
Recordings are sentences of common words, some with a sound-alike, with pauses between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from tools.spoken_data import recorded, trimmed, written
from tools.voices import (
    ESPEAK,
    FESTIVAL,
    FLITE_MEN,
    FLITE_SLT,
    PICO,
    PIPER,
    RATE_HZ,
    Engine,
    Sound,
)

WORD = "hey computer"
_ALIKE = (
    "hey commuter", "hey composer", "hey competitor", "hey compute", "hey company", "hey confuser",
    "hey peter", "hey tutor", "say computing", "play computing", "may commute", "computer", "hey",
    "they compute it", "hey come here", "hey come to her", "a compost heap", "hey jupiter",
)  # fmt: skip
# In training alone: near to the word, and near to what is near to it.
_ALIKE_IN_TRAINING = (
    "hey commander", "hey computing", "hey compare", "hey company her", "hey cucumber",
    "hey copper", "hey confused her", "hey pewter", "hey scooter", "hey shooter", "the computer",
    "my computer", "hay cutter", "hey come on", "day commuter", "hey combine", "hey compactor",
    "hey conductor", "hey contributor", "compute her", "hey complete", "her commuter",
    "say commuter", "hey can you do", "hey junior", "hey compounder", "hey consumer",
)  # fmt: skip
_COMMON = (
    "the of and to in is you that it he was for on are as with his they at be this from have or "
    "by one had not but what all were when we there can an your which their said if do will "
    "each about how up out them then she many some so these would other into has more her two "
    "like him see time could no make than first been its who now people my made over did down "
    "only way find use may water long little very after words called just where most know get "
    "through back much before go good new write our used me man too any day same right look "
    "think also around another came come work three word must because does part even place well "
    "such here take why things help put years different away again off went old number great "
    "tell men say small every found still between name should home big give air line set own "
    "under read last never us left end along while might next sound below saw something thought "
    "both few those always looked show large often together asked house world going want school "
    "important until form food keep children feet land side without boy once animals life "
    "enough took sometimes four head above kind began almost live page got earth need far hand "
    "high year mother light parts country father let night following picture being study second "
    "eyes soon times story boys since white days ever paper hard near sentence better best "
    "across during today others however sure means knew it's try told young miles sun ways "
    "thing whole hear example heard several change answer room sea against top turned learn "
    "point city play toward five using himself usually money seen didn't car morning given ship "
    "area body river weather music kitchen window monday "
)
_SENTENCE, _ALIKE_SHARE = 10, 0.05
# As long as a window of 1.5 s is moved over a clip by three quarters of it to both sides.
_CLIP, _OFF_MIDDLE = round(3.75 * RATE_HZ), RATE_HZ // 10
# Engine, how often it says the word, how often each sound-alike.
_TRAIN = ((ESPEAK, 300, 20), (FESTIVAL, 60, 5))
_ROOMS = 2
# Drawn apart, so that what judges stays as it is when there is more to learn from.
_MORE_TRAIN = ((PICO, 250, 12), (ESPEAK, 200, 10), (FESTIVAL, 40, 3))
_MORE_ROOMS, _MORE_ALIKE_ROOMS = 3, 2
_MORE_HOURS, _MORE_ALIKE_SHARE = ((PICO, 0.5),), 0.3
_JUDGES: dict[str, tuple[tuple[Engine, int], ...]] = {
    "validation": ((FLITE_MEN, 120),), "testing": ((PIPER, 60), (FLITE_SLT, 60)),
}  # fmt: skip
# Engine and hours; what judges at 0.5/h needs two.
_HOURS: dict[str, tuple[tuple[Engine, float], ...]] = {
    "train": ((ESPEAK, 0.8), (FESTIVAL, 0.2)),
    "validation": ((FLITE_MEN, 2.01),),
    "testing": ((PIPER, 0.25), (FLITE_SLT, 1.76)),
}
_FILE_S, _AT_ONCE = 1800, 40


def make_wake_word(out: Path) -> Path:
    """Write clips, recordings and lists.

    Raises:
        ValueError: if an engine is not installed, or the folder exists.
    """
    return written(out, _write)


def _write(out: Path) -> None:
    random = np.random.default_rng(0)
    word = out / WORD.replace(" ", "_")
    for engine, words, alike in _TRAIN:
        for spoken in engine.spoken((WORD,), words, random):
            for _ in range(_ROOMS):
                _write_clip(word, spoken.voice, spoken.samples, random)
        for spoken in engine.spoken(_ALIKE, alike, random):
            _write_clip(out / "negative", spoken.voice, spoken.samples, random)
    lists: dict[str, list[str]] = {"train": []}
    for name, engines in _JUDGES.items():
        lists[name] = [
            _write_clip(word, spoken.voice, spoken.samples, random)
            for engine, words in engines
            for spoken in engine.spoken((WORD,), words, random)
        ]
    for name, parts in _HOURS.items():
        for engine, hours in parts:
            lists[name] += _write_recordings(out / "recordings", name, engine, hours, random)
    for name in _JUDGES:
        (out / f"{name}_list.txt").write_text("\n".join(lists[name]) + "\n")
    _write_more(out, np.random.default_rng(1))


def _write_more(out: Path, random: np.random.Generator) -> None:
    """Write what is learned from beside the rest: more voices, rooms and sound-alikes."""
    word = out / WORD.replace(" ", "_")
    for engine, words, alike in _MORE_TRAIN:
        for spoken in engine.spoken((WORD,), words, random):
            for _ in range(_MORE_ROOMS):
                _write_clip(word, spoken.voice, spoken.samples, random)
        for spoken in engine.spoken(_ALIKE + _ALIKE_IN_TRAINING, alike, random):
            for _ in range(_MORE_ALIKE_ROOMS):
                _write_clip(out / "negative", spoken.voice, spoken.samples, random)
    for engine, hours in _MORE_HOURS:
        recordings = out / "recordings"
        _write_recordings(recordings, "train", engine, hours, random, alike_share=_MORE_ALIKE_SHARE)


def _write_clip(folder: Path, voice: str, samples: Sound, random: np.random.Generator) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{voice}_{sum(1 for _ in folder.iterdir()):04d}.wav"
    clip = recorded(samples, random, _CLIP, off_middle=_OFF_MIDDLE)
    wavfile.write(folder / name, RATE_HZ, clip)
    return f"{folder.name}/{name}"


def _write_recordings(
    folder: Path, split: str, engine: Engine, hours: float, random: np.random.Generator,
    *, alike_share: float = _ALIKE_SHARE,
) -> list[str]:  # fmt: skip
    """Write so many hours in files of half an hour; return what a list calls them."""
    folder.mkdir(parents=True, exist_ok=True)
    left = round(hours * 3600 * RATE_HZ)
    names: list[str] = []
    sounds = _stretches(engine, random, alike_share)
    while left > 0:
        wanted = min(left, _FILE_S * RATE_HZ)
        parts: list[Sound] = []
        while sum(map(len, parts)) < wanted:
            parts.append(next(sounds))
        name = f"{split}_{engine.name}_{len(names):02d}.wav"
        wavfile.write(folder / name, RATE_HZ, np.concatenate(parts)[:wanted])
        names.append(f"{folder.name}/{name}")
        left -= wanted
    return names


def _stretches(engine: Engine, random: np.random.Generator, alike_share: float) -> Iterator[Sound]:
    """Yield sentences in rooms, each with a pause of half a second to four, for ever."""
    while True:
        sentences = [_sentence(_COMMON.split(), random, alike_share) for _ in range(_AT_ONCE)]
        for spoken in engine.spoken(sentences, 1, random):
            pause = int(random.uniform(0.5, 4.0) * RATE_HZ)
            # A voice may be drawn slower by a fifth.
            yield recorded(
                spoken.samples, random, round(1.2 * len(trimmed(spoken.samples))) + pause
            )


def _sentence(words: Sequence[str], random: np.random.Generator, alike_share: float) -> str:
    drawn = [words[int(at)] for at in random.integers(len(words), size=_SENTENCE)]
    if random.random() < alike_share:
        drawn.insert(int(random.integers(_SENTENCE)), _ALIKE[int(random.integers(len(_ALIKE)))])
    return " ".join(drawn)
