"""Corrections of float weights: the same function, or one without a mean error in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layers
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import onnx_model, save_model
from hwkd.deploy.weight_correction import (
    correct_biases,
    equalise_channels,
    replace_weights,
    stored_weights,
)
from hwkd.nn.build import build_module


def chain() -> Layers:
    """A convolution, a depthwise and a pointwise reader of it, a classifier."""
    builder = LayersBuilder((1, 6, 6))
    x = builder.conv("input", "stem", 8, kernel=3, activation="relu")
    x = builder.depthwise(x, "deep", kernel=3, activation="relu")
    x = builder.conv(x, "mix", 6, activation="relu")
    builder.classifier(x, 4)
    return builder.build()


@pytest.fixture
def samples() -> np.ndarray:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(128, 1, 6, 6, generator=generator).numpy()


def uneven_model() -> onnx.ModelProto:
    """The chain with channels of very different size, the same function as without."""
    model = onnx_model(build_module(chain(), seed=0).eval(), chain())
    arrays = stored_weights(model)
    gains = np.array([1, 30, 1, 1 / 20, 1, 1, 1 / 10, 1], dtype=np.float32)
    for producer, reader, axis in (("stem", "deep", 0), ("deep", "mix", 1)):
        arrays[f"{producer}.weight"] = arrays[f"{producer}.weight"] * gains.reshape(-1, 1, 1, 1)
        arrays[f"{producer}.bias"] = arrays[f"{producer}.bias"] * gains
        shape = (-1, 1, 1, 1) if axis == 0 else (1, -1, 1, 1)
        arrays[f"{reader}.weight"] = arrays[f"{reader}.weight"] / gains.reshape(shape)
    return replace_weights(model, arrays)


def outputs(model: onnx.ModelProto, samples: np.ndarray, folder: Path) -> np.ndarray:
    save_model(model, folder / "model.onnx")
    return predict(open_session(folder / "model.onnx"), samples)


def int8_outputs(model: onnx.ModelProto, samples: np.ndarray, folder: Path) -> np.ndarray:
    save_model(model, folder / "float.onnx")
    quantise_int8(folder / "float.onnx", folder / "int8.onnx", samples)
    return predict(open_session(folder / "int8.onnx"), samples)


def test_equalising_changes_no_output(samples: np.ndarray, tmp_path: Path) -> None:
    before = outputs(uneven_model(), samples, tmp_path)
    after = outputs(equalise_channels(uneven_model(), samples), samples, tmp_path)
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())


def test_equalising_uneven_channels_loses_less_in_8_bits(
    samples: np.ndarray, tmp_path: Path
) -> None:
    model = uneven_model()
    expected = outputs(model, samples, tmp_path)
    plain = np.abs(int8_outputs(model, samples, tmp_path) - expected).mean()
    even = equalise_channels(model, samples)
    assert np.abs(int8_outputs(even, samples, tmp_path) - expected).mean() < plain / 2


def test_channels_before_a_depthwise_reader_all_fill_the_range(samples: np.ndarray) -> None:
    arrays = stored_weights(equalise_channels(uneven_model(), samples))
    before = stored_weights(uneven_model())
    changed = arrays["stem.weight"] / before["stem.weight"]
    assert changed.min() >= 0.99  # a weak channel grows, none shrinks
    assert changed.max() > 10


def rough_model(samples: np.ndarray) -> onnx.ModelProto:
    """A model whose small weights all round the same way, beside one large one per channel."""
    model = onnx_model(build_module(chain(), seed=0).eval(), chain())
    arrays = stored_weights(model)
    weight = np.full_like(arrays["mix.weight"], 0.0045)
    weight[:, 0] = 1.0
    return replace_weights(model, {"mix.weight": weight})


def test_corrected_biases_leave_a_smaller_mean_error(samples: np.ndarray, tmp_path: Path) -> None:
    model = rough_model(samples)
    expected = outputs(model, samples, tmp_path)
    plain = int8_outputs(model, samples, tmp_path) - expected
    corrected = int8_outputs(correct_biases(model, samples), samples, tmp_path) - expected
    assert np.abs(corrected.mean(axis=0)).mean() < 0.7 * np.abs(plain.mean(axis=0)).mean()


def test_bias_correction_touches_biases_alone(samples: np.ndarray) -> None:
    before = stored_weights(uneven_model())
    after = stored_weights(correct_biases(uneven_model(), samples))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in before if name.endswith(".bias")}
