"""Layer pairs that name a module of the user's own teacher: `--pair 2=layer3.1`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwkd.core.errors import ConfigError
from hwkd.core.signals import Signal
from hwkd.distill.spec import WeightedMethod

_STAGED = frozenset({Signal.FEATURES, Signal.PREACTIVATIONS})


def parse_pairs(texts: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """Read every `--pair STAGE=PATH`; returns (student stage from 1, module path of the teacher).

    Raises:
        ConfigError: if one is written otherwise.
    """
    pairs: list[tuple[int, str]] = []
    for text in texts:
        stage, _, path = text.partition("=")
        if not (stage.isdigit() and int(stage) > 0 and path):
            raise ConfigError(
                f"--pair {text}: is not STAGE=PATH, a stage of the student from 1 and a module of "
                "the teacher, as 2=layer3.1"
            )
        if (int(stage), path) in pairs:
            raise ConfigError(f"--pair {text}: is given twice; give it once")
        pairs.append((int(stage), path))
    return tuple(pairs)


def paired_with(
    methods: Sequence[WeightedMethod], pairs: Sequence[tuple[int, str]]
) -> tuple[WeightedMethod, ...]:
    """Give the pairs to every method that compares stages.

    The teacher's stages are then the modules named, in the order given.

    Raises:
        ConfigError: if no method compares stages, so that the pairs would do nothing, or one has
            pairs of its own.
    """
    numbered = tuple((stage, number) for number, (stage, _) in enumerate(pairs, start=1))
    staged = [entry for entry in methods if entry.method.paired_signals & _STAGED]
    if not staged:
        names = ", ".join(entry.method.name for entry in methods)
        raise ConfigError(f"--pair: {names} compares no stages; leave it out or add at or fitnet")
    for entry in staged:
        if entry.pairs:
            raise ConfigError(
                f"--pair and --method {entry.method.name}:pairs=...: both pair its stages; give one"
            )
    return tuple(replace(e, pairs=numbered) if e in staged else e for e in methods)
