"""Search spaces choose through Optuna, with each space's parameters under its own prefix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from hwkd.core.student import ParamValue

SPACE_PARAM = "space"


def param_name(space: str, choice: str) -> str:
    """Return the name under which a study knows a choice of a space."""
    return f"{space}.{choice}"


class SuggestingTrial(Protocol):
    """The part of an Optuna trial by which choices are made."""

    def suggest_categorical(self, name: str, choices: Sequence[ParamValue], /) -> object:
        """Choose one of `choices`."""
        ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Choose an integer."""
        ...


class OptunaChooser:
    """The `Chooser` that a search uses; the same name in two spaces is two Optuna parameters."""

    def __init__(self, trial: SuggestingTrial, space: str) -> None:
        """Wrap a trial for the parameters of one space."""
        self._trial = trial
        self._space = space

    def categorical(self, name: str, choices: Sequence[ParamValue]) -> ParamValue:
        """Pick one of `choices`."""
        picked = self._trial.suggest_categorical(param_name(self._space, name), list(choices))
        return cast(ParamValue, picked)

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Pick an integer in [low, high], on a grid of `step` from `low`."""
        return self._trial.suggest_int(param_name(self._space, name), low, high, step=step, log=log)
