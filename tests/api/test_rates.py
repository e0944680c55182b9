"""Rates of samples that a user gives, and every command whose message asks for one."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy.io import wavfile
from support.recordings import recording_rows, write_recordings
from support.spoken import RATE_HZ, tone, write_spoken

import hwkd
from hwkd.cli.app import main
from hwkd.core.errors import DataError, HwkdError
from hwkd.core.reading import Reading
from hwkd.engine.search import run as search_run
from hwkd.tasks.gesture import GestureTask
from hwkd.tasks.keyword import KeywordTask

CLIP = 3200


class AskedError(Exception):
    """Carries the configuration of a search that never runs."""


@pytest.fixture
def asked(monkeypatch):
    """Return the reading that a command line asks for."""

    def stop(config, *_, **__):
        raise AskedError(config)

    monkeypatch.setattr(search_run, "run_search", stop)

    def of(*arguments):
        with pytest.raises(AskedError) as caught:
            main(["search", "--device", "cortex-m4", "--out", "r", *map(str, arguments)])
        return caught.value.args[0].reading

    return of


@pytest.fixture
def two_rates(tmp_path):
    """Return clips of two rates."""
    folder = write_spoken(tmp_path / "clips", clips=4, noise=False)
    for name in ("low", "high", "none"):
        wave = tone(1500.0, rate_hz=22050).astype(np.float32)
        wavfile.write(folder / name / "other.wav", 22050, wave)
    return folder


def write_network(path, inputs, outputs):
    """Write a network that adds parts of its inputs; return its path."""
    weights = np.random.default_rng(0).normal(size=(inputs, outputs)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]),
         helper.make_node("MatMul", ["flat", "w"], ["y"])], "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    onnx.save(helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)  # fmt: skip
    return path


@pytest.mark.parametrize(("text", "rate_hz"), [("16kHz", 16e3), ("16000Hz", 16e3), ("50Hz", 50.0)])
def test_a_search_takes_the_rates_of_its_own_hints(text, rate_hz, asked, two_rates, tmp_path):
    given = ("--task", "keyword", "--data", two_rates)
    assert asked(*given, "--rate", text).rate_hz == rate_hz
    (tmp_path / "c.toml").write_text(f'rate = "{text}"\n', encoding="utf-8")
    assert asked(*given, "--config", tmp_path / "c.toml").rate_hz == rate_hz


def test_evaluate_has_the_option_that_its_message_names(two_rates, tmp_path):
    network = write_network(tmp_path / "m.onnx", CLIP, 3)
    with pytest.raises(HwkdError) as caught:
        hwkd.evaluate(network, data=two_rates, task="keyword")
    (rate,) = re.findall(r"as --rate (\S+)", str(caught.value))
    found = hwkd.evaluate(network, data=two_rates, task="keyword", rate=rate)
    assert found.examples > 0


def test_a_rate_that_a_task_cannot_use_is_refused(tmp_path):
    network = write_network(tmp_path / "m.onnx", 4, 2)
    np.savez(tmp_path / "d.npz", x_test=np.zeros((4, 1, 4), np.float32), y_test=np.arange(4) % 2)
    with pytest.raises(HwkdError, match="--rate does not apply to classify; leave it out"):
        hwkd.evaluate(network, data=tmp_path / "d.npz", rate="16kHz")


def test_clips_are_brought_to_rate_and_length_of_the_training(two_rates):
    reading = Reading(trained_rate_hz=RATE_HZ)
    split = KeywordTask().labelled(two_rates, reading, raw_shape=(1, CLIP))
    assert split.inputs.shape[1:] == (1, CLIP)
    # Of the tone of 1.5 kHz, which half of the clips of "high" have at another rate.
    peaks = np.abs(np.fft.rfft(split.inputs[split.labels == "high", 0])).argmax(axis=1)
    assert peaks * RATE_HZ / CLIP == pytest.approx(1500.0, abs=10.0)


def test_windows_of_samples_need_no_rate(tmp_path):
    rows = [row[1:] for row in recording_rows(people=2)]
    path = write_recordings(tmp_path / "r.csv", rows, "ax,ay,label,subject,recording")
    split = GestureTask().labelled(path, raw_shape=(2, 40))
    assert split.inputs.shape[1:] == (2, 40)
    assert set(split.labels) == {"shake", "turn", "tilt"}


def test_recordings_of_another_rate_than_the_training_are_refused(tmp_path):
    path = write_recordings(tmp_path / "r.csv", recording_rows(people=2))
    reading = Reading(trained_rate_hz=50.0)
    with pytest.raises(DataError, match="20 Hz; expected 50 Hz, the rate of the training data"):
        GestureTask().labelled(path, reading, raw_shape=(2, 40))
    same = Reading(trained_rate_hz=20.0)
    assert len(GestureTask().labelled(path, same, raw_shape=(2, 40)).labels) > 0
