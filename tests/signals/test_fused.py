"""Steps that C does in one go are those that it can."""

from __future__ import annotations

import pytest
from support.signals import made_pipeline, tried_inputs

from hwkd.signals.fused import fused
from hwkd.signals.pipeline import shapes_of


@pytest.mark.parametrize(
    ("text", "is_fused"),
    [
        ("log-mel", True),
        ("log-mel:bins=12,window=16ms,stride=8ms", True),
        ("log-mel:bins=12,window=17.05ms,stride=10ms", False),  # 273 samples
        ("log-mel:window=64ms,stride=32ms,magnitude=yes,delta=yes,shape=hamming", False),
        ("imu", False),
    ],
)
def test_powers_of_frames_of_an_even_length_are_one_step(text: str, is_fused: bool) -> None:
    pipeline = made_pipeline(text, tried_inputs(text, 8), 16000.0 if "log" in text else 50.0)
    found = fused(pipeline.steps)
    assert ("frame-powers" in [step.kind for step in found]) == is_fused
    assert (
        shapes_of(found, pipeline.raw_shape)[-1]
        == shapes_of(pipeline.steps, pipeline.raw_shape)[-1]
    )
