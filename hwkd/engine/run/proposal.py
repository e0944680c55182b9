"""What is tried next, and what was tried: the two values between a proposer and the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from hwkd.core.best import weighted_value
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.strict_model import StrictModel, read_record
from hwkd.core.student import ParamValue
from hwkd.core.trial import Digest, FidelityRecord, ProposalRecord, StoredSpec, TrialRecord
from hwkd.engine.setup.objective import objective_values


class Proposal(StrictModel):
    """A candidate to try: which student, how long a training, from which weights.

    Attributes:
        spec: the student; None when the search space failed to make it.
        params: the choices that made it, by the names that the study knows.
        fidelity: how much training its result stands for.
        start_from: SHA-256 of an artifact with the weights that it begins with; None is afresh.
        network_key: `Candidate.key` of the student, where the proposer knows it already.
        why: it was chosen; None where the proposer does not say.
        memory: what the proposer wants to find beside the candidate in later histories; JSON.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    spec: StoredSpec | None
    params: Mapping[str, ParamValue | None] = Field(default={}, exclude=True)
    domains: SkipJsonSchema[Mapping[str, BaseDistribution]] = Field(default={}, exclude=True)
    fidelity: FidelityRecord
    start_from: Digest | None = None
    network_key: str | None = Field(default=None, exclude=True)
    why: ProposalRecord | None = None
    memory: Mapping[str, Any] = Field(default={}, exclude=True)
    failure: str | None = None

    def stored(self) -> str:
        """Return what the study keeps beside the choices; see `read`."""
        return self.model_dump_json()

    @classmethod
    def read(
        cls,
        stored: str,
        *,
        params: Mapping[str, ParamValue | None],
        domains: Mapping[str, BaseDistribution],
        network_key: str | None,
        where: str,
    ) -> Proposal:
        """Return the proposal that was stored, with what the study keeps itself.

        Raises:
            RunFolderError: if another version stored it.
        """
        found = read_record(cls, stored, where=where, what="proposal")
        kept = {"params": params, "domains": domains, "network_key": network_key}
        return found.model_copy(update=kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A candidate that was proposed before.

    Attributes:
        network_key: `Candidate.key`; None where no worker has built it yet.
        record: what came of it, without its tables; None while it waits or runs.
        memory: what its proposer left beside it.
    """

    number: int
    params: Mapping[str, ParamValue | None]
    domains: Mapping[str, BaseDistribution]
    network_key: str | None
    record: TrialRecord | None
    memory: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that a proposal may depend on, beside the search and its seed.

    Attributes:
        finished: candidates with a record; later histories of the same search only add to it.
        goal: what is minimised now: the weight of the divergence from a teacher that was left out
            is 0.
    """

    finished: Sequence[Tried]
    pending: Sequence[Tried]
    candidates: int
    goal: ObjectiveConfig

    @property
    def objectives(self) -> int:
        """How many numbers are minimised."""
        return self.goal.objectives

    def values(self, record: TrialRecord) -> tuple[float, ...]:
        """Return what is minimised, for a record by the goal of now; empty without a result."""
        if record.objective is None:
            return ()
        if self.goal.mode == "weighted":
            return (weighted_value(self.goal, record.objective),)
        return objective_values(record, self.objectives)
