"""Ranges of activations: what each method keeps, and how a range becomes a scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwkd.core.layers_builder import LayersBuilder
from hwkd.deploy.calibrate import CALIBRATION_METHODS, Encoding, activation_ranges
from hwkd.deploy.to_onnx import export_onnx
from hwkd.nn.build import build_module


@pytest.fixture
def float_path(tmp_path: Path) -> Path:
    builder = LayersBuilder((1, 4, 4))
    builder.classifier(builder.conv("input", "stem", 4, kernel=3, activation="relu"), 3)
    layers = builder.build()
    export_onnx(build_module(layers, seed=0).eval(), layers, tmp_path / "float.onnx")
    return tmp_path / "float.onnx"


def samples_with_an_outlier() -> np.ndarray:
    samples = np.random.default_rng(0).normal(size=(64, 1, 4, 4)).astype(np.float32)
    samples[0, 0, 0, 0] = 12.0
    return samples


def test_minimum_and_maximum_are_those_of_the_samples(float_path: Path) -> None:
    samples = samples_with_an_outlier()
    low, high = activation_ranges(float_path, samples, method="minmax")["input"]
    assert (low, high) == (samples.min(), samples.max())


def test_percentiles_leave_out_a_lone_outlier(float_path: Path) -> None:
    samples = np.concatenate([samples_with_an_outlier() for _ in range(10)])
    samples[64:] = np.clip(samples[64:], -3.0, 3.0)
    _, high = activation_ranges(float_path, samples, method="percentile")["input"]
    assert 2.0 < high < 12.0


def test_the_range_of_least_error_is_better_than_the_full_one(float_path: Path) -> None:
    """Of 65,536 even values one lies 10% beyond: fewer, finer steps cost it little."""
    samples = np.random.default_rng(0).uniform(-1, 1, size=(4096, 1, 4, 4)).astype(np.float32)
    samples[0, 0, 0, 0] = 1.1
    errors = {}
    for method in ("minmax", "mse"):
        encoding = Encoding.of(*activation_ranges(float_path, samples, method=method)["input"])
        steps = np.clip(np.rint(samples / encoding.scale) + encoding.zero_point, -128, 127)
        errors[method] = np.mean((samples - (steps - encoding.zero_point) * encoding.scale) ** 2)
    assert errors["mse"] < errors["minmax"]


@pytest.mark.parametrize("method", CALIBRATION_METHODS)
def test_every_tensor_has_a_range(float_path: Path, method) -> None:
    ranges = activation_ranges(float_path, samples_with_an_outlier(), method=method)
    assert {"input", "stem", "stem_act", "pool", "embedding", "logits"} <= set(ranges)
    assert all(low <= high for low, high in ranges.values())


def test_an_encoding_spans_its_range_in_255_steps_and_holds_zero_exactly() -> None:
    encoding = Encoding.of(-1.0, 3.0)
    assert encoding.scale == pytest.approx(4.0 / 255)
    assert encoding.zero_point == round(-128 + 1.0 / (4.0 / 255))
    assert Encoding.of(1.0, 3.0) == Encoding.of(0.0, 3.0)
    assert Encoding.of(0.0, 3.0).zero_point == -128


def test_a_tensor_that_was_always_zero_still_stops_what_is_below() -> None:
    assert Encoding.of(0.0, 0.0) == Encoding(1.0, -128)
