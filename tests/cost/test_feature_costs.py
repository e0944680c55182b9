"""Features of raw samples count in latency, RAM, flash and limits of the network behind them."""

from __future__ import annotations

import pytest
from support.signals import made_pipeline

from hwkd.core.chooser import RandomChooser
from hwkd.cost.features import FEATURES, FeatureNeed, with_features
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.feature_need import feature_need
from hwkd.engine.setup.resolve import screen_of
from hwkd.io.core_files import core_names
from hwkd.io.device_catalog import load_device
from hwkd.signals.pipeline import shapes_of
from hwkd.signals.tried import tried_signals
from hwkd.signals.work import on_core


@pytest.fixture(scope="module")
def pipeline():
    return made_pipeline("log-mel", tried_signals(8, 1, 16000), 16000.0)


def candidate(pipeline, device="cortex-m4", **limits):
    config = SearchConfig(device=device, spaces=("narrow_deep",), limits=limits)
    screen = screen_of(config, pipeline)
    space = screen.spaces["narrow_deep"]

    spec = space.suggest(RandomChooser(0), input_shape=(1, 40, 49), num_outputs=4)
    return screen.candidate(spec)


def test_every_core_that_is_emulated_has_counted_instructions(pipeline):
    shapes = shapes_of(pipeline.steps, pipeline.raw_shape)
    for core in core_names():
        work = on_core(pipeline.steps, shapes, core)
        assert work is not None
        assert 1e6 < work.instructions < 2e7
        assert 1000 < work.code_bytes < 5000
        assert work.error_ratio < 0.41
    assert on_core(pipeline.steps, shapes, "xtensa-lx7") is None


def test_features_are_a_part_of_latency_ram_and_flash(pipeline):
    alone, whole = candidate(None).cost, candidate(pipeline).cost
    need = feature_need(pipeline, load_device("cortex-m4"))
    assert whole.peak_ram_bytes - alone.peak_ram_bytes == need.ram_bytes == 2376
    assert whole.flash_bytes - alone.flash_bytes == need.flash_bytes > 2988
    assert whole.weight_bytes == alone.weight_bytes
    assert whole.per_op[0].kind == FEATURES
    took = whole.per_op[0].latency_s
    assert whole.latency_s == pytest.approx(alone.latency_s + took)
    assert whole.latency.low_s < whole.latency.value_s < whole.latency.high_s
    assert "never timed" in whole.latency.basis
    assert whole.latency.never_timed[FEATURES] == pytest.approx(took / whole.latency_s)
    alone_s = alone.latency_s
    for name, share in alone.latency.never_timed.items():
        part = whole.latency.never_timed[name]
        assert part * whole.latency_s == pytest.approx(share * alone_s)


def test_a_limit_that_the_network_alone_keeps_is_exceeded_with_features(pipeline):
    ram = candidate(None).cost.peak_ram_bytes + 100
    assert not candidate(None, ram_bytes=ram).violations
    (violation,) = candidate(pipeline, ram_bytes=ram).violations
    assert violation.limit_name == "ram"


def test_instructions_that_nobody_counted_are_no_zero(pipeline):
    alone = candidate(None).cost
    need = FeatureNeed(
        instructions=None, cycles_per_instruction=1.0, error_ratio=0.0, ram_bytes=10, flash_bytes=20
    )
    whole = with_features(alone, need)
    assert whole.is_lower_bound
    assert whole.unsupported_ops[FEATURES] == 1
    assert whole.per_op[0].latency_s is None
    assert whole.latency_s == alone.latency_s
