"""READMEs of exports say what a reader without hwkd needs to feed the network rightly."""

from pathlib import Path

import pytest
from support.listeners import made_listener
from support.op_networks import OP_NETWORKS
from support.students import student_record

from benchmarks.lib.c_networks import quantise
from hwkd.deploy.exporters.tflite import _ends
from hwkd.deploy.student_facts import facts_markdown, student_readme
from hwkd.deploy.to_c.export import build_project
from hwkd.io.run_files import read_run_record

GOLDEN = Path(__file__).parents[1] / "golden" / "run_v2" / "run.json"
LOG_MEL = "log-mel:window=0.5s,stride=0.5s,bins=4,low=1Hz,high=20Hz"


@pytest.fixture
def hearing(tmp_path):
    """Describe a student of recordings, with features on the mel scale."""
    run = read_run_record(GOLDEN)
    pipeline = made_listener(tmp_path, LOG_MEL, channels=1).pipeline.record()
    data = run.data.model_copy(update={"pipeline": pipeline})
    return student_record(run=run.model_copy(update={"data": data}))


def test_the_mel_scale_the_window_and_the_frames_are_said_as_formulas(hearing):
    text = facts_markdown(hearing)
    assert "2595 log10(1 + f / 700)" in text
    assert "a - (1 - a) cos(2 pi i / n)" in text
    assert "nothing is padded or centred" in text
    assert "| length | 25 |" in text  # half a second at 50 Hz, a whole number


def test_features_have_a_program_in_the_readme_of_an_onnx_folder(hearing):
    text = student_readme(hearing, ["student_int8.onnx"])
    assert 'hwkd.open(".").best.predict(raw)' in text
    assert "model_raw.c" in text


def test_scores_and_estimates_say_what_they_are_of(hearing):
    text = facts_markdown(hearing)
    assert "ONNX files, in ONNX Runtime; no other form of it was scored" in text
    assert f"## Estimated for the runtime {hearing.run.device.runtime}\n" in text


def test_a_tflite_description_has_the_shape_of_the_file(tmp_path):
    project = build_project(quantise(OP_NETWORKS["squeeze_excite"](), tmp_path, "net"))
    batch, channels, height, width = project.input.shape
    assert _ends(project)["input"]["shape"] == [batch, height, width, channels]
