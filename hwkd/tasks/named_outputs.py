"""What heads have in common whose outputs have names and whose scores come in the order asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwkd.core.metric import Metric, Scores


class NamedOutputs:
    """One output for each name; see `hwkd.core.head.Head`."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def names(self) -> tuple[str, ...]:
            """Of the outputs."""
            ...

        @property
        def metrics(self) -> tuple[Metric, ...]:
            """The first is the primary one."""
            ...

    @property
    def size(self) -> int:
        """Number of outputs: classes, or values."""
        return len(self.names)

    def asked_for(self, found: Mapping[str, float]) -> Scores:
        """Return, of what was found by name, the head's metrics in their order."""
        return {metric.name: float(found[metric.name]) for metric in self.metrics}
