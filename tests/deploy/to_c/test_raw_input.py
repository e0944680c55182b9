"""Raw values of several channels reach the network where it reads them, by the exported C."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import quantise
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_c.export import build_project, project_contents
from hwkd.deploy.to_c.raw_input import Preprocessing, raw_input_files
from hwkd.deploy.toolchain import host_compiler
from hwkd.tasks.pipeline import Normalise, Pipeline

PROGRAM = """#include <stdio.h>
#include "model.h"
#include "model_raw_input.h"
int main(void)
{
    static TYPE raw[COUNT];
    model_init();
    while (fread(raw, sizeof raw[0], COUNT, stdin) == COUNT) {
        model_set_raw_input(raw);
        model_run();
        fwrite(model_output(), 1, MODEL_OUTPUT_BYTES, stdout);
    }
    return 0;
}
"""


@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize("name", ["one_dimensional", "residual"])
def test_raw_values_give_the_answers_of_the_int8_file(name: str, tmp_path: Path) -> None:
    path = quantise(OP_NETWORKS[name](), tmp_path, "net")
    session = open_session(path)
    _, *shape = session.get_inputs()[0].shape
    channels = shape[0]
    assert channels > 1, "one channel shows no order"
    steps = (
        Normalise(
            mean=tuple(np.linspace(100, 140, channels)), std=tuple(np.linspace(40, 80, channels))
        ),
    )
    pipeline = Pipeline(
        steps=steps, raw_shape=tuple(shape), raw_dtype="uint8", raw_low=0.0, raw_high=255.0
    )
    raw = np.random.default_rng(0).integers(0, 256, (20, *shape)).astype(np.uint8)
    header, source = pipeline.to_c("model_preprocess")
    project = build_project(path, rounding="float")
    given = Preprocessing(header=header, source=source, c_type=pipeline.c_type)
    beside = raw_input_files(project, given)
    for name, content in project_contents(project, beside).items():
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
    program = PROGRAM.replace("TYPE", pipeline.c_type).replace("COUNT", str(raw[0].size))
    (tmp_path / "main.c").write_text(program)
    subprocess.run(["make", "model"], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(
        [tmp_path / "model"], input=raw.tobytes(), capture_output=True, check=True
    )
    found = np.frombuffer(done.stdout, dtype=np.int8).reshape(len(raw), -1)
    output = project.output
    values = (found.astype(np.float32) - output.zero_point) * np.float32(output.scale)
    expected = predict(session, pipeline.apply(raw)).reshape(len(raw), -1)
    np.testing.assert_array_equal(values, expected)


def test_the_instructions_show_the_call_where_the_pipeline_is_known(tmp_path: Path) -> None:
    project = build_project(quantise(OP_NETWORKS["residual"](), tmp_path, "net"))
    given = Preprocessing(header="", source="", c_type="uint8_t")
    plain = project_contents(project)["README.md"]
    raw = project_contents(project, raw_input_files(project, given))["README.md"]
    assert "model_set_raw_input(raw)" in raw
    assert "model_raw_input.c" in raw
    assert "model_set_raw_input" not in plain
