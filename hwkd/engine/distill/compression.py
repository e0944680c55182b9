"""Ever smaller students, each taught by the one before, until a gate is closed.

The sizes come from the device's cost model before anything is trained. Every stage is scored in
8 bits on validation; one that lost too much ends the course. Limits on the device are known
before: a stage over one of them teaches the next and cannot ship. The size that ships is trained
once more, directly from the first student and for as long as all its stages together, so that the
stages have to earn their time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from hwkd.core.errors import ConfigError, DoesNotFitError
from hwkd.core.ladder_record import CompressionRecord, RungRecord
from hwkd.core.metric import Metric
from hwkd.core.verdict_record import Gain
from hwkd.engine.arms.verdict import gain_in
from hwkd.engine.distill.gates import Gates
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.resolve import ResolvedStudent, resolve_student
from hwkd.engine.distill.rungs import Rungs, arm_of, run_of, rungs
from hwkd.engine.distill.sizes import Sized, parse_compression, sized_by_cost
from hwkd.engine.run.listener import SearchListener
from hwkd.engine.setup.resolve import screen_of
from hwkd.io.student_folder import FLOAT_FILE, StudentFolder


def run_compression(
    request: DistillRequest,
    *,
    compression: str,
    gates: Sequence[str],
    listener: SearchListener,
) -> StudentFolder:
    """Train the stages and the direct student, and write the folder of what ships.

    Args:
        request: of the first student; its teacher and methods are those of the first student, and
            its methods teach every stage.
        compression: what is divided and by what, as "latency:2,4,8,16".
        gates: as "accuracy:2%" and "ram:20KiB".

    Raises:
        ConfigError: before any training, if a size or a gate cannot be reached.
        DoesNotFitError: if no student held all gates; what was trained stays for another try.
    """
    of, factors = parse_compression(compression)
    asked = Gates.parse(gates)
    resolved = resolve_student(request, progress=listener)
    sizes = _sizes(resolved, of, factors)
    risk = resolved.config.limits.risk
    kept_out = {size.factor: asked.closed_by_cost(size.cost, risk) for size in sizes}
    if kept_out[factors[-1]]:
        raise ConfigError(
            f"--gate: no size meets it: the smallest, {factors[-1]:g}x, has "
            f"{'; '.join(kept_out[factors[-1]])}; give larger factors or a wider gate"
        )
    course = _Course(resolved, sizes, asked, kept_out)
    with rungs(request, asked=f"compression {compression}", listener=listener) as trainings:
        return course.run(trainings, of)


class _Course:
    """The stages, as they come to be."""

    def __init__(
        self,
        resolved: ResolvedStudent,
        sizes: Sequence[Sized],
        gates: Gates,
        kept_out: dict[float, tuple[str, ...]],
    ) -> None:
        self._sizes, self._gates, self._kept_out = sizes, gates, kept_out
        self._metric: Metric = resolved.data.head.metrics[0]
        self._epochs = resolved.config.training.full_epochs or 1
        self._students: list[StudentFolder] = []
        self._records: list[RungRecord] = []

    def run(self, trainings: Rungs, of: str) -> StudentFolder:
        """Train until a gate is closed, compare with direct distillation, write the better one."""
        ended_by = self._climb(trainings)
        held = [n for n, record in enumerate(self._records) if not record.closed]
        if not held:
            why = "; ".join(f"{r.name}: {', '.join(r.closed)}" for r in self._records)
            raise DoesNotFitError(f"--compression: no student held all gates ({why}); widen one")
        last = held[-1]
        ships, student = self._records[last], self._students[last]
        direct = None
        if last > 1:
            other = self._direct(trainings, last)
            direct = self._record(f"direct, {ships.name}", self._sizes[last], other)
            if self._better(direct, ships):
                ships, student = direct, other
        record = CompressionRecord(
            metric=self._metric,
            of=of,
            gates=self._gates.texts,
            rungs=tuple(self._records),
            direct=direct,
            gain=None if direct is None else self._gain(self._records[last], direct),
            ended_by=ended_by,
            ships=ships.name,
        )
        return trainings.published(
            student, run_of(student).model_copy(update={"compression": record})
        )

    def _climb(self, trainings: Rungs) -> str | None:
        """Train stage after stage; returns the gate that ended it."""
        for size in self._sizes:
            request = replace(trainings.request, width=size.width)
            if self._students:
                request = _taught_by(self._students[-1], request)
            student = trainings.trained(f"{size.factor:g}x", request)
            self._students.append(student)
            record = self._record(f"{size.factor:g}x", size, student)
            lost = self._gates.closed_by_score(
                self._metric, fmean((self._records or [record])[0].validation_int8),
                fmean(record.validation_int8),
            )  # fmt: skip
            closed = (*lost, *self._kept_out[size.factor])
            self._records.append(record.model_copy(update={"closed": closed}))
            if lost:
                return lost[0]
        return None

    def _direct(self, trainings: Rungs, last: int) -> StudentFolder:
        """Train the size of a stage from the first student, for as long as its stages took."""
        size = self._sizes[last]
        request = replace(trainings.request, width=size.width, epochs=last * self._epochs)
        request = _taught_by(self._students[0], request)
        return trainings.trained(f"direct {size.factor:g}x", request)

    def _record(self, name: str, size: Sized, student: StudentFolder) -> RungRecord:
        return RungRecord.of(name, size.width, size.cost, arm_of(student))

    def _gain(self, stages: RungRecord, direct: RungRecord) -> Gain:
        return gain_in(self._metric, stages.test_int8, direct.test_int8, over=direct.name)

    def _better(self, direct: RungRecord, stages: RungRecord) -> bool:
        """Tell whether the direct student ships: a tie goes to the one training."""
        before, after = fmean(stages.validation_int8), fmean(direct.validation_int8)
        return self._metric.gain(after, before) >= 0


def _taught_by(student: StudentFolder, request: DistillRequest) -> DistillRequest:
    teachers = (str(student.file(FLOAT_FILE)),)
    return replace(
        request, teachers=teachers, teacher_weights=(), teacher_inputs=(), teacher_classes=()
    )


def _sizes(resolved: ResolvedStudent, of: str, factors: Sequence[float]) -> list[Sized]:
    screen = screen_of(resolved.config, resolved.data.pipeline, head=resolved.data.head)
    return sized_by_cost(
        resolved.layers,
        lambda layers: screen.costed(resolved.spec, layers).cost,
        of=of,
        factors=factors,
    )
