"""What training on a device takes, beside what is counted by hand of a small network."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.profiled import profile, refused, write_small_model

from hwkd.core.errors import ConfigError
from hwkd.core.measure import CostEstimate, LatencyEstimate
from hwkd.cost.on_device_training import TrainingCost, TrainingPlan, training_cost
from hwkd.trace.onnx_file import load_graph

# A convolution of 3 to 8 channels on 16 x 16, ReLU, mean, fully connected 8 to 4.
_CONV_MACS, _DENSE_MACS = 8 * 27 * 256, 8 * 4
_CONV, _DENSE = 8 * 27 + 8, 8 * 4 + 4
_INPUT, _MAP = 3 * 256, 8 * 256


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("trained") / "small.onnx")


def _cost(**changes: object) -> CostEstimate:
    given: dict[str, object] = {
        "device": "x", "runtime": "y", "clock_hz": 1e8, "dtype": "int8", "macs": 1, "params": 1,
        "latency": LatencyEstimate(value_s=0.010, low_s=0.008, high_s=0.013, basis="made"),
        "peak_ram_bytes": 5000, "weight_bytes": 1, "flash_bytes": 1, "energy_j": None,
        **changes,
    }  # fmt: skip
    return CostEstimate(**given)


def _training(model: Path, text: str, **changes: object) -> TrainingCost:
    plan = TrainingPlan.parse(text)
    return training_cost(load_graph(model), _cost(**changes), plan, (0.2, 0.1, 0.3))


def test_all_layers_keep_what_the_way_back_reads(model: Path) -> None:
    found = _training(model, "sgd")
    assert (found.trained, found.trained_params) == (2, _CONV + _DENSE)
    # The input and what the last layer reads; of the ReLU a bit a value.
    assert found.kept_bytes == _INPUT + 8 + _MAP // 8
    assert found.weight_bytes == _CONV + _DENSE
    assert found.gradient_bytes == 4 * _CONV  # one layer after another
    assert found.state_bytes == 0
    back = _CONV_MACS + 2 * _DENSE_MACS  # nobody asks for the gradient of the input
    assert found.macs == _CONV_MACS + _DENSE_MACS + back + _CONV + _DENSE
    parts = (found.weight_bytes, found.gradient_bytes, found.kept_bytes, found.working_bytes)
    assert found.ram_bytes == sum(parts)


def test_thirty_two_bits_a_batch_and_adam_take_more(model: Path) -> None:
    found = _training(model, "adam:bits=32,batch=4")
    assert found.kept_bytes == _INPUT + 4 * 8 + _MAP // 8
    assert found.weight_bytes == found.gradient_bytes == 4 * (_CONV + _DENSE)
    assert found.state_bytes == 8 * (_CONV + _DENSE)
    assert found.working_bytes == 4 * 2 * _MAP  # gradients before and behind the ReLU
    assert found.sample_s is None and "nobody timed float32 kernels" in found.reason
    assert _training(model, "adam:bits=32", dtype="float32").sample_s is not None


def test_the_last_layer_alone_keeps_what_it_reads(model: Path) -> None:
    found = _training(model, "momentum:layers=1")
    assert (found.trained_params, found.kept_bytes) == (_DENSE, 8)
    assert found.macs == _CONV_MACS + 2 * _DENSE_MACS + 2 * _DENSE
    assert found.working_bytes == 5000  # inference in front needs more


def test_time_and_energy_are_bands_that_widen_on_the_way_back(model: Path) -> None:
    found = _training(model, "sgd:layers=1,samples=50,batch=2")
    back = (_DENSE_MACS + _DENSE // 2) / (_CONV_MACS + _DENSE_MACS)
    wanted = (0.010 * (1 + back), 0.008 * (1 + back), 0.013 * (1 + 2 * back))
    assert found.sample_s == pytest.approx(wanted)
    assert found.epoch is not None
    ends = (found.epoch.value_j, found.epoch.low_j, found.epoch.high_j)
    assert ends == pytest.approx([50 * w * s for w, s in zip((0.2, 0.1, 0.3), wanted, strict=True)])
    unknown = training_cost(load_graph(model), _cost(), TrainingPlan.parse("sgd"), None)
    assert unknown.epoch is None and unknown.reason == "no published power for this clock"
    assert _training(model, "sgd", latency=None).sample_s is None


def test_samples_and_a_teachers_file_lie_in_storage(model: Path) -> None:
    alone = _training(model, "sgd:layers=1,samples=10")
    assert alone.storage_bytes == 10 * (_INPUT + 2) + _DENSE
    taught = _training(model, "sgd:layers=1,samples=10,top=1")
    assert taught.teacher_bytes == 10 * (2 * 2 + 1)  # two float16, one class
    assert taught.storage_bytes == alone.storage_bytes + taught.teacher_bytes
    assert _training(model, "sgd:samples=10,top=3").teacher_bytes == 10 * 4 * 2  # all outputs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rmsprop", "'rmsprop' is none of sgd, momentum, adam"),
        ("sgd:layers", "'layers': expected bits, layers, batch, samples, top with a whole number"),
        ("sgd:rate=1", "'rate=1': expected bits"),
        ("sgd:bits=16", "bits are 8 or 32"),
        ("sgd:batch=0", "batch and samples from 1 on"),
        ("sgd:samples=99999999999", "numbers are at most 1,000,000,000"),
    ],
)
def test_plans_that_cannot_be_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TrainingPlan.parse(text)


def test_the_command_shows_and_writes_it(model: Path, capsys) -> None:
    found = profile(capsys, model, "--device", "cortex-m7", "--training", "sgd:samples=100,top=1")
    training = found["training"]
    assert training["ram_bytes"] > training["kept_bytes"] == _INPUT + 8 + _MAP // 8
    assert training["epoch"]["low_j"] < training["epoch"]["value_j"] < training["epoch"]["high_j"]
    line = refused(capsys, model, "--device", "cortex-m7", "--training", "sgd:layers=3")
    assert "layers=3, and the network has 2 with weights" in line
