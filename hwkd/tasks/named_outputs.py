"""What heads have in common whose outputs have names and whose scores come in the order asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hwkd.core.class_scores import ClassScores, scores_of_counts

if TYPE_CHECKING:
    from hwkd.core.arrays import AnyArray, Floats
    from hwkd.core.decision_record import Confusion
    from hwkd.core.head import OutputKind
    from hwkd.core.metric import Metric, Scores

# A table of more is read by nobody, and a record would hold the square of them.
_MOST_IN_TABLE = 50


class NamedOutputs:
    """One output for each name; see `hwkd.core.head.Head`."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def names(self) -> tuple[str, ...]:
            """Of the outputs."""
            ...

        @property
        def kind(self) -> OutputKind:
            """Says what is told of each class."""
            ...

        @property
        def metrics(self) -> tuple[Metric, ...]:
            """The first is the primary one."""
            ...

        def counts(self, outputs: Floats, targets: AnyArray) -> Confusion:
            """Return how often each class was taken for which; none without classes."""
            ...

    @property
    def size(self) -> int:
        """Number of outputs: classes, or values."""
        return len(self.names)

    def confusion(self, outputs: Floats, targets: AnyArray) -> Confusion:
        """Return how often each class was taken for which; none without, or of many."""
        found = self.counts(outputs, targets)
        return found if len(found) <= _MOST_IN_TABLE else ()

    def by_class(self, outputs: Floats, targets: AnyArray) -> tuple[ClassScores, ...]:
        """Return the scores of each class; none without classes."""
        names = self.kind.answers or self.names
        found = self.counts(outputs, targets)
        return scores_of_counts(found, names, self.kind.class_scores) if found else ()

    def asked_for(self, found: Mapping[str, float]) -> Scores:
        """Return, of what was found by name, the head's metrics in their order."""
        return {metric.name: float(found[metric.name]) for metric in self.metrics}
