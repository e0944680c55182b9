"""Spaces fitted to the limits, the reference designs in them, and what to relax where none fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hwkd.core.choices import LimitName
from hwkd.core.limits import LIMIT_FIELDS
from hwkd.core.trial import ViolationRecord
from hwkd.engine.setup.references import ReferenceSurvey, survey_references
from hwkd.engine.setup.rooms import fit_spaces
from hwkd.engine.setup.screening import Screen

# Each raise of the limits widens the spaces once more; two were the most that was seen.
_MOST_RAISES = 6


def fitted_survey(
    screen: Screen, *, input_shape: tuple[int, ...], num_outputs: int
) -> tuple[Screen, ReferenceSurvey]:
    """Fit the spaces to the limits and scale the reference designs.

    The limits that the nearest miss needs are raised until a design meets them: wider limits fit
    wider spaces, in which the smallest form of a design may need more than it did before.

    Args:
        input_shape: without batch.
    """

    def surveyed(screen: Screen) -> tuple[Screen, ReferenceSurvey]:
        fitted = fit_spaces(screen, input_shape=input_shape, num_outputs=num_outputs)
        return fitted, survey_references(fitted, input_shape=input_shape, num_outputs=num_outputs)

    fitted, found = surveyed(screen)
    nearest = found.nearest_miss
    wanted: dict[LimitName, ViolationRecord] = {}
    for _ in range(_MOST_RAISES):
        if nearest is None:
            break
        for violation in nearest.violations:
            first = wanted.setdefault(violation.limit_name, violation)
            wanted[violation.limit_name] = violation.model_copy(update={"limit": first.limit})
        found = replace(found, nearest_miss=replace(nearest, violations=tuple(wanted.values())))
        needs: dict[str, Any] = {
            LIMIT_FIELDS[name]: violation.needed for name, violation in wanted.items()
        }
        nearest = surveyed(replace(screen, limits=replace(screen.limits, **needs)))[1].nearest_miss
    return fitted, found
