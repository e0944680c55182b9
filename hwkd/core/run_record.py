"""What `run.json` in a run folder holds: the facts about a search that no single trial knows.

Together with `trials.jsonl` it is all that a report reads. The engine writes it when the search
starts and replaces it, whole, when a phase ends; `final` is filled once, after the test split was
read. Readers of old `schema_version`s stay for ever; see `tests/golden/`.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from hwkd.core.basis import ESTIMATED, Basis
from hwkd.core.choices import LimitName
from hwkd.core.final_record import FinalRecord
from hwkd.core.finetune_record import FinetuneRecord
from hwkd.core.ladder_record import CapacityRecord, CompressionRecord
from hwkd.core.limits import LIMIT_FIELDS, Fit, Limits
from hwkd.core.measure import CostEstimate, Profile
from hwkd.core.metric import ACCURACY, Metric, ScoresRecord
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.old_records import (
    caveats_of_older_run,
    data_of_older_run,
    device_of_older_run,
    with_scores,
)
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.core.trial import TrialRecord

RunStatus: TypeAlias = Literal["running", "finished", "interrupted", "stopped by timeout"]


class LimitRecord(StrictModel):
    """One hard limit in force.

    Attributes:
        name: what is limited; "ram" is peak RAM, "flash" weights and code, "weights" weights alone.
        value: seconds, bytes or joules.
        origin: the device descriptor gave it, the task does, or an option did.
    """

    name: LimitName
    value: float = Field(gt=0)
    origin: Literal["device", "option", "task"]


class DeviceRecord(StrictModel):
    """The target.

    Attributes:
        name: catalogue name or the path that was given.
        core: processor core, for example "Cortex-M7".
        clock_hz: clock that the numbers are for; None when the device is measured as it runs.
        runtime_version: of that runtime; None when the descriptor states none.
        basis: what its latencies and sizes are, as its cost backend says.
        latency_risk: end of the 90% latency interval that must stay inside the limit.
        limits: hard limits in force; one that is absent does not hold.
    """

    name: str
    core: str
    clock_hz: float | None
    runtime: str
    runtime_version: str | None = None
    dtype: str = "int8"
    basis: Basis = ESTIMATED
    latency_risk: Literal["upper", "expected", "lower"] = "upper"
    limits: tuple[LimitRecord, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        return device_of_older_run(raw)

    def limit(self, name: LimitName) -> LimitRecord | None:
        """Return the limit called `name`, None when it does not hold."""
        return next((limit for limit in self.limits if limit.name == name), None)

    def fit(self, cost: CostEstimate, measured: Profile | None = None) -> Fit:
        """Return whether a student stays inside the limits in force.

        Args:
            measured: its times on this machine, judged where the estimate has no latency.
        """
        amounts: dict[str, Any] = {LIMIT_FIELDS[it.name]: it.value for it in self.limits}
        return Fit.of(cost, Limits(**amounts), self.latency_risk, measured=measured)


# Of fewer, what another one differs by is hardly known.
_ENOUGH_GROUPS = 5


class SplitRecord(StrictModel):
    """One split.

    Attributes:
        class_counts: in the order of `DataRecord.class_names`; none without classes.
        groups: what it is of and no other split, as names of people; none where nobody asked.
        wholes: recordings that its examples are cut from; None where examples stand alone, and in
            runs of older versions.
    """

    name: Literal["train", "validation", "test"]
    samples: StoredInt
    class_counts: tuple[StoredInt, ...] = ()
    groups: tuple[str, ...] = ()
    wholes: StoredInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _counts_as_older_runs(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "samples" in raw:
            return raw
        return {**raw, "samples": sum(raw.get("class_counts", ()))}


class DataRecord(StrictModel):
    """The data set.

    Attributes:
        source: where the data came from, for people.
        fingerprint: SHA-256 over content, splits and preprocessing.
        content_fingerprint: SHA-256 over the raw inputs, in whichever split; None in older runs.
        input_shape: without batch.
        kind: whether outputs are classes or values.
        class_names: name of each output; of classes in the order of the labels.
        answer_mean: of values: an output times `answer_std` plus this is the answer in its unit.
        answer_std: likewise; none of classes.
        metrics: what networks are scored by; the first is the primary one.
        splits: train, validation, test.
        sample_rate_hz: samples per second of signals; None where the source did not say, and in
            runs of older versions.
        notes: what a reader must know: splits made, files left out, layout guessed.
        grouped_by: what the groups of splits are, as "subject"; empty without.
    """

    task: str
    source: str
    fingerprint: str
    content_fingerprint: str | None = None
    input_shape: tuple[StoredInt, ...]
    kind: str = "classes"
    class_names: tuple[str, ...]
    answer_mean: tuple[float, ...] = ()
    answer_std: tuple[float, ...] = ()
    metrics: tuple[Metric, ...] = (ACCURACY,)
    splits: tuple[SplitRecord, ...]
    split_seed: StoredInt
    pipeline: PipelineRecord
    sample_rate_hz: float | None = None
    notes: tuple[str, ...] = ()
    grouped_by: str = ""

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        return data_of_older_run(raw)

    @property
    def test(self) -> SplitRecord | None:
        """The test split; None of a damaged record."""
        return next((split for split in self.splits if split.name == "test"), None)

    @property
    def few_groups(self) -> str | None:
        """What to know of a test of few people, in a sentence; None where it is of many."""
        groups = () if self.test is None else self.test.groups
        if not 0 < len(groups) < _ENOUGH_GROUPS:
            return None
        return (
            f"The test is of {len(groups)} {self.grouped_by} ({', '.join(groups)}): another may be "
            "known far better or worse, which no number of examples of these tells."
        )

    @property
    def metric(self) -> Metric:
        """The primary metric."""
        return self.metrics[0]


class SettingRecord(StrictModel):
    """The data in one setting of the features that candidates choose among.

    Attributes:
        features: the setting, as `--features` takes it.
        fingerprint: as `DataRecord` has it.
        input_shape: likewise.
    """

    features: str
    fingerprint: str
    input_shape: tuple[StoredInt, ...]
    pipeline: PipelineRecord


class TeacherMemberRecord(StrictModel):
    """One network of those that teach together, or the only one.

    Attributes:
        kind: see `TeacherRecord`.
        input: what it is shown, as `--teacher-input` takes it.
        scores: in float, on validation.
        identity: SHA-256 of everything that it is made of and of what it is shown.
        doubt: how it would be far better, in one line; None where no usual way is.
    """

    name: str
    kind: Literal["trained here", "onnx", "factory", "answers", "transformers"]
    description: str
    input: str = "normalised"
    scores: ScoresRecord
    identity: str
    doubt: str | None = None


class TeacherRecord(StrictModel):
    """The teacher.

    Attributes:
        kind: "trained here", "onnx", "factory", "answers" in a file, or "transformers".
        scores: in float, on validation and, if that was measured, on test.
        seconds: spent on training it, loading it and computing its logits in this run.
        from_cache: it was trained by an earlier run on the same data and configuration.
        left_out: why students learned from labels alone, from some candidate on; None while it
            taught all of them.
        identity: SHA-256 of everything that it is made of, which its cached logits and a resumed
            search go by; None when an older version searched.
        members: each network by itself; none in what older versions wrote.
        trained_within_s: bound on its training, which names it in the cache; None is no bound.
        is_partial: one of its members does not know every class of the data.
    """

    kind: Literal["trained here", "onnx", "factory", "answers", "transformers"]
    description: str
    scores: ScoresRecord
    seconds: float
    from_cache: bool = False
    left_out: str | None = None
    identity: str | None = None
    members: tuple[TeacherMemberRecord, ...] = ()
    trained_within_s: float | None = None
    is_partial: bool = False

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        names = {"validation_float": "validation_accuracy", "test_float": "test_accuracy"}
        return with_scores(raw, names)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is said of its members, one line each."""
        return tuple(member.doubt for member in self.members if member.doubt is not None)


class FeasibilityRecord(StrictModel):
    """What share of one space fits, found by sampling before anything was trained.

    Attributes:
        sampled: random students that were costed.
        binding: limit -> students that exceed it; one student may exceed several.
        unknown: limit -> students whose need of it is not known; that rejects none.
        left_out: nothing of the space fits, so the search does without it.
    """

    space: str
    sampled: StoredInt = Field(ge=0)
    feasible: StoredInt = Field(ge=0)
    binding: dict[LimitName, StoredInt] = Field(default_factory=dict)
    unknown: dict[LimitName, StoredInt] = Field(default_factory=dict)
    left_out: bool = False


class EnvironmentRecord(StrictModel):
    """The machine that searched; `accelerator` is what trained, for example "cpu"."""

    python: str
    platform: str
    cpu: str
    cores: StoredInt
    accelerator: str
    packages: dict[str, str] = Field(default_factory=dict)


class RunRecord(StrictModel):
    """Everything about one search, or one distillation, except its trials.

    Attributes:
        created_at: UTC, ISO 8601.
        command: the command line with every option that was given, also for a call from Python.
        phase_seconds: phase -> wall time, in the order they ran.
        planned_seconds: phase -> share of a time limit, as it was last planned; empty without one.
        data: with the features of the student that was trained in full, where candidates chose.
        settings: of the features that candidates chose among; none where there is one for all.
        feasibility: one per space; empty until sampled.
        final: None until the best student was trained at full length.
        caveats: what a reader must know before using a number; replaced when they are known anew.
        events: what became of the teacher and was decided on the way, in sentences.
        compression: of a student in stages; None of any other.
        capacity: of a ladder of widths; None of any other.
        finetune: of a student that went on with further data; None of any other.
    """

    schema_version: Literal[2] = 2
    made_by: Literal["search", "distill"] = "search"
    hwkd_version: str
    created_at: str
    status: RunStatus
    command: tuple[str, ...]
    seed: StoredInt
    workers: StoredInt
    phase_seconds: dict[str, float] = Field(default_factory=dict)
    planned_seconds: dict[str, float] = Field(default_factory=dict)
    device: DeviceRecord
    data: DataRecord
    teacher: TeacherRecord | None = None
    objective: ObjectiveConfig
    settings: tuple[SettingRecord, ...] = ()
    feasibility: tuple[FeasibilityRecord, ...] = ()
    environment: EnvironmentRecord
    final: FinalRecord | None = None
    caveats: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    compression: CompressionRecord | None = None
    capacity: CapacityRecord | None = None
    finetune: FinetuneRecord | None = None

    def in_setting(self, features: str | None) -> RunRecord:
        """Return the record with the data as students of one setting read it.

        Args:
            features: of a student (`StudentSpec.features`); None where there is one for all.
        """
        found = next((each for each in self.settings if each.features == features), None)
        if found is None:
            return self
        data = self.data.model_copy(update=found.model_dump(exclude={"features", "pipeline"}))
        data = data.model_copy(update={"pipeline": found.pipeline})
        return self.model_copy(update={"data": data})

    def cost_of(self, best: TrialRecord | None) -> CostEstimate | None:
        """Return the cost of the student trained in full, or else of the best trial's."""
        if self.final is not None:
            return self.final.cost
        return None if best is None else best.cost

    def profile_of(self, best: TrialRecord | None) -> Profile | None:
        """Return the measurement of the student trained in full, or else of the best trial's."""
        final = None if self.final is None else self.final.profile
        return final if final is not None or best is None else best.profile

    @property
    def all_caveats(self) -> tuple[str, ...]:
        """Everything to know before using a number: of the search, and of its end."""
        remarks = () if self.final is None else self.final.remarks
        decision = None if self.final is None else self.final.decision
        doubts = () if decision is None else decision.doubts
        if self.data.few_groups is not None:
            doubts = (*doubts, self.data.few_groups)
        return tuple(dict.fromkeys((*doubts, *self.caveats, *self.events, *remarks)))

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        # Its parts read themselves.
        is_first = isinstance(raw, dict) and raw.get("schema_version") == 1
        return caveats_of_older_run({**raw, "schema_version": 2} if is_first else raw)
