"""The proposer as an Optuna sampler, for `optuna.create_study(sampler=SurrogateSampler())`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from threading import RLock
from typing import Any, Generic, TypeVar

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hwkd.propose.candidates import Screened, screen_by_choices
from hwkd.propose.domains import draw
from hwkd.propose.inferred import BRANCH, InferredSpace, infer_space
from hwkd.propose.observations import Observations
from hwkd.propose.problem import Observation, Problem, Recommendation
from hwkd.propose.recommender import Recommender
from hwkd.propose.traces import Params, Suggest

T = TypeVar("T")

# Without a description of the space, so many trials show it before a model chooses.
_RANDOM_FIRST = 10


class StudyReader:
    """Reads the trials of a study once each; turns them into observations."""

    def __init__(
        self,
        observe: Callable[[FrozenTrial], Observation | None],
        objectives: int,
    ) -> None:
        """Start before the first trial.

        Args:
            observe: None leaves a trial out, as if it had not been asked for.
        """
        self._observe = observe
        self._history = Observations(objectives)
        self._open: list[int] = []
        self._read = 0

    def read(self, trials: Sequence[FrozenTrial], *, but: int | None) -> Observations:
        """Return what was observed.

        Args:
            but: number of the trial that a candidate is sought for.
        """
        self._history.pending.clear()
        waiting = [*self._open, *range(self._read, len(trials))]
        self._open, self._read = [], len(trials)
        for number in waiting:
            trial = trials[number]
            if not trial.state.is_finished():
                self._open.append(number)
                if trial.state == TrialState.WAITING or number == but or not trial.params:
                    continue
            observation = self._observe(trial)
            if observation is not None:
                self._history.add(observation)
        return self._history


class SurrogateSampler(BaseSampler, Generic[T]):
    """Chooses what promises most: expected hypervolume, or improvement, per predicted second.

    Alone it works on any study with one objective or more, with constraints or without. With
    `suggest` it knows the space from the start, conditional choices included; with `screen` it
    also knows what arithmetic knows: costs that need no measurement, candidates that do not fit
    (never asked for), equal candidates, features, how long each takes to try.

    The same seed and the same trials give the same next trial, however often the process was
    started anew.
    """

    def __init__(
        self,
        *,
        suggest: Suggest[T] | None = None,
        screen: Callable[[T], Screened] | None = None,
        limits: Sequence[float | None] | None = None,
        group: str | None = None,
        references: Sequence[Params] = (),
        outputs: int = 0,
        observe: Callable[[FrozenTrial], Observation | None] | None = None,
        seed: int = 0,
    ) -> None:
        """Remember what is known about the candidates.

        Args:
            suggest: makes the choices of a candidate as the objective does, on a trial.
            screen: what `suggest` returned -> what arithmetic says about it; pure and fast.
            limits: per objective (after turning maximised ones over): values above are worth
                nothing; None where there is none.
            group: name of the choice that tells families of candidates apart.
            references: choices of candidates to try first.
            outputs: how many further measured numbers `observe` gives.
            observe: reads a trial; by default its values and constraints.
        """
        if screen is not None and suggest is None:
            raise ValueError("screen needs suggest: it costs what suggest returned")
        self._suggest = suggest
        self._screen = screen
        self._limits = tuple(limits) if limits is not None else None
        self._group = group
        self._references = tuple(references)
        self._outputs = outputs
        self._observe = observe
        self._seed = seed
        self._lock = RLock()
        self._study_name: str | None = None
        self._reader: StudyReader | None = None
        self._recommender: Recommender[Any] | None = None
        self._space: InferredSpace | None = None
        self._ahead: tuple[Recommendation | None] | None = None
        self._asked: dict[int, Recommendation | None] = {}
        self._turn: int | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the lock out; studies with several processes copy their sampler."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Make a new lock."""
        self.__dict__.update(state, _lock=RLock())

    @property
    def turn(self) -> int | None:
        """How many candidates were asked for before the next one; None: the number of its trial."""
        return self._turn

    @turn.setter
    def turn(self, turn: int) -> None:
        self._turn, self._ahead = turn, None

    def look_ahead(self, study: Study) -> Recommendation | None:
        """Return what the next `ask` will choose; None when every candidate that fits was tried."""
        with self._lock:
            proposal = self._propose(study, None)
            self._ahead = (proposal,)
            return proposal

    def proposal_of(self, trial_number: int) -> Recommendation | None:
        """Return why a trial of this process was chosen as it is; None where it was not."""
        return self._asked.get(trial_number)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Choose a candidate; its names and their distributions are the space."""
        with self._lock:
            if self._ahead is not None:
                (proposal,), self._ahead = self._ahead, None
            else:
                proposal = self._propose(study, trial)
                if proposal is None and self._recommender is not None:
                    with suppress(RuntimeError):  # asked outside `optimize`: nothing to stop
                        study.stop()
            self._asked = {trial.number: proposal}
        if proposal is None:
            return {}
        domains = dict(proposal.trace.domains)
        domains.pop(BRANCH, None)
        # A choice that decides a branch was narrowed to what was seen there; the study knows more.
        wider: Mapping[str, BaseDistribution] = {} if self._space is None else self._space.domains
        return {name: wider.get(name, domain) for name, domain in domains.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the choices of the candidate."""
        del study
        proposal = self._asked.get(trial.number)
        if proposal is None:
            return {}
        return {name: proposal.trace.params[name] for name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a choice that no candidate covers."""
        del study
        random = Random(f"{self._seed}:independent:{trial.number}:{param_name}")
        return draw(param_distribution, random)

    def _propose(self, study: Study, trial: FrozenTrial | None) -> Recommendation | None:
        trials = study.get_trials(deepcopy=False)
        if self._study_name != study.study_name:
            self._study_name, self._reader, self._recommender = study.study_name, None, None
        if self._suggest is None and not self._infer(study, trials):
            return None
        if self._recommender is None:
            self._recommender = Recommender(self._problem(study), seed=self._seed)
        if self._reader is None:
            observe = self._observe or (lambda t: self._default_observation(study, t))
            self._reader = StudyReader(observe, len(study.directions))
        number = None if trial is None else trial.number
        history = self._reader.read(trials, but=number)
        turn = self.turn if self.turn is not None else len(trials) if number is None else number
        return self._recommender.recommend(history, turn=turn)

    def _infer(self, study: Study, trials: Sequence[FrozenTrial]) -> bool:
        del study
        complete = [t for t in trials if t.state == TrialState.COMPLETE]
        if len(complete) < _RANDOM_FIRST:
            return False
        space = infer_space(t for t in trials if t.state.is_finished())
        if space is None:
            return False
        if self._space is None or space.signature != self._space.signature:
            # What was read is labelled by the space; a new one reads everything again.
            self._space, self._recommender, self._reader = space, None, None
        return True

    def _problem(self, study: Study) -> Problem[Any]:
        objectives = len(study.directions)
        screen = self._screen
        suggest: Suggest[Any]
        if self._suggest is not None:
            suggest = self._suggest
        else:
            assert self._space is not None
            suggest = self._space.suggest
        return Problem(
            suggest=suggest,
            screen=(
                screen_by_choices(objectives)
                if screen is None
                else lambda trace: screen(trace.made)
            ),
            objectives=objectives,
            limits=self._limits or (None,) * objectives,
            group=self._group,
            references=self._references,
            outputs=self._outputs,
        )

    def _default_observation(self, study: Study, trial: FrozenTrial) -> Observation | None:
        params = trial.params if self._space is None else self._space.labelled(trial.params)
        if trial.state == TrialState.RUNNING:
            return Observation(number=trial.number, params=params, is_pending=True)
        if not params:
            return None
        values = None
        if trial.state == TrialState.COMPLETE:
            values = tuple(
                -value if direction == StudyDirection.MAXIMIZE else value
                for value, direction in zip(trial.values, study.directions, strict=True)
            )
        return Observation(
            number=trial.number, params=params, values=values, constraints=_constraints(trial)
        )


def _constraints(trial: FrozenTrial) -> tuple[float, ...]:
    """Return measured constraints by name; the study stores them among its own attributes."""
    named: dict[str, float] = {}
    for key, value in trial.system_attrs.items():
        if key == "constraints" and value is not None:
            named.update({f"{index:04d}": float(v) for index, v in enumerate(value)})
        elif key.startswith("constraints:"):
            named[key] = float(value)
    return tuple(named[name] for name in sorted(named))
