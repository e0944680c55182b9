"""The settings of features that candidates choose among, each prepared once and cached."""

from __future__ import annotations

import numpy as np

from hwkd.core.errors import ConfigError
from hwkd.core.progress import Progress
from hwkd.core.run_record import SettingRecord
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data
from hwkd.signals.features import settings_of
from hwkd.tasks.base import SPLITS, TaskData

_OPTION = "--search-features"


def offered_settings(
    config: SearchConfig, data: TaskData, *, progress: Progress
) -> tuple[SettingRecord, ...]:
    """Return the settings that suit the data, that of the data first; none where none is asked for.

    Args:
        data: in the setting that was asked for, about which the teacher is asked.

    Raises:
        ConfigError: if there is only one, or what students learn by does not go with several.
    """
    if not config.search_features:
        return ()
    _require_answers_alone(config)
    found = [_record(data.features, data)]
    refused = ""
    for features in settings_of(data.features)[1:]:
        progress("features", len(found), len(found) + 1, features)
        try:
            _, other = load_data(config.in_setting(features))
        except ConfigError as error:  # the signals are too short for it, or too slow
            refused = str(error)
            continue
        # The teacher answers for examples, so every setting has to have the same ones.
        if all(np.array_equal(data.split(s).labels, other.split(s).labels) for s in SPLITS):
            found.append(_record(features, other))
    if len(found) == 1:
        why = f" that suits the data ({refused})" if refused else ""
        raise ConfigError(
            f"{_OPTION}: --features {data.features} has no other setting{why}; leave it out, or "
            "give features that have some (--help names them)"
        )
    return tuple(found)


def _record(features: str, data: TaskData) -> SettingRecord:
    return SettingRecord(
        features=features,
        fingerprint=data.fingerprint,
        input_shape=data.input_shape,
        pipeline=data.pipeline.record(),
    )


def _require_answers_alone(config: SearchConfig) -> None:
    """Refuse what shows the teacher a student's own inputs, whose shape differs by setting."""
    from hwkd.engine.setup.loaded_set import needs_live_teacher  # torch
    from hwkd.engine.setup.methods import configured_methods

    transfer = config.transfer
    given = {
        "--unlabelled": transfer.unlabelled is not None,
        "--copies": transfer.copies > 1,
        "--scheme": config.scheme is not None,
        "--method": needs_live_teacher(configured_methods(config) or ()),
    }
    if option := next((name for name, is_given in given.items() if is_given), None):
        raise ConfigError(
            f"{_OPTION}: students learn from the answers of a teacher that reads features of one "
            f"setting; {option} asks more, so leave one of the two out"
        )
