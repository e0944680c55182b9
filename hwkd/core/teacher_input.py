"""What a teacher expects as its input, as a user writes it: `unit`, or `mean=..,std=..`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

from hwkd.core.errors import ConfigError

# Name -> what it is, for people.
TEACHER_INPUTS = MappingProxyType(
    {
        "normalised": "as students see it: the mean of train off, over its deviation",
        "raw": "as the data has it",
        "bytes": "0 to 255 over the raw range",
        "unit": "0 to 1 over the raw range",
        "signed": "-1 to 1 over the raw range",
        "imagenet": "unit, then the mean and deviation of ImageNet's three channels",
    }
)
# Labels of annotators: arrays, tables, JSON lines.
ANNOTATOR_FILES = (".npz", ".csv", ".tsv", ".jsonl", ".ndjson")
# What a teacher may be read from; anything else names Python, which runs.
TEACHER_FILES = (
    *ANNOTATOR_FILES, ".onnx", ".safetensors", ".toml", "config.json", "student.json",
)  # fmt: skip
CHANNELS_LAST = "channels-last"
_EXAMPLES = "unit, or mean=0.5,std=0.25, or unit,mean=0.485,0.456,0.406,std=0.229,0.224,0.225"


def is_teacher_file(source: str) -> bool:
    """Tell whether a teacher is a file that is read, and no Python that runs."""
    return source.lower().endswith(TEACHER_FILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherInput:
    """One expected input.

    Attributes:
        base: name in `TEACHER_INPUTS`.
        mean: taken off the base, one for all channels or one for each; empty for none.
        std: divides what is left, > 0, as many as `mean`.
    """

    base: str = "normalised"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels_last: bool = False

    @classmethod
    def parse(cls, text: str) -> TeacherInput:
        """Read "BASE", "mean=..,std=..", "BASE,mean=..,std=..", each with ",channels-last".

        Numbers after a comma belong to the list before them; without a base they are in raw units.

        Raises:
            ConfigError: names what is wrong.
        """
        bases: list[str] = []
        lists: dict[str, list[float]] = {}
        current: list[float] | None = None
        is_last = False
        for part in (piece.strip() for piece in text.split(",")):
            name, equals, number = part.partition("=")
            if equals and name in ("mean", "std") and name not in lists:
                current = lists[name] = [_number(number, text)]
            elif part == CHANNELS_LAST:
                is_last, current = True, None
            elif part in TEACHER_INPUTS:
                bases.append(part)
                current = None
            elif current is not None:
                current.append(_number(part, text))
            else:
                raise _wrong(text, f"{part!r} is none of {', '.join(TEACHER_INPUTS)}")
        mean, std = tuple(lists.get("mean", ())), tuple(lists.get("std", ()))
        if len(bases) > 1:
            raise _wrong(text, f"{bases[0]} and {bases[1]} exclude each other")
        if len(mean) != len(std):
            raise _wrong(text, f"{len(mean)} means and {len(std)} deviations")
        if not all(each > 0 for each in std):
            raise _wrong(text, "a deviation is more than 0")
        base = bases[0] if bases else "raw" if mean else "normalised"
        return cls(base=base, mean=mean, std=std, channels_last=is_last)

    @property
    def text(self) -> str:
        """What `parse` reads it from."""
        numbers = [
            f"{name}={','.join(f'{each:.6g}' for each in values)}"
            for name, values in (("mean", self.mean), ("std", self.std))
            if values
        ]
        return ",".join([self.base, *numbers, *([CHANNELS_LAST] if self.channels_last else [])])


def _number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _wrong(whole, f"{text!r} is no number")
    return value


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f"--teacher-input {text}: {why}; give {_EXAMPLES}")
