"""Open choices of a search are filled once: a search that is resumed keeps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.recordings import recording_rows, write_recordings
from support.tiny_search import make_config

from hwkd.core.progress import silent
from hwkd.engine.setup.prepare import prepare_data, survey_spaces
from hwkd.io.discovery import registered_spaces


def test_a_configuration_that_is_filled_again_stays(tmp_path: Path) -> None:
    asked = make_config(tmp_path, training={"full_epochs": 1, "controls": 0})
    first = survey_spaces(prepare_data(asked, progress=silent), times_brief_training=True)
    filled = first.prepared.config
    assert filled.training.brief_epochs is not None
    assert filled.training.brief_samples is not None
    assert prepare_data(filled, progress=silent).config == filled


@pytest.mark.parametrize(
    ("shape", "named", "is_searched"),
    [
        ((2, 128), (), True),
        ((9,), (), False),
        ((1, 8, 8), (), False),
        ((2, 128), ("plain",), False),
    ],
    ids=["signals", "vectors", "pictures", "signals in spaces that the user names"],
)
def test_signals_are_searched_over_time_where_the_user_names_no_space(
    tmp_path: Path, shape: tuple[int, ...], named: tuple[str, ...], is_searched: bool
) -> None:
    inputs = np.random.default_rng(0).normal(size=(60, *shape)).astype(np.float32)
    np.savez(tmp_path / "asked.npz", x_train=inputs, y_train=np.arange(60) % 2)
    data, reading = str(tmp_path / "asked.npz"), {"layout": ("nf", "nct", "nchw")[len(shape) - 1]}
    spaces = named or registered_spaces()
    config = make_config(tmp_path, data=data, reading=reading, spaces=spaces)
    found = prepare_data(config, progress=silent)
    assert ("temporal" in found.config.spaces) == is_searched
    assert prepare_data(found.config, progress=silent, settings=()).config == found.config


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
