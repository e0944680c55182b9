"""The product's sampler on a search: what it may know of a student, what it reads from trials."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from hwkd.core.student import ParamValue, StudentSpec
from hwkd.core.trial import PredictedRecord, ProposalRecord
from hwkd.cost.training_time import predicted_training_s
from hwkd.engine.run.trials import ATTR_NETWORK_KEY, ATTR_RECORD, ATTR_SURPLUS
from hwkd.engine.search.candidate_features import graph_features
from hwkd.engine.search.chooser import SPACE_PARAM, OptunaChooser
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.objective import latency_overrun
from hwkd.propose.candidates import Screened
from hwkd.propose.problem import Observation, Proposal
from hwkd.propose.sampler import SurrogateSampler
from hwkd.propose.traces import Params
from hwkd.train.seeding import derive_seed

__all__ = ["proposal_record", "surrogate_sampler"]

# Export, quantisation, scoring and the profile on the host, which every candidate takes alike.
_BESIDE_TRAINING_S = 1.0


def surrogate_sampler(
    context: SearchContext, *, references: Sequence[dict[str, ParamValue]] = ()
) -> SurrogateSampler[StudentSpec | None]:
    """Return the sampler of a search; what it proposes follows from the trials and the seed.

    Args:
        context: of the search.
        references: parameters of students to try first, in this order.
    """
    objective = context.config.objective
    validation = context.data.validation
    chance_error = context.data.head.blind_error(validation.labels)
    is_pareto = objective.mode == "pareto"
    given: tuple[Params, ...] = tuple(references)
    return SurrogateSampler(
        suggest=_suggest_in(context),
        screen=_screen_of(context),
        # No network is worth training for less than chance gives. The costs' own limits are kept
        # by screening; the front is measured where students that fit lie, which may be far below.
        limits=(chance_error, None, None, None) if is_pareto else (None,),
        group=SPACE_PARAM,
        references=given,
        outputs=2,
        observe=_observation,
        seed=derive_seed(context.config.seed, "sampler"),
    )


def proposal_record(proposal: Proposal) -> ProposalRecord:
    """Copy a proposal into the form that is stored."""
    predicted = [PredictedRecord(mean=m, deviation=d) for m, d in proposal.predicted[1:]]
    return ProposalRecord(
        origin=proposal.origin,
        parent=proposal.parent,
        task_error=predicted[0] if predicted else None,
        kd_nats=predicted[1] if predicted else None,
        gain=proposal.gain,
        predicted_s=proposal.screened.seconds,
    )


def _suggest_in(context: SearchContext) -> Any:
    spaces = context.screen.spaces
    shape, outputs = context.data.input_shape, context.data.num_outputs

    def suggest(trial: Any) -> StudentSpec | None:
        name = str(trial.suggest_categorical(SPACE_PARAM, list(spaces)))
        try:
            return spaces[name].suggest(
                OptunaChooser(trial, name), input_shape=shape, num_outputs=outputs
            )
        except Exception:  # a user's space may raise anything: such a candidate does not fit
            return None

    return suggest


def _screen_of(context: SearchContext) -> Any:
    config = context.config
    objective, training = config.objective, config.training
    samples = len(context.data.train)
    drawn = min(samples, training.brief_samples or samples)
    samples_seen = drawn * (training.brief_epochs or 1)
    is_pareto = objective.mode == "pareto"
    nothing = Screened(
        key=None, is_feasible=False, exact=(None,) * (4 if is_pareto else 1), features=()
    )

    def screen(spec: StudentSpec | None) -> Screened:
        if spec is None:
            return nothing
        try:
            candidate = context.screen.candidate(spec)
        except Exception:  # as in `_suggest_in`
            return nothing
        if candidate.violations:
            return nothing
        cost = candidate.cost
        latency_s = None if cost.latency is None else cost.latency.value_s
        exact: tuple[float | None, ...] = (None,)
        if is_pareto:
            exact = (None, latency_s, float(cost.peak_ram_bytes), float(cost.flash_bytes))
        overrun = latency_overrun(latency_s, objective.target_latency_s)
        return Screened(
            key=candidate.layers.key,
            is_feasible=True,
            exact=exact,
            features=graph_features(candidate.graph),
            seconds=_BESIDE_TRAINING_S
            + predicted_training_s(candidate.graph, samples_seen=samples_seen),
            offset=0.0 if is_pareto else objective.gamma * overrun,
        )

    return screen


def _observation(trial: FrozenTrial) -> Observation | None:
    """Read a trial; one that was cut off or taken back leaves no trace."""
    attributes = trial.user_attrs
    key = attributes.get(ATTR_NETWORK_KEY)
    if trial.state == OptunaState.RUNNING:
        if attributes.get(ATTR_SURPLUS):
            return None
        return Observation(number=trial.number, params=trial.params, key=key, is_pending=True)
    if ATTR_RECORD not in attributes or key is None:
        return None
    # Reading the whole record as its type would cost a search of thousands of trials seconds.
    record = json.loads(attributes[ATTR_RECORD])
    objective = record.get("objective")
    is_result = record["state"] == "completed" and objective is not None and trial.values
    return Observation(
        number=record["number"],
        params=trial.params,
        key=key,
        values=tuple(trial.values) if is_result else None,
        outputs=(objective["task_error"], objective["kd_nats"]) if is_result else (),
    )
