"""`hwkd.tasks`: what can be learned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwkd.api.option import declares_options

if TYPE_CHECKING:
    from hwkd.core.metric import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """One line of `hwkd tasks list`."""

    name: str
    summary: str
    metrics: "tuple[Metric, ...]"


@declares_options
def tasks() -> tuple[TaskSummary, ...]:
    """List the tasks."""
    from hwkd.core import catalog
    from hwkd.io import discovery

    discovery.discover("hwkd.tasks")
    found = (catalog.TASKS.get(name) for name in catalog.TASKS)
    return tuple(
        TaskSummary(name=t.name, summary=t.summary, metrics=tuple(t.metrics)) for t in found
    )
