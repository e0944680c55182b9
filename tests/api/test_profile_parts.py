"""What features of raw samples add to a profile, part by part."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.profiled import write_small_model

from hwkd.api.profile_model import profile_model
from hwkd.cost.backend import CostQuestion
from hwkd.cost.features import FeatureNeed
from hwkd.io.device_catalog import load_device

NEED = FeatureNeed(
    instructions=50_000.0, cycles_per_instruction=2.0, error_ratio=0.0, ram_bytes=3000,
    flash_bytes=5000,
)  # fmt: skip


@pytest.mark.parametrize("runtime", ["x-cube-ai-8", "hwkd-c"])
def test_features_are_a_layer_and_in_every_sum(tmp_path: Path, runtime: str) -> None:
    model = write_small_model(tmp_path / "small.onnx")
    question = CostQuestion(device=load_device("cortex-m7"), runtime=runtime, clock_hz=1e8)
    alone, both = profile_model(model, question), profile_model(model, question, features=NEED)
    assert both.cost.per_op[0].name == both.stages[0].op == "features"
    assert both.stages[1:] == alone.stages
    assert both.ram_parts == {**alone.ram_parts, "feature_bytes": 3000}
    assert both.flash_parts == {**alone.flash_parts, "feature_bytes": 5000}
    assert sum(both.ram_parts.values()) == both.cost.peak_ram_bytes
    added = (both.cost.latency_s or 0) - (alone.cost.latency_s or 0)
    assert added == pytest.approx(100_000 / 1e8)
    if alone.ram_interval_bytes is not None:
        assert both.ram_interval_bytes == tuple(end + 3000 for end in alone.ram_interval_bytes)
    counts = both.predicted_instructions
    assert (counts is not None) is (runtime == "hwkd-c")
    assert counts is None or counts["features"] == 50_000
