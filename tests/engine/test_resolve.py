"""Open choices of a search are filled once: a search that is resumed keeps them."""

from __future__ import annotations

from pathlib import Path

from support.tiny_search import make_config

from hwkd.core.progress import silent
from hwkd.engine.setup.prepare import prepare_data, survey_spaces


def test_a_configuration_that_is_filled_again_stays(tmp_path: Path) -> None:
    asked = make_config(tmp_path, training={"full_epochs": 1, "controls": 0})
    first = survey_spaces(prepare_data(asked, progress=silent), times_brief_training=True)
    filled = first.prepared.config
    assert filled.training.brief_epochs is not None
    assert filled.training.brief_samples is not None
    assert prepare_data(filled, progress=silent).config == filled
