"""The program that plays recordings says what the int8 file says of every window."""

from __future__ import annotations

import struct
import subprocess
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.listeners import made_listener
from support.signals import made_pipeline

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.core.head import OutputForm
from hwkd.deploy.output_folder import write_folder
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_c.export import build_project, project_contents
from hwkd.deploy.to_c.stream import held_lines, listening_bytes
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
    project = build_project(
        model, labels=LABELS, raw=raw_input(pipeline.record()), streaming=streaming,
        answer=output_kind("classes").answer(OutputForm()),
    )  # fmt: skip
    project = replace(project, facts={"data": {"sample_rate_hz": 50.0}})
    write_folder(project_contents(project), folder / "c")
    settings = "-DMODEL_SMOOTHING=1 -DMODEL_THRESHOLD=0 -DMODEL_STRIDE=150"
    command = ["make", "listen", f"CFLAGS=-O2 -Werror -pedantic {settings}"]
    done = subprocess.run(command, cwd=folder / "c", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "c" / "listen", pipeline, model


def wav_head(channels: int, rate_hz: int, bits: int) -> bytes:
    """Return what a WAV file with eight bytes of samples begins with."""
    frame = channels * bits // 8
    body = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * frame, frame, bits)
    return (
        b"RIFF"
        + struct.pack("<I", 44)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + body
        + (b"data" + struct.pack("<I", 8))
    )


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
    with (tmp_path / "r.wav").open("ab") as tail:  # tags, which are no samples
        tail.write(b"LIST" + struct.pack("<I", 4000) + bytes(4000))
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
@pytest.mark.parametrize("between", [",", ";", "\t", " ", " , "])
def test_cells_of_a_table_lie_apart_in_any_usual_way(
    listener, between: str, tmp_path: Path
) -> None:
    recording = np.concatenate(list(tried_signals(2, 2, 300, seed=4)), axis=1)
    rows = [f"{x}{between}{y}" for x, y in recording.T]
    (tmp_path / "a.csv").write_text("\n".join(f"{x},{y}" for x, y in recording.T))
    (tmp_path / "b.csv").write_text("\ufeff" + "\r\n".join([*rows, "", ""]))
    assert heard(listener[0], tmp_path / "a.csv") == heard(listener[0], tmp_path / "b.csv")


@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.wav", b"no sound", "expected a WAV file of 16 bits and 2 channel"),
        ("a.wav", wav_head(2, 44100, 16), "44100 Hz; expected 50 Hz"),
        ("a.wav", wav_head(1, 50, 16), "16 bits and 1 channel(s); expected 16 bits, plain, and 2"),
        ("a.wav", wav_head(2, 50, 24), "24 bits and 2 channel(s); expected 16"),
        ("a.wav", wav_head(2, 50, 16) + bytes(8), "2 samples, shorter than one window of 300"),
        ("a.csv", b"1,2\n3,4\n", "2 samples, shorter than one window of 300 samples"),
        ("a.csv", b"ms,x,y\n" + b"0,1,2\n" * 400, "line 2: 3 column(s); expected 2"),
        ("a.csv", b"1;2\n" * 400 + b"7\n", "line 401: 1 column(s); expected 2"),
        ("a.csv", b"x,y\n1,2\n3,\n" + b"1,2\n" * 400, "line 3, column 2: ''; expected a whole"),
        ("a.csv", b"0.1,0.2\n" * 400, "line 1, column 1: '0.1'; expected a whole number"),
        ("a.csv", b"0,1;0,2\n" * 400, "line 1, column 1: '0,1'; expected a whole number"),
        ("a.csv", b"1,2\n" * 400 + b"40000,1\n", "'40000'; expected a whole number, -32768 to"),
        ("a.csv", b"1,2\n" * 400 + b"nan,1\n", "line 401, column 1: 'nan'; expected a whole"),
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
    assert not done.stdout


@pytest.mark.parametrize("features", ["imu:window=0.5s,stride=0.5s", "imu:magnitude=no"])
@pytest.mark.parametrize("streaming", [False, True], ids=["windows", "frames"])
def test_the_memory_around_the_network_is_said_as_it_is_built(
    features: str, streaming: bool, tmp_path: Path
) -> None:
    heard = made_listener(tmp_path, features, streams=True)
    project = build_project(
        heard.model, labels=LABELS, raw=raw_input(heard.pipeline.record()), streaming=streaming,
        answer=output_kind("classes").answer(OutputForm()),
    )  # fmt: skip
    write_folder(project_contents(project), tmp_path / "c")
    subprocess.run(["make", "-s", "model_stream.o"], cwd=tmp_path / "c", check=True)
    listed = subprocess.run(
        ["nm", "-S", "model_stream.o"],
        cwd=tmp_path / "c",
        capture_output=True,
        text=True,
        check=True,
    )
    symbols = [line.split() for line in listed.stdout.splitlines()]
    held = sum(int(parts[1], 16) for parts in symbols if parts[2:3] in (["b"], ["d"]))
    assert listening_bytes(project) == held
    (line,) = held_lines(project)
    frame = project.raw.frames.length if streaming else 300
    assert f" {2 * 2 * frame:,} bytes of " in line
    assert f" {held:,} bytes of `model_stream.c`" in line
