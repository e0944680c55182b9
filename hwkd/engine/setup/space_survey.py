"""What a search space holds, seen from random students of it; for `hwkd spaces show`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hwkd.core.chooser import RandomChooser
from hwkd.core.student import Layers, ParamValue
from hwkd.cost.graph import build_graph
from hwkd.engine.setup.screening import load_spaces


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSurvey:
    """A space seen from samples.

    Attributes:
        choices: choice -> every value seen, sorted.
        ranges: "MACs" and "weights and biases" -> (smallest, median, largest).
        example: the median student by MACs.
    """

    name: str
    summary: str
    samples: int
    choices: Mapping[str, list[ParamValue]]
    ranges: Mapping[str, tuple[int, int, int]]
    example: Layers

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "summary": self.summary,
            "samples": self.samples,
            "choices": dict(self.choices),
            "ranges": dict(self.ranges),
            "example": [asdict(layer) for layer in self.example.layers],
        }


def survey_space(
    name: str, input_shape: tuple[int, ...], num_outputs: int, *, samples: int, seed: int = 0
) -> SpaceSurvey:
    """Sample students of one space (a registered name or a .py file) for an input."""
    (space,) = load_spaces((name,)).values()
    chooser = RandomChooser(seed)
    seen: dict[str, set[ParamValue]] = {}
    students = []
    for _ in range(samples):
        spec = space.suggest(chooser, input_shape=input_shape, num_outputs=num_outputs)
        for choice, value in spec.params.items():
            seen.setdefault(choice, set()).add(value)
        layers = space.layers(spec)
        graph = build_graph(layers)
        students.append((graph.macs, graph.params, layers))
    students.sort(key=lambda student: student[0])
    params = sorted(student[1] for student in students)
    middle = samples // 2
    return SpaceSurvey(
        name=space.name,
        summary=space.summary,
        samples=samples,
        choices={choice: sorted(values, key=_order) for choice, values in seen.items()},
        ranges={
            "MACs": (students[0][0], students[middle][0], students[-1][0]),
            "weights and biases": (params[0], params[middle], params[-1]),
        },
        example=students[middle][2],
    )


def _order(value: ParamValue) -> tuple[str, float, str]:
    is_number = isinstance(value, (int, float))
    return (type(value).__name__, float(value) if is_number else 0.0, str(value))
