"""The ways in which one student is trained: as asked for, and the controls that a gain is over.

One list for the final training of a search and for `hwkd distill`, so that "gain" answers one
question: what the methods add over the best training that needs no teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwkd.core.errors import RunFolderError
from hwkd.core.head import OutputKind
from hwkd.core.verdict_record import DISTILLED, LABELS_ALONE, SCHEME, SMOOTHED, TEACHER_FREE
from hwkd.distill.losses.teacher_free import LabelSmoothing
from hwkd.distill.scheme import Phase, Scheme
from hwkd.distill.scheme_spec import control_of
from hwkd.distill.spec import WeightedMethod, is_taught
from hwkd.engine.setup.methods import without_teacher

# Names of what begins with weights that know something, and learns from labels alone.
FINE_TUNING, PRUNED, LOW_RANK = "fine-tuning", "pruned teacher", "low-rank teacher"
# Of the learning rate: weights that are good are kept from being forgotten.
_FINE_RATE_RATIO = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of training the student.

    Attributes:
        name: unique among the arms of a run.
        methods: beside the labels; none is cross-entropy alone.
        smooths_labels: labels are smoothed as far as the training recipe has it. What a user asks
            for is trained as well as we can; the control "cross-entropy" is what it says.
        scheme: by which it learns in place of methods.
        is_control: of the scheme: without the edges that distil.
        rate_ratio: of the learning rate that others have.
    """

    name: str
    methods: tuple[WeightedMethod, ...] = ()
    smooths_labels: bool = False
    scheme: Scheme | None = None
    is_control: bool = False
    rate_ratio: float = 1.0

    @property
    def is_taught(self) -> bool:
        """Whether a teacher takes part."""
        if self.scheme is not None:
            return self.scheme.user_teachers > 0 and not self.is_control
        return is_taught(self.methods)

    def described(self) -> tuple[str, ...]:
        """Return its methods, or its scheme, as a user would write them."""
        if self.scheme is not None:
            return (("control of " if self.is_control else "") + self.scheme.describe(),)
        return tuple(entry.describe() for entry in self.methods)

    def phases(self) -> tuple[Phase, ...]:
        """Return the phases of its scheme; without a scheme none."""
        if self.scheme is None:
            return ()
        return control_of(self.scheme) if self.is_control else self.scheme.phases()


def arms_of(
    methods: Sequence[WeightedMethod], kind: OutputKind, scheme: Scheme | None = None
) -> tuple[Arm, ...]:
    """Return what a gain is made of: what was asked for first, then its controls.

    Args:
        methods: that students learn by; none is labels alone, which has no control.
        kind: of what is learned; controls that smooth or soften classes are for classes.
        scheme: by which students learn in place of methods.
    """
    if scheme is not None:
        return (
            Arm(name=SCHEME, scheme=scheme),
            Arm(name="scheme without distillation", scheme=scheme, is_control=True),
            Arm(name=kind.plain_training),
            _smoothed(),
        )
    if not methods:
        return (Arm(name=LABELS_ALONE, smooths_labels=True),)
    name = DISTILLED if is_taught(methods) else TEACHER_FREE
    arms = [Arm(name=name, methods=tuple(methods)), Arm(name=kind.plain_training)]
    if not kind.of_classes:
        return tuple(arms)
    if not any(isinstance(entry.method, LabelSmoothing) for entry in methods):
        arms.append(_smoothed())
    for entry in methods:
        control = entry.method.no_teacher_control()
        if control is not None:
            weighted = replace(entry, method=control)
            arms.append(Arm(name=f"{control.name}, no teacher", methods=(weighted,)))
    return tuple(arms)


def _smoothed() -> Arm:
    return Arm(name=SMOOTHED, methods=(WeightedMethod(method=LabelSmoothing(), weight=1.0),))


def arm_of_trial(
    described: Sequence[str] | None,
    methods: Sequence[WeightedMethod],
    kind: OutputKind,
    scheme: Scheme | None = None,
) -> Arm:
    """Return the arm by which a candidate of a search learned.

    Args:
        described: what it learned by, as its record has it; None of an older version.
        methods: of the search.
        scheme: likewise, by which candidates learn where it is cheap.
    """
    ways = [arms_of(way, kind)[0] for way in (methods, without_teacher(methods), ())]
    ways.append(candidate_arm(methods, kind, scheme))
    wanted = None if described is None else tuple(described)
    return next((arm for arm in ways if arm.described() == wanted), ways[0])


def candidate_arm(
    methods: Sequence[WeightedMethod], kind: OutputKind, scheme: Scheme | None = None
) -> Arm:
    """Return how a search trains candidates: by its scheme only where that costs hardly more."""
    is_cheap = scheme is not None and scheme.is_for_candidates
    return arms_of(methods, kind, scheme if is_cheap else None)[0]


def known_arms(
    methods: Sequence[WeightedMethod], kind: OutputKind, scheme: Scheme | None = None
) -> dict[str, Arm]:
    """Return a run's arms by name; a teacher that was left out leaves the methods without one."""
    ways = (methods, without_teacher(methods), ())
    # Candidates of a search learn without the scheme of its last trainings, if that costs more.
    known = [arm for way in ways for by in (scheme, None) for arm in arms_of(way, kind, by)]
    known += [
        Arm(name=name, rate_ratio=_FINE_RATE_RATIO) for name in (FINE_TUNING, PRUNED, LOW_RANK)
    ]
    return {arm.name: arm for arm in known}


def arm_named(
    name: str,
    methods: Sequence[WeightedMethod],
    kind: OutputKind,
    scheme: Scheme | None = None,
) -> Arm:
    """Return one of a run's arms.

    Raises:
        RunFolderError: if the run has no such arm: its order was written for other methods.
    """
    known = known_arms(methods, kind, scheme)
    if name not in known:
        raise RunFolderError(f"the order is to train {name!r}; the run has {', '.join(known)}")
    return known[name]
