"""A recording is heard in Python as the exported C hears it, and what cannot be played is said."""

import subprocess

import numpy as np
import pytest
from support.exported_c import export_c
from support.listeners import LABELS, RATE_HZ, made_listener

import hwkd
from hwkd.core.decision_record import DecisionRecord
from hwkd.core.errors import HwkdError
from hwkd.core.head import OutputForm
from hwkd.deploy.toolchain import host_compiler
from hwkd.engine.arms.export import raw_input
from hwkd.io.discovery import output_kind

DECISION = DecisionRecord(
    answer="left", threshold=0.249, rate="false accepts", unit="per hour", wanted=0.5, reached=0.5,
    detected=1.0, smoothing=4, stride=50, rate_hz=RATE_HZ,
)  # fmt: skip


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    return made_listener(tmp_path_factory.mktemp("heard"))


# Rows of features are kept, with samples left over at the end of a window; and samples, where a
# filter remembers some.
@pytest.mark.slow
@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    ("features", "decision"),
    [("imu:window=0.5s,stride=0.2s", DECISION), ("imu:high=20Hz,window=0.5s,stride=0.5s", None)],
)
def test_python_hears_what_the_c_hears(features, decision, tmp_path):
    listener = made_listener(tmp_path, features, decision=decision)
    export_c(
        listener.model, tmp_path / "c", labels=LABELS, raw=raw_input(listener.pipeline.record()),
        answer=output_kind("classes").answer(OutputForm(decision=decision)),
    )  # fmt: skip
    # What was chosen on validation is compiled in; else it is a setting of the build.
    settings = "CFLAGS=-O2" + ("" if decision else " -DMODEL_THRESHOLD=260 -DMODEL_SMOOTHING=2")
    subprocess.run(
        ["make", "listen", settings], cwd=tmp_path / "c", check=True, capture_output=True
    )
    command = [tmp_path / "c" / "listen", listener.csv]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    asked = {} if decision else {"threshold": "26%", "smoothing": 2}
    found = hwkd.listen(listener.model, csv=listener.csv, png=tmp_path / "heard.png", **asked)
    if decision:
        assert (found.stride, found.smoothing, found.threshold) == (50, 4, 0.249)
        assert {label for label in found.heard if label is not None} == {LABELS.index("left")}
    lines = [
        f"{end}\t{LABELS[label]}\t{row[label]:.3f}"
        for end, label, row in zip(found.ends, found.heard, found.scores, strict=True)
        if label is not None
    ]
    assert lines
    kept = "#define MODEL_FRAMES " in (tmp_path / "c" / "model.h").read_text()
    assert kept == ("high" not in features)
    assert said.splitlines() == lines
    assert found.rate_hz == RATE_HZ
    assert (tmp_path / "heard.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "give one recording"),
        ({"csv": "short.csv"}, "2 samples, shorter than one window of 300"),
        ({"csv": "three.csv"}, r"3 columns of a signal \(a, b, c\); the network takes 2"),
        ({"csv": "halves.csv"}, "takes whole numbers of int16"),
        ({"csv": "words.csv"}, "row 3, column 'b': 'x' is no finite number"),
        ({"csv": "fast.csv"}, "recorded at 100 Hz, the network's data at 50 Hz"),
        ({"wav": "a.wav"}, "takes 2 channels; use --csv"),
        ({"csv": "long.csv", "stride": "1h"}, "expected 1 to a window, 300"),
        ({"csv": "long.csv", "png": "long.csv"}, "is there already"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_line(listener, given, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = np.arange(300)
    tables = {
        "short": ("a,b", np.ones((2, 2))),
        "three": ("a,b,c", np.ones((300, 3))),
        "halves": ("a,b", np.full((300, 2), 0.5)),
        "fast": ("time_s,a,b", np.stack([steps / 100, steps, steps], axis=1)),
        "long": ("a,b", np.ones((300, 2))),
    }
    for name, (heading, values) in tables.items():
        np.savetxt(f"{name}.csv", values, fmt="%g", delimiter=",", header=heading, comments="")
    (tmp_path / "words.csv").write_text("a,b\n1,2\n1,x\n")
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(HwkdError, match=says) as caught:
        hwkd.listen(listener.model, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("divided_by", "says"), [(1, None), (50, "in another unit, as mg for g")])
def test_a_recording_in_another_unit_is_doubted(listener, divided_by, says, tmp_path):
    values = listener.recording.T // divided_by
    np.savetxt(tmp_path / "r.csv", values, fmt="%d", delimiter=",", header="a,b", comments="")
    note = hwkd.listen(listener.model, csv=tmp_path / "r.csv").note
    assert (note is None) == (says is None)
    assert says is None or says in (note or "")
