"""Splits for anomalies: train is normal alone, and no clip is in two of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.tasks.raw import RawData, RawSplit

# A rate is known by the alarms that are counted: many normal examples tell a small one.
_MANY_UNITS = 10_000
_SHARE, _SHARE_OF_MANY = 0.2, 0.25
_FEWEST = 10


def with_normal_train(data: RawData, seed: int) -> RawData:
    """Return train, validation and test, none of train's examples an anomaly.

    Args:
        data: labels 0 for normal examples and 1 for anomalies; what is cut from one clip, its
            whole, stays together.

    Raises:
        DataError: if the source's own train split holds anomalies, or there are too few examples.
    """
    given = data.given()
    if "test" not in given:
        return _taken(data, seed)
    anomalies = np.flatnonzero(data.train.labels)
    if len(anomalies):
        raise DataError(
            f"{data.source}: {len(anomalies):,} anomalies in the train split, first at example "
            f"{int(anomalies[0])}; networks learn normal data alone, so move them to test or give "
            "one split, of which hwkd makes three"
        )
    if "validation" not in given:
        return _with_validation(data, seed)
    for name in ("validation", "test"):
        if len(np.unique(given[name].labels)) < 2:
            raise DataError(
                f"{data.source}: the {name} split needs normal examples and anomalies; it has one "
                "kind alone"
            )
    return data


def doubts_of_rate(data: RawData, ratio: float) -> list[str]:
    """Say where there are too few normal examples to know a rate of false alarms."""
    assert data.validation is not None
    normal = int((data.validation.labels == 0).sum())
    if normal * ratio >= 1:
        return []
    return [
        f"validation has {normal:,} normal examples, too few to tell {100 * ratio:g} % of false "
        "alarms from none: the threshold lies above all of them"
    ]


def _taken(data: RawData, seed: int) -> RawData:
    random = np.random.default_rng(seed)
    normal, anomalies = (random.permutation(_units(data.train, flag)) for flag in (0, 1))
    share = _SHARE if len(normal) < _MANY_UNITS else _SHARE_OF_MANY
    part, half = round(share * len(normal)), len(anomalies) // 2
    validation = _part(data.train, np.concatenate([normal[:part], anomalies[:half]]))
    test = _part(data.train, np.concatenate([normal[part : 2 * part], anomalies[half:]]))
    counts = [tuple(int((e.labels == flag).sum()) for e in (validation, test)) for flag in (0, 1)]
    if min(counts[0]) < _FEWEST or half < 1:
        what = "examples" if data.train.wholes is None else "clips"
        raise DataError(
            f"{data.source}: {len(normal):,} normal {what} and {len(anomalies):,} anomalies, too "
            f"few for three splits; at least {round(_FEWEST / _SHARE)} and 2 are needed"
        )
    note = (
        f"validation and test have {counts[0][0]:,} and {counts[0][1]:,} normal examples, "
        f"{counts[1][0]:,} and {counts[1][1]:,} anomalies, at random, seed {seed}"
    )
    train = _part(data.train, normal[2 * part :])
    return replace(data, train=train, validation=validation, test=test, notes=(*data.notes, note))


def _with_validation(data: RawData, seed: int) -> RawData:
    """Take validation from a source with train and test: normal of train, anomalies of test."""
    assert data.test is not None
    random = np.random.default_rng(seed)
    anomalies, normal = random.permutation(_units(data.test, 1)), _units(data.train, 0)
    half, part = len(anomalies) // 2, round(_SHARE * len(normal))
    order = normal[random.permutation(len(normal))]
    held_back, moved = _part(data.train, order[:part]), _part(data.test, anomalies[:half])
    if len(held_back.labels) < _FEWEST or half < 1 or not (data.test.labels == 0).any():
        raise DataError(
            f"{data.source}: too few examples for a validation split; train needs "
            f"{round(_FEWEST / _SHARE)} normal ones, test normal ones and 2 anomalies"
        )
    kept = np.setdiff1d(_units(data.test), anomalies[:half])
    before, after = held_back.wholes, moved.wholes
    validation = RawSplit(
        inputs=np.concatenate([held_back.inputs, moved.inputs]),
        labels=np.concatenate([held_back.labels, moved.labels]),
        wholes=None if before is None or after is None else np.concatenate([before, after]),
    )
    note = (
        f"validation has {len(held_back.labels):,} normal examples of train and "
        f"{len(moved.labels):,} anomalies of test, seed {seed}"
    )
    return replace(
        data,
        train=_part(data.train, order[part:]),
        validation=validation,
        test=_part(data.test, kept),
        notes=(*data.notes, note),
    )


def _units(split: RawSplit, flag: int | None = None) -> NDArray[Any]:
    """Return the numbers of clips, or of examples that are cut from none, with a label."""
    of = np.arange(len(split.labels)) if split.wholes is None else split.wholes
    return np.unique(of if flag is None else of[split.labels == flag])


def _part(split: RawSplit, units: NDArray[Any]) -> RawSplit:
    wholes = split.wholes
    places = units if wholes is None else np.flatnonzero(np.isin(wholes, units))
    return RawSplit(
        inputs=split.inputs[places],
        labels=split.labels[places],
        wholes=None if wholes is None else wholes[places],
    )
