"""One candidate's record: what `trials.jsonl` holds, one JSON object per line.

Reports read records and nothing else, so a report needs neither torch nor the study. Readers of old
`schema_version`s stay for ever; see `tests/golden/`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AliasChoices, BeforeValidator, Field, model_validator
from pydantic_core import from_json

from hwkd.core.choices import LimitName
from hwkd.core.measure import CostEstimate, Profile
from hwkd.core.metric import ScoresRecord
from hwkd.core.old_records import cost_of_older_run, with_scores
from hwkd.core.strict_model import StoredInt, StrictModel, read_record, with_key
from hwkd.core.student import StudentSpec

TrialState: TypeAlias = Literal["completed", "rejected", "duplicate", "failed"]


# SHA-256 in hexadecimal; it names a file, so nothing else may stand there.
Digest: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


# What a network needs; older versions stored its latency as four loose fields.
StoredCost: TypeAlias = Annotated[CostEstimate, BeforeValidator(cost_of_older_run)]

# A student's choices with their key, which says whether somebody edited them.
StoredSpec: TypeAlias = Annotated[StudentSpec, *with_key("the spec's choices")]


class ViolationRecord(StrictModel):
    """A hard limit that the student exceeds: needs `needed`, may have `limit` (s, bytes or J)."""

    limit_name: LimitName
    needed: float
    limit: float

    @property
    def excess_ratio(self) -> float:
        """How far over: 0.25 is 25% over the limit."""
        return self.needed / self.limit - 1.0


class ObjectiveRecord(StrictModel):
    """The three terms, unweighted, and the weighted sum that was minimised.

    Attributes:
        task_error: mean validation error of the int8 student: 0 is best, 1 about what knowing
            nothing gives (`hwkd.core.head.Head.errors`).
        divergence: mean, of the int8 student from the teacher (`hwkd.core.head.Head.divergence`):
            of classes nats, of values variances of the targets. Version 1 says `kd_nats`.
        latency_overrun: max(0, latency / target - 1), no unit.
        value: alpha * task_error + beta * divergence + gamma * latency_overrun.
    """

    task_error: float
    divergence: float = Field(validation_alias=AliasChoices("divergence", "kd_nats"))
    latency_overrun: float
    value: float


class PredictedRecord(StrictModel):
    """What a measurement was expected to give, before it was made: a normal distribution."""

    mean: float
    deviation: float

    @property
    def half_width_80(self) -> float:
        """Half of the interval around the mean that should hold 80% of the measurements."""
        return 1.2815515594457418 * self.deviation

    def holds(self, measured: float) -> bool:
        """Tell whether a measurement lies in that interval."""
        return abs(measured - self.mean) <= self.half_width_80


class FidelityRecord(StrictModel):
    """How much training a candidate's result stands for; only equal ones compare.

    Attributes:
        samples: that an epoch draws at most; None is all of the train split.
    """

    epochs: StoredInt
    samples: StoredInt | None = None


class ProposalRecord(StrictModel):
    """Why the sampler chose a candidate.

    Attributes:
        origin: "reference": a design tried first; "first": spread over the costs, before there is
            a model; "survey" and "random": drawn; "mutation" and "crossover": of trials.
        parent: number of the trial that it was made from by mutation or crossover.
        task_error: predicted validation error of the int8 student; None before there is a model.
        gain: expected growth of the hypervolume (share of the box), or expected improvement of the
            weighted sum, for each predicted second.
        predicted_s: seconds that trying it takes, by arithmetic; only ratios mean something.
    """

    origin: Literal["reference", "first", "survey", "random", "mutation", "crossover"]
    parent: StoredInt | None = None
    task_error: PredictedRecord | None = None
    divergence: PredictedRecord | None = Field(
        default=None, validation_alias=AliasChoices("divergence", "kd_nats")
    )
    gain: float | None = None
    predicted_s: float


class EpochRecord(StrictModel):
    """Means over one epoch of training; loss terms by name, with the weights that they had."""

    epoch: StoredInt
    learning_rate: float
    losses: dict[str, float]
    grad_norms: dict[str, float] = Field(default_factory=dict)


class TrialRecord(StrictModel):
    """Everything about one candidate.

    Attributes:
        state: "completed"; "rejected" by a hard limit before training; "duplicate" of an earlier
            trial, whose result it repeats; "failed".
        reason: why it was rejected or failed, or which trial it repeats; None when completed.
        violations: every limit exceeded, worst first.
        cost: None only when building the graph failed.
        scores: on validation; the test split is never seen by a trial.
        proposal: why it was chosen; None where the sampler does not say.
        fidelity: how much training was asked for; None of an older version, which knew one length.
        start_from: SHA-256 of the artifact with the weights that it began with; None is afresh.
        macs_fvcore: MACs counted by fvcore on the torch module, a cross-check of `cost.macs`.
        epochs_made: passes over what an epoch draws, with the fraction of one that a time limit
            cut; None when it was not trained, or by an older version.
        training_s: wall time of the training alone.
        methods: what it learned by beside the labels, as `--method` takes it; empty is labels
            alone, None when it was not trained, or by an older version.
        weights: SHA-256 of the artifact with its weights; None when it has none, or an older
            version trained it.
        worker: name of the worker process that ran it.
        versions: package -> version.
    """

    schema_version: Literal[2] = 2
    number: StoredInt
    state: TrialState
    reason: str | None = None
    spec: StoredSpec | None = None
    seed: StoredInt
    violations: tuple[ViolationRecord, ...] = ()
    cost: StoredCost | None = None
    proposal: ProposalRecord | None = None
    fidelity: FidelityRecord | None = None
    start_from: Digest | None = None
    macs_fvcore: StoredInt | None = None
    scores: ScoresRecord | None = None
    objective: ObjectiveRecord | None = None
    profile: Profile | None = None
    epochs: tuple[EpochRecord, ...] = ()
    epochs_made: float | None = None
    training_s: float | None = None
    methods: tuple[str, ...] | None = None
    weights: Digest | None = None
    started_at: str
    duration_s: float
    worker: str = "main"
    versions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _reads_version_1(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or raw.get("schema_version") != 1:
            return raw
        names = {name: name for name in ("validation_float", "validation_int8")}
        return {**with_scores(raw, names, within="accuracy"), "schema_version": 2}

    @property
    def latency_s(self) -> float | None:
        """The latency that the search judges: estimated for a device, measured for the host."""
        if self.cost is not None and self.cost.latency_s is not None:
            return self.cost.latency_s
        return self.profile.median_s if self.profile is not None else None


def read_trial_summary(line: str | bytes, *, where: str) -> TrialRecord:
    """Parse one line of `trials.jsonl` without its tables per operator and per epoch.

    They are nine tenths of a record and only a page about that one student shows them; without
    them thousands of trials are read in seconds.

    Args:
        where: file and line number for the message.

    Raises:
        RunFolderError: if the line is not a record of a known schema version.
    """
    try:
        content = from_json(line)
        for part, table in (("cost", "per_op"), ("profile", "per_op"), (None, "epochs")):
            holder = content if part is None else content.get(part)
            if isinstance(holder, dict) and isinstance(holder.get(table), list):
                del holder[table]
        return TrialRecord.model_validate(content)
    except (ValueError, AttributeError):  # the line is damaged: its own reader says where
        return read_trial_line(line, where=where)


def read_trial_line(line: str | bytes, *, where: str) -> TrialRecord:
    """Parse one line of `trials.jsonl`.

    Args:
        where: file and line number for the message.

    Raises:
        RunFolderError: if the line is not a record of a known schema version.
    """
    return read_record(TrialRecord, line, where=where, what="trial record")
