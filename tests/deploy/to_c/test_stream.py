"""The program that plays recordings says what the int8 file says of every window."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from support.exported_c import export_c
from support.signals import made_pipeline

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.core.head import OutputForm
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.toolchain import host_compiler
from hwkd.engine.arms.export import raw_input
from hwkd.io.discovery import output_kind
from hwkd.signals.tried import tried_signals

LABELS = ("up", "down", "left", "right")


@pytest.fixture(scope="module", params=[False, True], ids=["windows", "frames"])
def listener(request, tmp_path_factory):
    """The compiled program, its pipeline and its int8 file; every inference is printed."""
    folder, streaming = tmp_path_factory.mktemp("listener"), request.param
    signals = tried_signals(16, 2, 300)
    pipeline = made_pipeline("imu:window=0.5s,stride=0.5s", signals, 50.0)
    channels, time = pipeline.apply(signals[:1]).shape[1:]
    net = NetworkBuilder((channels, time))
    net.reshape(1, channels, 1, time)
    net.conv(8, (1, 3), pads=(0, 0, 0, 0) if streaming else None, relu="Relu")
    net.classifier(4)
    model = quantise(net, folder, "net")
    export_c(
        model, folder / "c", labels=LABELS, raw=raw_input(pipeline.record()), streaming=streaming,
        answer=output_kind("classes").answer(OutputForm()),
    )  # fmt: skip
    settings = "-DMODEL_SMOOTHING=1 -DMODEL_THRESHOLD=0 -DMODEL_STRIDE=150"
    command = ["make", "listen", f"CFLAGS=-O2 -Werror -pedantic {settings}"]
    done = subprocess.run(command, cwd=folder / "c", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "c" / "listen", pipeline, model


def expected_of(recording, pipeline, model):
    starts = range(0, recording.shape[1] - 300 + 1, 150)
    windows = np.stack([recording[:, start : start + 300] for start in starts])
    logits = predict(open_session(model), pipeline.apply(windows)).astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = powers / powers.sum(axis=1, keepdims=True)
    return [start + 300 for start in starts], logits.argmax(axis=1), chances.max(axis=1)


def heard(program, path):
    done = subprocess.run([program, path], capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def compare(lines, moments, expected):
    ends, labels, chances = expected
    assert [line[0] for line in lines] == moments(ends)
    assert [line[1] for line in lines] == [LABELS[label] for label in labels]
    np.testing.assert_allclose([float(line[2]) for line in lines], chances, atol=0.003)


@pytest.mark.slow
@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
def test_a_wav_file_is_heard_as_the_int8_file_hears_its_windows(listener, tmp_path: Path) -> None:
    program, pipeline, model = listener
    recording = np.concatenate(list(tried_signals(8, 2, 300, seed=3)), axis=1)
    with wave.open(str(tmp_path / "r.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(50)
        file.writeframes(recording.T.astype("<i2").tobytes())
    lines = heard(program, tmp_path / "r.wav")
    expected = expected_of(recording, pipeline, model)
    compare(lines, lambda ends: [f"{end / 50:.3f} s" for end in ends], expected)


@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
def test_a_table_is_heard_alike_and_its_heading_passed_over(listener, tmp_path: Path) -> None:
    program, pipeline, model = listener
    recording = np.concatenate(list(tried_signals(3, 2, 300, seed=4)), axis=1)
    text = "x,y\n" + "".join(f"{x},{y}\n" for x, y in recording.T)
    (tmp_path / "r.csv").write_text(text)
    lines = heard(program, tmp_path / "r.csv")
    compare(lines, lambda ends: [str(end) for end in ends], expected_of(recording, pipeline, model))


@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.wav", b"no sound", "no WAV file of 16 bits and 2 channel"),
        ("a.csv", b"1,2\n3,4\n", "shorter than one window of 300 samples"),
        ("missing.wav", None, "give one recording"),
    ],
)
def test_what_is_no_recording_is_said_in_one_line(
    listener, name: str, content: bytes | None, says: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    command = [listener[0], tmp_path / name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
