"""What happens before the first trial: the data is read, and once, what fits is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwkd.core.progress import Progress
from hwkd.core.run_record import SettingRecord
from hwkd.core.setting import SettingSpace
from hwkd.engine.setup.answering import refuse_unanswering
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.feasibility import SpaceFeasibility, drop_infeasible, survey
from hwkd.engine.setup.fitted_survey import fitted_survey
from hwkd.engine.setup.own_runtime import OwnRuntime, own_runtime
from hwkd.engine.setup.references import ReferenceSurvey
from hwkd.engine.setup.resolve import (
    load_data,
    quickest_training_s,
    resolve_config,
    screen_of,
    timed_brief_epochs,
)
from hwkd.engine.setup.rooms import KeptRooms
from hwkd.engine.setup.screening import Candidate, Screen, load_spaces
from hwkd.engine.setup.settings import offered_settings
from hwkd.engine.setup.transfer import TransferSet, configured_transfer
from hwkd.io.discovery import registered_spaces
from hwkd.tasks.base import Task, TaskData


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Data, device and limits of a search, before any training.

    Attributes:
        screen: device, limits and spaces; the survey of a new search fits these to the limits.
        transfer: what students train on: the train split, and unlabelled data if there is any.
        settings: of the features that students choose among; none where there is one for all.
    """

    config: SearchConfig
    screen: Screen
    task: Task
    data: TaskData
    transfer: TransferSet
    settings: tuple[SettingRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What fits, found once at the beginning of a search.

    Attributes:
        prepared: with the spaces in which something fits, and the length of brief training.
        feasibility: one entry per space, those left out included.
        references: textbook designs scaled to the limits.
        learning_s: processor seconds in which the fastest of them learns something, by arithmetic;
            0 without any.
        pass_s: those in which it sees the train split once.
        own_runtime: how much more fits with the exported C; None where that is no advice.
    """

    prepared: Prepared
    feasibility: tuple[SpaceFeasibility, ...]
    references: ReferenceSurvey
    rooms: KeptRooms
    learning_s: float
    pass_s: float
    own_runtime: OwnRuntime | None = None


def prepare_data(
    config: SearchConfig,
    *,
    progress: Progress,
    settings: tuple[SettingRecord, ...] | None = None,
) -> Prepared:
    """Read the data and fill open choices; nothing is trained, and features alone are cached.

    Args:
        settings: of a run that goes on; None finds those that candidates are to choose among.
    """
    device = screen_of(config).device  # unknown names are refused before any data is read
    task, data = load_data(config, progress=progress)
    if settings is None:
        config = _with_spaces_of_signals(config, data)
    resolved = resolve_config(_within_budget(config, task), device, data)
    if settings is None:
        settings = offered_settings(resolved, data, progress=progress)
    screen = screen_of(resolved, data.pipeline, settings, data.head)
    refuse_unanswering(screen, task, data)
    return Prepared(
        config=resolved,
        settings=settings,
        screen=screen,
        task=task,
        data=data,
        transfer=configured_transfer(resolved, data),
    )


def _with_spaces_of_signals(config: SearchConfig, data: TaskData) -> SearchConfig:
    """Add the spaces for signals where the data are some and the spaces are the usual ones."""
    has_time = len(data.input_shape) == 2 and data.input_shape[1] > 1
    if not has_time or config.spaces != registered_spaces():
        return config
    return config.model_copy(update={"spaces": registered_spaces(of_signals=True)})


def _within_budget(config: SearchConfig, task: Task) -> SearchConfig:
    """Bound the weights by what the task's students usually take, where the user did not."""
    if config.limits.weight_bytes is not None or task.weight_budget_bytes is None:
        return config
    limits = config.limits.model_copy(update={"weight_bytes": task.weight_budget_bytes})
    return config.model_copy(update={"limits": limits})


def survey_spaces(prepared: Prepared, *, times_brief_training: bool) -> Survey:
    """See what fits, and leave the other spaces out.

    Args:
        prepared: of a new search; one that is resumed has left them out.
        times_brief_training: choose its length by the time limit, for the user did not.
    """
    config, data = prepared.config, prepared.data
    shape, outputs = data.input_shape, data.num_outputs
    screen, references = fitted_survey(prepared.screen, input_shape=shape, num_outputs=outputs)
    sampled = survey(screen, input_shape=shape, num_outputs=outputs, seed=config.seed)
    found = drop_infeasible(sampled, references)
    resolved = _without_left_out(config, screen, found)
    students = [screen.candidate(design.spec) for design in references.students]
    if times_brief_training:
        resolved = _with_timed_brief_training(resolved, students, len(data.train))
    return Survey(
        prepared=replace(prepared, config=resolved),
        feasibility=found,
        references=references,
        rooms=KeptRooms.of(screen, input_shape=shape, num_outputs=outputs),
        learning_s=quickest_training_s(students),
        pass_s=quickest_training_s(students, samples=len(data.train)),
        own_runtime=own_runtime(
            screen, sampled, input_shape=shape, num_outputs=outputs, seed=config.seed
        ),
    )


def _without_left_out(
    config: SearchConfig, screen: Screen, found: Sequence[SpaceFeasibility]
) -> SearchConfig:
    """Return the configuration that workers read: without spaces in which nothing fits.

    Where candidates choose their features, that is in no setting.
    """
    spaces = [screen.spaces[each.space] for each in found if not each.is_left_out]
    names = {(s.space if isinstance(s, SettingSpace) else s).name for s in spaces}
    kept = tuple(entry for entry in config.spaces if names & set(load_spaces((entry,))))
    return config.model_copy(update={"spaces": kept})


def _with_timed_brief_training(
    config: SearchConfig, students: Sequence[Candidate], samples: int
) -> SearchConfig:
    drawn = min(samples, config.training.brief_samples or samples)
    epochs = timed_brief_epochs(config, students, drawn)
    if epochs is None:
        return config
    training = config.training.model_copy(update={"brief_epochs": epochs})
    return config.model_copy(update={"training": training})
