"""`hwkd.methods` and `hwkd.method`: what a student can be distilled with, and at what price."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from hwkd.api.option import Option, declares_options

if TYPE_CHECKING:
    from hwkd.distill.method import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFacts:
    """What is known about a method.

    Attributes:
        name: as `--method` takes it.
        summary: what it does, in words.
        evidence: what it gained in our own runs.
        needs: signals of student and teacher that it compares.
        teacher_can_be_cached: whether the teacher may answer once, before the training.
        brings_teacher: whether it makes its teacher's side from the student itself.
        usual_weight: of its terms; cross-entropy has 1.
        no_teacher_control: the same transform without a teacher; None if there is none.
        cost_steps: what it adds to a training step of a 19,000-parameter student at batch 128, in
            steps; None if not measured.
        options: name, default, allowed values and meaning of each option.
    """

    name: str
    family: str
    summary: str
    formula: str
    paper: str
    evidence: str
    needs: tuple[str, ...]
    needs_teacher: bool
    needs_labels: bool
    smallest_batch: int
    fewest_classes: int
    teacher_can_be_cached: bool
    brings_teacher: bool
    trains_parameters: bool
    float32_only: bool
    usual_weight: float
    no_teacher_control: str | None
    cost_steps: float | None
    measured_on: str
    options: tuple[Mapping[str, Any], ...]


@declares_options
def methods(
    family: Annotated[str | None, Option("Only one family. For example feature.")] = None,
) -> tuple[MethodFacts, ...]:
    """List the methods that students can learn by: family, needs, cost per step, paper.

    The cost is what a method adds to a training step of a 19,000-parameter student at batch 128, in
    steps.

    Raises:
        UnknownNameError: if there is no such family.
    """
    from hwkd.core import catalog
    from hwkd.core.errors import UnknownNameError
    from hwkd.distill.taps import STUDENT_SIGNALS
    from hwkd.io import discovery

    discovery.discover("hwkd.distill.losses")
    every = [catalog.METHODS.get(name)() for name in catalog.METHODS]
    every = [each for each in every if each.needs <= STUDENT_SIGNALS]
    found = [each for each in every if family is None or each.family == family]
    if not found:
        raise UnknownNameError("family", str(family), {each.family for each in every})
    return tuple(map(_facts, found))


@declares_options
def method(
    name: Annotated[str, Option("Method name, as in `hwkd methods list`.", metavar="NAME")],
    *,
    measure: Annotated[bool, Option("Time it here, now, instead of the stored table.")] = False,
) -> MethodFacts:
    """Show one method: formula, options and their ranges, needs, cost, paper, evidence.

    Raises:
        UnknownNameError: if there is no such method.
        ConfigError: if it cannot be timed.
    """
    from hwkd.core import catalog
    from hwkd.core.errors import ConfigError
    from hwkd.io import discovery

    discovery.discover("hwkd.distill.losses")
    found = catalog.METHODS.get(name)()
    if measure and found.of_things:
        raise ConfigError(
            f"method {name}: is about boxes, and the network that methods are timed on has no "
            "boxes; leave --measure out"
        )
    facts = _facts(found)
    return _measured_now(found, facts) if measure else facts


def _facts(found: "Method") -> MethodFacts:
    import inspect

    from hwkd.distill.method import TrainedMethod, option_facts
    from hwkd.distill.method_times import MEASURED_ON, STEPS_PER_STEP

    control = found.no_teacher_control()
    return MethodFacts(
        name=found.name,
        family=found.family,
        summary=inspect.getdoc(type(found)) or "",
        formula=found.formula,
        paper=found.paper,
        evidence=found.evidence,
        needs=tuple(sorted(signal.value for signal in found.needs)),
        needs_teacher=found.asks_teacher,
        needs_labels=found.needs_labels,
        smallest_batch=found.min_batch,
        fewest_classes=found.min_classes,
        teacher_can_be_cached=found.cacheable and found.asks_teacher,
        brings_teacher=found.own_source() is not None,
        trains_parameters=isinstance(found, TrainedMethod),
        float32_only=found.float32_only,
        usual_weight=found.usual_weight,
        no_teacher_control=None if control is None else control.name,
        cost_steps=STEPS_PER_STEP.get(found.name),
        measured_on=MEASURED_ON,
        options=option_facts(found),
    )


def _measured_now(found: "Method", facts: MethodFacts) -> MethodFacts:
    import torch

    from hwkd.distill.time_method import CLASSES, measure_method_s, measure_step_s
    from hwkd.tasks.classes_head import ClassesHead

    head = ClassesHead.numbered(CLASSES)
    step_s = measure_step_s(head)
    threads = torch.get_num_threads()
    return replace(
        facts,
        cost_steps=measure_method_s(found, head) / step_s,
        measured_on=f"here and now, processor time of {threads} threads",
    )
