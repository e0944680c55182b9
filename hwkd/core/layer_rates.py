"""Learning rates by depth: what each layer's rate is multiplied by; pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from hwkd.core.errors import ConfigError
from hwkd.core.student import Layers

HEAD = "head"
_EXAMPLE = "decay=0.8 or 1=0.1,2=0.5,head=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRates:
    """What was asked for.

    Attributes:
        decay: of a stage over the one after it, from the head to the stem; None where stages are
            named.
        table: stage from 1, or `head`, -> factor; stages that are not named have 1.
    """

    decay: float | None = None
    table: Mapping[str, float] | None = None

    @classmethod
    def parse(cls, text: str) -> LayerRates:
        """Read `decay=0.8`, or a table as `1=0.1,2=0.5,head=1`.

        Raises:
            ConfigError: if it is neither, or a factor is below 0 or above 10.
        """
        found: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = (each.strip() for each in part.partition("="))
            is_stage = name.isdecimal() and int(name) >= 1
            if name not in ("decay", HEAD) and not is_stage:
                near = difflib.get_close_matches(name, ("decay", HEAD), n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; write {_EXAMPLE}"
                raise ConfigError(f"--layer-rates {text}: {name!r} is no stage{hint}")
            try:
                factor = float(value)
            except ValueError:
                factor = -1.0
            if not 0 <= factor <= 10 or name in found:
                raise ConfigError(
                    f"--layer-rates {text}: {part!r}: expected each stage once, with a factor "
                    f"from 0 to 10, as {_EXAMPLE}"
                )
            found[name] = factor
        if "decay" not in found:
            return cls(table=found)
        if len(found) > 1 or found["decay"] == 0:
            raise ConfigError(
                f"--layer-rates {text}: decay stands alone and is above 0, as decay=0.8"
            )
        return cls(decay=found["decay"])

    def factors(self, layers: Layers) -> dict[str, float]:
        """Return the factor of every layer, by name, in execution order.

        A stage begins after the one before and ends with its tap; what follows the last is the
        head.

        Raises:
            ConfigError: if a stage is named that the network does not have.
        """
        ends = layers.stage_ends
        stages = len(ends)
        for name in self.table or {}:
            if name != HEAD and int(name) > stages:
                raise ConfigError(
                    f"--layer-rates: stage {name} is named, and the student has {stages} stages"
                )
        found, stage = {}, 1
        for layer in layers.layers:
            found[layer.name] = self._of(stage, stages)
            if stage <= stages and layer.name == ends[stage - 1]:
                stage += 1
        return found

    def _of(self, stage: int, stages: int) -> float:
        if self.decay is not None:
            return self.decay ** (stages + 1 - stage)
        name = HEAD if stage > stages else str(stage)
        return (self.table or {}).get(name, 1.0)
