"""One student at several sizes: what each reached, where a course ended, what its teachers gave."""

from __future__ import annotations

from typing import Literal

from hwkd.core.measure import CostEstimate
from hwkd.core.metric import ACCURACY, Metric
from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.core.verdict_record import ArmRecord, Gain


class RungRecord(StrictModel):
    """A size of the student, trained and scored in 8 bits.

    Attributes:
        name: "1x", "4x", "direct, 4x" of a compression; "0.5" of a ladder of widths.
        width: its channels over those of the student that was given.
        latency_s: estimated, like the other costs; None where the device predicts none.
        validation_int8: one a seed.
        test_int8: one a seed; nothing is chosen by it.
        alone_validation_int8: of the same size on labels alone; none where that was not trained.
        alone_test_int8: likewise.
        closed: gates that it did not pass, with what was wrong.
        gain: of the teacher over labels alone, on test; None where that was not trained.
    """

    name: str
    width: float
    params: StoredInt
    macs: StoredInt
    latency_s: float | None
    peak_ram_bytes: StoredInt
    flash_bytes: StoredInt
    energy_j: float | None
    validation_int8: tuple[float, ...]
    test_int8: tuple[float, ...]
    alone_validation_int8: tuple[float, ...] = ()
    alone_test_int8: tuple[float, ...] = ()
    closed: tuple[str, ...] = ()
    gain: Gain | None = None

    @classmethod
    def of(
        cls,
        name: str,
        width: float,
        cost: CostEstimate,
        taught: ArmRecord,
        *,
        alone: ArmRecord | None = None,
        closed: tuple[str, ...] = (),
    ) -> RungRecord:
        """Put together what was estimated and what was measured."""
        return cls(
            name=name,
            width=width,
            params=cost.params,
            macs=cost.macs,
            latency_s=cost.latency_s,
            peak_ram_bytes=cost.peak_ram_bytes,
            flash_bytes=cost.flash_bytes,
            energy_j=cost.energy_j,
            validation_int8=_validation(taught),
            test_int8=taught.test_int8,
            alone_validation_int8=() if alone is None else _validation(alone),
            alone_test_int8=() if alone is None else alone.test_int8,
            closed=closed,
        )


def _validation(arm: ArmRecord) -> tuple[float, ...]:
    return tuple(s.validation_int8 for s in arm.scores if s.validation_int8 is not None)


class CompressionRecord(StrictModel):
    """Ever smaller students, each taught by the one before, beside one taught directly.

    Attributes:
        of: what was divided: "latency", "ram", "flash", "weights", "energy" or "macs".
        gates: as they were asked for.
        rungs: in order, from the student that began; the last one may have been shut out.
        direct: of the size that ships, taught by the first student for as long as all stages
            together; None where there was one stage, which is that.
        gain: of the course over `direct` on test, where better is positive.
        ended_by: the gate that ended it, or None if all sizes were trained.
        ships: name of the rung that ships.
    """

    metric: Metric = ACCURACY
    of: str
    gates: tuple[str, ...]
    rungs: tuple[RungRecord, ...]
    direct: RungRecord | None = None
    gain: Gain | None = None
    ended_by: str | None = None
    ships: str

    @property
    def recommended(self) -> Literal["progressive", "direct"]:
        """The course only where it is better than luck explains: one training is simpler."""
        return "progressive" if self.gain is not None and self.gain.verdict == "gain" else "direct"

    @property
    def sentences(self) -> tuple[str, ...]:
        """Where it ended, and whether the stages were worth it."""
        end = "all gates held to the end"
        if self.ended_by is not None:
            end = f"it ended at {self.rungs[-1].name}: {self.ended_by}"
        lines = [f"Compression by {self.of}: {end}; {self.ships} ships."]
        if self.ships == self.rungs[0].name:
            return (*lines, "No smaller form of the student held.")
        if self.direct is None or self.gain is None:
            return (*lines, "One stage is direct distillation: there is nothing to compare.")
        found = f"{self.gain.text(self.metric)}, {self.gain.meaning}"
        advice = (
            "the stages are recommended"
            if self.recommended == "progressive"
            else "direct distillation is recommended, which is one training"
        )
        return (*lines, f"In stages against directly, int8 test: {found}; {advice}.")


class CurveRecord(StrictModel):
    """Error against size: error = intercept + slope * log10(parameters).

    Attributes:
        slope: of the error, 0 to 1, per factor of ten in parameters.
        spread: standard deviation of what the line leaves.
    """

    intercept: float
    slope: float
    spread: float


class CapacityRecord(StrictModel):
    """A ladder of widths, each trained with the teacher and without.

    Attributes:
        teacher: its score on validation, in the metric.
        tolerance: what may be lost of the teacher's score.
        rungs: from the smallest.
        taught: line through the errors of students that had the teacher.
        alone: likewise, of those that had labels alone.
        ships: name of the smallest rung within the tolerance; of the best where none is.
        is_within: whether there was one.
    """

    metric: Metric = ACCURACY
    teacher: float
    tolerance: float
    rungs: tuple[RungRecord, ...]
    taught: CurveRecord
    alone: CurveRecord
    ships: str
    is_within: bool

    @property
    def helped(self) -> tuple[str, ...]:
        """Widths at which the teacher gained more than luck explains, on test."""
        return tuple(r.name for r in self.rungs if r.gain is not None and r.gain.verdict == "gain")

    @property
    def sentences(self) -> tuple[str, ...]:
        """How small a student may be, and where the teacher is of use."""
        limit = f"{self.metric.difference(self.tolerance).lstrip('+')} of the teacher's"
        first = (
            f"Width {self.ships} is the smallest within {limit} score on validation."
            if self.is_within
            else f"No width is within {limit} score on validation; the best, {self.ships}, ships."
        )
        helped = ", ".join(self.helped)
        seeds = min(len(rung.test_int8) for rung in self.rungs)
        return (
            first,
            f"The teacher gained at width {helped}, int8 test, {seeds} seeds."
            if helped
            else f"No gain of the teacher is shown at any width, int8 test, {seeds} seeds.",
            f"Error on validation per tenfold parameters: {self.taught.slope:+.4f} with the "
            f"teacher, {self.alone.slope:+.4f} without.",
        )
