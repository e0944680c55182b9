"""Open choices of a search are filled once: a search that is resumed keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recordings import recording_rows, write_recordings
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


@pytest.mark.parametrize(
    ("stride_s", "given", "target_s"),
    [(0.1, {}, 0.1), (0.8, {}, 0.4), (0.8, {"target_latency_s": 0.02}, 0.02)],
    ids=["the device's", "half the stride", "as asked"],
)
def test_latency_counts_where_an_answer_would_be_late(tmp_path, stride_s, given, target_s):
    data = write_recordings(tmp_path / "g.csv", recording_rows(people=6, seconds=3.0))
    config = make_config(
        tmp_path, device="cortex-m4", task="gesture", data=str(data), objective=given,
        reading={"window_s": 1.0, "stride_s": stride_s},
        teacher={"sources": []}, distill=[{"method": "none"}],
    )  # fmt: skip
    found = prepare_data(config, progress=silent).config.objective.target_latency_s
    assert found == pytest.approx(target_s)
