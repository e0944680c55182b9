"""Raw values of several channels reach the network where it reads them, by the exported C."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.exported_c import export_c
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import quantise
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.toolchain import host_compiler
from hwkd.engine.arms.export import raw_input
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.steps.normalise import Normalise

PROGRAM = """#include <stdio.h>
#include "model.h"
int main(void)
{
    static TYPE raw[MODEL_RAW_VALUES];
    model_init();
    while (fread(raw, sizeof raw, 1, stdin) == 1) {
        model_run_raw(raw);
        fwrite(model_output(), 1, MODEL_OUTPUT_BYTES, stdout);
    }
    return 0;
}
"""


def pipeline_of(shape: list[int], dtype: str, steps: int) -> Pipeline:
    channels = shape[0]
    mean = tuple(np.linspace(100, 140, channels) / 1.7)
    std = tuple(np.linspace(40, 80, channels) / 1.3)
    first = Normalise(mean=mean, std=std)
    again = Normalise(mean=(0.1,) * channels, std=(0.9,) * channels)
    return Pipeline(
        steps=(first, again)[:steps],
        raw_shape=tuple(shape), raw_dtype=dtype, raw_low=0.0, raw_high=255.0,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    ("name", "dtype", "steps"),
    [
        ("one_dimensional", "int16", 1),
        ("residual", "uint8", 1),
        ("residual", "float32", 2),
    ],
)
def test_raw_values_give_the_answers_of_the_int8_file(
    name: str, dtype: str, steps: int, tmp_path: Path
) -> None:
    path = quantise(OP_NETWORKS[name](), tmp_path, "net")
    session = open_session(path)
    _, *shape = session.get_inputs()[0].shape
    assert shape[0] > 1, "one channel shows no order"
    pipeline = pipeline_of(shape, dtype, steps)
    raw = np.random.default_rng(0).integers(0, 256, (20, *shape)).astype(dtype)
    out = tmp_path / "c"
    export_c(path, out, rounding="float", raw=raw_input(pipeline.record()))
    (out / "main.c").write_text(PROGRAM.replace("TYPE", pipeline.to_c("prepare", put="put").c_type))
    flags = "CFLAGS=-O2 -Werror -pedantic"
    subprocess.run(["make", "model", flags], cwd=out, check=True, capture_output=True)
    done = subprocess.run([out / "model"], input=raw.tobytes(), capture_output=True, check=True)
    found = np.frombuffer(done.stdout, dtype=np.int8).reshape(len(raw), -1)
    output = build_project(path).output
    values = (found.astype(np.float32) - output.zero_point) * np.float32(output.scale)
    expected = predict(session, pipeline.apply(raw)).reshape(len(raw), -1)
    np.testing.assert_array_equal(values, expected)


def test_the_instructions_show_the_call_where_the_pipeline_is_known(tmp_path: Path) -> None:
    model = quantise(OP_NETWORKS["residual"](), tmp_path, "net")
    raw = raw_input(pipeline_of([3, 8, 8], "uint8", 1).record())
    for folder, given in (("plain", None), ("raw", raw)):
        export_c(model, tmp_path / folder, raw=given)
    shown = {f: (tmp_path / f / "README.md").read_text() for f in ("plain", "raw")}
    assert "model_run_raw(raw)" in shown["raw"]
    assert "model_raw.c" in shown["raw"]
    assert "model_run_raw" not in shown["plain"] + (tmp_path / "plain/model.h").read_text()
