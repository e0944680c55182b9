"""Networks that take frames as they come: the answers of whole windows, for less work each."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.signals import made_pipeline

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.backends.estimated import Estimated
from hwkd.cli.app import main
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError
from hwkd.core.verification import Target
from hwkd.cost.backend import CostQuestion, ModelFile
from hwkd.deploy.to_c.export import build_project, quantise_values
from hwkd.deploy.to_c.flash import predict_ram_bytes
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.deploy.toolchain import INSTALL_COMMAND, find_host_compiler, host_compiler
from hwkd.deploy.verify import verify_model
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host_once, run_host
from hwkd.engine.arms.export import raw_input
from hwkd.io.core_files import load_core
from hwkd.io.device_catalog import load_device
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.signals.tried import tried_signals
from hwkd.trace.onnx_file import load_network

CHANNELS, FRAMES = 6, 45
needs_compiler = pytest.mark.skipif(host_compiler() is None, reason="no C compiler")
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm", "cc"))),
    reason=f"no emulator or compiler; {INSTALL_COMMAND}",
)


def network(channels: int = CHANNELS, frames: int = FRAMES) -> NetworkBuilder:
    """Windows of all kinds without padding: dilated, pooled, depthwise, strided, side by side."""
    net = NetworkBuilder((channels, frames))
    net.reshape(1, channels, 1, frames)
    none = (0, 0, 0, 0)
    entry = net.conv(8, (1, 3), pads=none)
    net.depthwise((1, 5), pads=none, stride=(1, 2))
    net.conv(8, relu="HardSwish")
    net.pool("AveragePool", (1, 2), stride=(1, 1))
    net.conv(7, (1, 3), pads=none, dilation=(1, 2))
    del entry
    net.classifier(4)
    return net


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return quantise(network(), tmp_path_factory.mktemp("stream"), "net")


def frame_by_frame(model: Path, folder: Path, *, hops: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Answers of the streaming C for noise, and the C's for each window that ends there."""
    project, whole = build_project(model, streaming=True), build_project(model)
    form = project.stream
    assert form is not None
    frames = form.window_frames + form.hop_frames * hops
    noise = np.random.default_rng(3).normal(0, 1.5, (form.frame_bytes, frames)).astype(np.float32)
    starts = range(0, frames - form.window_frames + 1, form.hop_frames)
    windows = np.stack([noise[:, start : start + form.window_frames] for start in starts])
    program = build_host_once(project, folder, find_host_compiler(), traces=False)
    found = run_host(program, project, quantise_values(noise, project.input).T.copy()).outputs
    (folder / "windows").mkdir()
    by_itself = build_host_once(whole, folder / "windows", find_host_compiler(), traces=False)
    expected = run_host(by_itself, whole, to_c_inputs(whole, windows)).outputs
    # An average at a tie may be its neighbour in ONNX Runtime, and in nothing else.
    reference = reference_outputs(model, whole, windows).astype(np.int16)
    assert np.abs(expected - reference).max() <= 1
    return found[form.window_frames - 1 :: form.hop_frames], expected


@pytest.mark.slow
@needs_compiler
def test_every_answer_is_that_of_the_window_that_ends_there(model, tmp_path):
    found, expected = frame_by_frame(model, tmp_path)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found, axis=0)) > 2


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("seed", [2, 3, 7])
def test_students_of_the_space_stream(seed, tmp_path):
    """Skips past a crop, dilated windows, strides that pass over columns of the last layers."""
    discover("hwkd.search_spaces")
    space = SEARCH_SPACES.get("streaming")
    shape = (CHANNELS, FRAMES)
    spec = space.suggest(RandomChooser(seed), input_shape=shape, num_outputs=3)
    layers = space.layers(spec)
    noise = np.random.default_rng(0).normal(size=(16, *shape)).astype(np.float32)
    export_onnx(build_module(layers, seed=0).eval(), layers, tmp_path / "float.onnx")
    quantise_int8(tmp_path / "float.onnx", tmp_path / "int8.onnx", noise)
    (tmp_path / "c").mkdir()
    found, expected = frame_by_frame(tmp_path / "int8.onnx", tmp_path / "c")
    np.testing.assert_array_equal(found, expected)


def test_a_run_computes_new_columns_alone_and_keeps_what_windows_reach_back_to(model):
    project, whole = build_project(model, streaming=True), build_project(model)
    form = project.stream
    assert form is not None
    assert (form.hop_frames, form.window_frames, form.lead_frames) == (2, FRAMES, 1)
    # Two columns of 8 from 3 x 6, then one each of 8 x 5, 8 x 8 and 7 x 3 x 8; 4 labels of 7.
    assert project.arranged.graph.macs == 2 * 8 * 18 + 8 * 5 + 8 * 8 + 7 * 24 + 4 * 7
    assert form.window_macs == whole.arranged.graph.macs > 15 * project.arranged.graph.macs
    # 2 frames of 6; 5 + 0 columns of 8 less 2 new; one of 8; 4 of 8; sums of 7 and a place, then
    # 15 columns of 7: what is kept, with the new columns beside it.
    assert form.kept_bytes == 4 * 6 + 5 * 8 + 2 * 8 + 5 * 8 + 4 * 8 + 15 * 7


def padded() -> NetworkBuilder:
    net = NetworkBuilder((CHANNELS, FRAMES))
    net.reshape(1, CHANNELS, 1, FRAMES)
    net.conv(8, (1, 3))
    net.classifier(4)
    return net


def flattened() -> NetworkBuilder:
    net = NetworkBuilder((CHANNELS, FRAMES))
    net.reshape(1, CHANNELS * FRAMES)
    net.linear(4)
    return net


def pictures() -> NetworkBuilder:
    net = NetworkBuilder((3, 8, 8))
    net.conv(4, (3, 3), pads=(0, 0, 0, 0))
    net.classifier(4)
    return net


def maps() -> NetworkBuilder:
    net = NetworkBuilder((CHANNELS, FRAMES))
    net.reshape(1, CHANNELS, 1, FRAMES)
    net.conv(4, (1, 3), pads=(0, 0, 0, 0), relu="")
    return net


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (padded, "layer conv1 (Conv) pads the window"),
        (flattened, "needs all of the window at once"),
        (pictures, "reads pictures of 8 rows"),
        (maps, "answers for every moment and has no mean over time"),
    ],
)
def test_what_cannot_stream_is_one_line_and_leaves_nothing(net, message, tmp_path, capsys):
    made = tmp_path / "made"
    made.mkdir()
    path, out = quantise(net(), made, "net"), tmp_path / "out"
    told = ["export", str(path), "--target", "c", "--streaming", "--out", str(out)]
    assert main(told) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert message in printed
    assert not out.exists()


def test_streaming_is_an_option_of_whatever_takes_it(model, tmp_path, capsys):
    told = ["export", str(model), "--streaming", "--out", str(tmp_path / "x")]
    assert main([*told, "--target", "tflite"]) == 2
    assert "--streaming: does nothing for --target tflite" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="a frame has no patches"):
        main_build(model)
    assert main(["profile", str(model), "--device", "cortex-m4", "--streaming"]) == 2
    assert "tflm-cmsis-nn runs layers as a whole" in capsys.readouterr().err


def main_build(model: Path) -> None:
    from hwkd.core.patches import Patches

    build_project(model, streaming=True, patches=Patches.parse("1x2"))


def test_a_hop_that_does_not_divide_the_features_is_refused(model):
    signals = tried_signals(4, 1, 1500)
    pipeline = made_pipeline("mfcc:coefficients=10", signals, 16000.0)
    with pytest.raises(ConfigError, match="the network reads 45 of 6"):
        build_project(model, streaming=True, raw=raw_input(pipeline.record()))
    filtered = made_pipeline("log-mel:bins=12,pcen=yes", signals, 16000.0)
    with pytest.raises(ConfigError, match="do not follow from its samples alone"):
        build_project(model, streaming=True, raw=raw_input(filtered.record()))


@pytest.mark.slow
def test_a_run_is_priced_as_the_c_does_it(model, capsys):
    network_of_file = load_network(model, keep_types=True)
    file = ModelFile(
        path=model, graph=network_of_file.graph, dtype=network_of_file.dtype, costed_in="int8"
    )
    asked = CostQuestion(device=load_device("cortex-m4"), runtime="hwkd-c")
    whole = Estimated().cost_file(file, asked).cost
    found = Estimated().cost_file(file, replace(asked, streaming=True))
    project = build_project(model, streaming=True)
    assert found.cost.macs == project.arranged.graph.macs
    assert found.cost.weight_bytes == whole.weight_bytes
    assert found.cost.peak_ram_bytes == predict_ram_bytes(project, load_core("cortex-m4"))
    assert found.cost.latency.value_s < whole.latency.value_s / 3
    told = ["profile", str(model), "--device", "cortex-m4", "--runtime", "hwkd-c", "--streaming"]
    assert main([*told, "--json"]) == 0
    stream = json.loads(capsys.readouterr().out)["stream"]
    assert stream["per_frame"]["macs"] == found.cost.macs / 2
    assert stream["per_frame"]["latency_s"] == pytest.approx(found.cost.latency.value_s / 2)


@pytest.mark.slow
@needs_compiler
def test_the_exported_folder_runs_and_says_what_a_frame_costs(model, tmp_path, capsys):
    out = tmp_path / "out"
    told = ["export", str(model), "--target", "c", "--streaming", "--out", str(out)]
    assert main(told) == 0
    assert "an answer every 2 frames" in capsys.readouterr().out
    said = json.loads((out / "model.json").read_text())["streaming"]
    assert (said["hop_frames"], said["window_frames"]) == (2, FRAMES)
    assert "multiply-accumulates every 2 frames" in (out / "README.md").read_text()
    from hwkd.deploy.toolchain import run_tool

    run_tool(["make", "run"], folder=out)


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize(
    ("core", "text", "shape", "rate_hz"),
    [
        *(
            (core, "log-mel:bins=12", (1, 8000), 16000.0)
            for core in ("cortex-m0plus", "cortex-m4", "cortex-m55")
        ),
        # Lengths of vectors are made before the frames, and remember nothing.
        ("cortex-m4", "imu", (6, 400), 50.0),
    ],
)
def test_an_emulated_core_streams_from_raw_samples_and_needs_what_was_predicted(
    core, text, shape, rate_hz, tmp_path
):
    signals = tried_signals(3, *shape)
    pipeline = made_pipeline(text, signals, rate_hz)
    channels, frames = pipeline.apply(signals[:1]).shape[1:]
    path = quantise(network(channels, frames), tmp_path, "net")
    target = Target(name=core, core=load_core(core), flash_bytes=512 * 1024, ram_bytes=128 * 1024)
    raw = raw_input(pipeline.record())
    found = verify_model(path, target, signals, raw=raw, streaming=True)
    assert found.passed, found.faults
    stream = found.stream
    assert stream is not None
    assert stream.answers > 10
    assert stream.differing == stream.core_differing == 0
    assert stream.ram_predicted_bytes == pytest.approx(stream.ram_bytes, rel=0.03)
    if text == "imu":
        return  # an average at a tie, and lengths made again where frames overlap
    if found.rounding == "float":
        assert stream.onnxruntime_max_lsb == 0
    assert stream.instructions_per_frame * frames < found.instructions_per_inference * 1.1
