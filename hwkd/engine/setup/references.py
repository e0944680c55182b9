"""Reference designs scaled to the limits: what a search tries first.

Only the cost model is asked. A design becomes a student by letting the space choose as it does in
a search, with every choice answered by the allowed value nearest to the design's: what comes out
lies inside the bounds that the search samples from, whatever its limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from hwkd.core.layers_builder import OVERLAPPING, PATCHES, stem_stride
from hwkd.core.seen_input import WHOLE_INPUT, InputView, SeeingSpace
from hwkd.core.student import ParamValue, StudentSpec
from hwkd.core.trial import ViolationRecord
from hwkd.cost.training_time import predicted_training_s
from hwkd.engine.setup.bisection import largest_fitting
from hwkd.engine.setup.reference_designs import REFERENCE_DESIGNS, ReferenceDesign
from hwkd.engine.setup.rooms import by_setting
from hwkd.engine.setup.screening import Candidate, Screen, sample_candidate

# Width multipliers are powers of the sixth root of two, from an eighth to four.
_STEPS_PER_OCTAVE = 6
_LOWEST, _HIGHEST = -3 * _STEPS_PER_OCTAVE, 2 * _STEPS_PER_OCTAVE
# A design keeps so much of its width (0.7) where a coarser stem can pay for it.
_ITS_WIDTH = -_STEPS_PER_OCTAVE // 2
# From this stride on a window that overlaps does up to 2.8 times the work of one that does not.
_PATCHES_FROM = 3
# Beside the widest that fits, one of 0.7 and one of half its width.
_STEPS_BELOW = (_STEPS_PER_OCTAVE // 2, _STEPS_PER_OCTAVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceStudent:
    """A reference design that fits the limits.

    Attributes:
        choices: choice -> value, each as the space asked for it; what a study is given.
        training_s: predicted seconds of training for a sample; for comparisons only.
        is_first: whether it is tried before what trains faster.
    """

    name: str
    spec: StudentSpec
    choices: Mapping[str, ParamValue]
    is_widest: bool
    training_s: float
    is_first: bool = False

    @property
    def turn(self) -> tuple[bool, bool, float, str]:
        """What they are tried in the order of."""
        return not self.is_first, not self.is_widest, self.training_s, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestMiss:
    """The reference design that needs the least relaxation, and what it exceeds."""

    name: str
    violations: tuple[ViolationRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSurvey:
    """What the reference designs come to under the limits of a search.

    Attributes:
        students: those that fit: of each design the widest, those to be tried first before the
            others, from the one that trains fastest on; then narrower ones likewise.
        nearest_miss: when none fits, the one nearest to it; None when some fit or the spaces hold
            no reference design.
    """

    students: tuple[ReferenceStudent, ...]
    nearest_miss: NearestMiss | None


def reference_students(
    screen: Screen, *, input_shape: tuple[int, ...], num_outputs: int
) -> tuple[ReferenceStudent, ...]:
    """Return the reference designs that fit; see `survey_references`."""
    return survey_references(screen, input_shape=input_shape, num_outputs=num_outputs).students


def survey_references(
    screen: Screen, *, input_shape: tuple[int, ...], num_outputs: int
) -> ReferenceSurvey:
    """Scale every reference design that the spaces of a search hold to its limits.

    Args:
        screen: with spaces fitted to the limits (`hwkd.engine.setup.rooms.fit_spaces`).
        input_shape: without batch.
    """
    if screen.settings:
        return _joined(
            (features, survey_references(part, input_shape=shape, num_outputs=num_outputs))
            for features, shape, part in by_setting(screen)
        )
    axes = len(input_shape) - 1
    designs = [
        (design, view)
        for design in REFERENCE_DESIGNS
        if design.space in screen.spaces
        for view in _views(screen, design, axes)
    ]
    students: list[ReferenceStudent] = []
    misses: list[NearestMiss] = []
    seen: set[str] = set()
    for design, view in designs:
        scaling = _Scaling(screen, design, view, input_shape, num_outputs)
        if (widest := scaling.widest()) is None:
            misses.append(NearestMiss(name=design.name, violations=scaling.nearest_miss()))
            continue
        for student, network_key in scaling.students(*widest):
            if network_key not in seen:
                seen.add(network_key)
                students.append(student)
    return _surveyed(students, misses)


def _surveyed(
    students: Iterable[ReferenceStudent], misses: Iterable[NearestMiss]
) -> ReferenceSurvey:
    ordered = sorted(students, key=lambda one: one.turn)
    nearest = min(misses, key=lambda miss: relaxation_factor(miss.violations), default=None)
    return ReferenceSurvey(students=tuple(ordered), nearest_miss=None if ordered else nearest)


def _joined(found: Iterable[tuple[str, ReferenceSurvey]]) -> ReferenceSurvey:
    """Return the designs of every setting of features, each with its setting."""
    students: list[ReferenceStudent] = []
    misses: list[NearestMiss] = []
    for features, survey in found:
        students += [replace(s, spec=replace(s.spec, features=features)) for s in survey.students]
        misses += [] if survey.nearest_miss is None else [survey.nearest_miss]
    return _surveyed(students, misses)


def relaxation_factor(violations: Sequence[ViolationRecord]) -> float:
    """Return the product of the factors by which limits have to grow."""
    return prod(1.0 + violation.excess_ratio for violation in violations)


def _views(screen: Screen, design: ReferenceDesign, axes: int) -> tuple[InputView, ...]:
    """Return how a design sees the input: one for signals sees pictures as signals, if it may."""
    if axes in design.axes:
        return (WHOLE_INPUT,)
    space = screen.spaces[design.space]
    ways = tuple(space.ways) if isinstance(space, SeeingSpace) else ()
    return tuple(view for view in ways if view.is_signal)


class _Scaling:
    """One design at any width, costed at most once for each."""

    def __init__(
        self,
        screen: Screen,
        design: ReferenceDesign,
        view: InputView,
        input_shape: tuple[int, ...],
        num_outputs: int,
    ) -> None:
        self._screen = screen
        self._design = design
        self._input_shape = input_shape
        self._num_outputs = num_outputs
        self._view = view
        self._base_stride = stem_stride(view.shape(input_shape))
        self._known: dict[tuple[int, int], tuple[Candidate, Mapping[str, ParamValue]]] = {}

    def widest(self) -> tuple[int, int] | None:
        """Return the stride of the stem and the step of the widest that fits.

        The finest look at the input is taken that leaves the design most of its own width; where
        none does, the one that leaves it most.
        """
        best: tuple[int, int] | None = None
        for stride in self._strides():
            step = self._widest_at(stride)
            if step is not None and (best is None or step > best[1]):
                best = stride, step
            if best is not None and best[1] >= _ITS_WIDTH:
                break
        return best

    def _widest_at(self, stride: int) -> int | None:
        if self._fits(stride, _HIGHEST):
            return _HIGHEST
        if not self._fits(stride, _LOWEST):
            return None
        return largest_fitting(_LOWEST, _HIGHEST, lambda step: self._fits(stride, step))

    def students(self, stride: int, widest: int) -> Iterator[tuple[ReferenceStudent, str]]:
        """Yield the widest student and narrower ones that fit, each with its network's key."""
        for below in (0, *_STEPS_BELOW):
            step = widest - below
            if step < _LOWEST or not self._fits(stride, step):
                continue
            candidate, choices = self._candidate(stride, step)
            names = [self._view.prefix + name for name in self._design.widths]
            widths = "-".join(str(choices[name]) for name in names if name in choices)
            student = ReferenceStudent(
                name=f"{self._design.name}, {widths} channels",
                spec=candidate.spec,
                choices=choices,
                is_widest=below == 0,
                training_s=predicted_training_s(candidate.graph, samples_seen=1),
                is_first=self._design.is_first and below == 0,
            )
            yield student, candidate.layers.key

    def nearest_miss(self) -> tuple[ViolationRecord, ...]:
        """Return what the narrowest exceeds, with the stem that helps most."""
        misses = (self._candidate(stride, _LOWEST)[0].violations for stride in self._strides())
        return min(misses, key=relaxation_factor)

    def _strides(self) -> tuple[int, ...]:
        finest = self._design.stem_stride
        return tuple(self._base_stride * times for times in range(finest, 2 * finest + 3))

    def _fits(self, stride: int, step: int) -> bool:
        return not self._candidate(stride, step)[0].violations

    def _candidate(self, stride: int, step: int) -> tuple[Candidate, Mapping[str, ParamValue]]:
        if (stride, step) not in self._known:
            multiplier = 2.0 ** (step / _STEPS_PER_OCTAVE)
            widths = {name: width * multiplier for name, width in self._design.widths.items()}
            window = PATCHES if stride >= _PATCHES_FROM else OVERLAPPING
            own = {"stem_stride": stride, "stem_window": window}
            wishes = {**self._design.choices, **widths, **own}
            prefixed = {self._view.prefix + name: wish for name, wish in wishes.items()}
            chooser = _NearestChooser({**prefixed, "input_view": self._view.label})
            candidate = sample_candidate(
                self._screen,
                self._design.space,
                chooser,
                input_shape=self._input_shape,
                num_outputs=self._num_outputs,
            )
            self._known[stride, step] = candidate, chooser.picked
        return self._known[stride, step]


class _NearestChooser:
    """Answers with the allowed value nearest to a wish, and with the first where there is none."""

    def __init__(self, wishes: Mapping[str, ParamValue]) -> None:
        self._wishes = wishes
        self.picked: dict[str, ParamValue] = {}

    def categorical(self, name: str, choices: Sequence[ParamValue]) -> ParamValue:
        """Pick the wish, the number nearest to it, or the first choice."""
        wish = self._wishes.get(name, choices[0])
        picked = wish if wish in choices else choices[0]
        if isinstance(wish, (int, float)):
            numbers = [choice for choice in choices if isinstance(choice, (int, float))]
            picked = min(numbers, key=lambda number: abs(number - wish), default=picked)
        self.picked[name] = picked
        return picked

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:  # noqa: ARG002
        """Pick the value of the grid nearest to the wish."""
        wish = float(self._wishes.get(name, low))
        steps = round((min(max(wish, low), high) - low) / step)
        picked = low + step * min(steps, (high - low) // step)
        self.picked[name] = picked
        return picked
