"""Every recipe computes in C99 what it computes in NumPy, value for value."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.signals import RECIPES, made_pipeline, tried_inputs

from hwkd.core.catalog import FEATURES, STEPS
from hwkd.deploy.toolchain import host_compiler
from hwkd.io.discovery import discover
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.steps.channels import Picture
from hwkd.signals.steps.pieces import Pieces
from hwkd.signals.steps.standardise import Standardise
from hwkd.signals.texts import as_bytes
from hwkd.signals.tried import tried_signals

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2"]
ARM = "cmsis-dsp"  # of an extra, see test_cmsis_dsp.py


def run_c(pipeline: Pipeline, signals: np.ndarray, folder: Path) -> np.ndarray:
    source, elements = pipeline.to_c("prepare", put="put"), pipeline.apply(signals[:1]).size
    for name, text in source.headers.items():
        (folder / name).write_text(text)
    (folder / "main.c").write_text(
        f"""#include <stdint.h>
#include <stdio.h>
static int16_t input[{elements}];
static void put(int32_t i, int32_t value) {{ input[i] = (int16_t)value; }}
{source.text}
int main(void)
{{
    static {source.c_type} raw[{signals[0].size}];
    while (fread(raw, sizeof raw, 1, stdin) == 1) {{
        prepare(raw);
        fwrite(input, sizeof input, 1, stdout);
    }}
    return 0;
}}
"""
    )
    subprocess.run(["cc", *FLAGS, "-o", "run", "main.c"], cwd=folder, check=True)
    done = subprocess.run(
        [folder / "run"], input=signals.tobytes(), capture_output=True, check=True
    )
    return np.frombuffer(done.stdout, np.int16).reshape(len(signals), -1)


@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize("text", RECIPES)
def test_c_gives_the_features_of_numpy(text: str, tmp_path: Path) -> None:
    signals = tried_inputs(text, 24)
    pipeline = made_pipeline(text, signals, RECIPES[text][2])
    expected = pipeline.apply(signals)
    found = run_c(pipeline, signals, tmp_path)
    np.testing.assert_array_equal(found, expected.reshape(len(signals), -1) * 256)
    name = text.partition(":")[0]
    least = 2 if name in ("word-codes", "bytes") else 14 if name == "pieces" else 50
    assert len(np.unique(found)) > least, "one value for all shows nothing"


@pytest.mark.parametrize("text", RECIPES)
def test_a_pipeline_survives_its_record(text: str) -> None:
    signals = tried_inputs(text, 8)
    pipeline = made_pipeline(text, signals, RECIPES[text][2])
    stored = pipeline.record().model_dump_json()
    again = Pipeline.of(type(pipeline.record()).model_validate_json(stored))
    assert again == pipeline
    assert again.fingerprint == pipeline.fingerprint
    np.testing.assert_array_equal(again.apply(signals), pipeline.apply(signals))


def test_the_order_of_examples_and_parts_change_nothing() -> None:
    channels, time, rate_hz = RECIPES["mfcc"]
    signals = tried_signals(17, channels, time)
    pipeline = made_pipeline("mfcc", signals, rate_hz)
    single = np.concatenate([pipeline.apply(one[None]) for one in signals[::-1]])[::-1]
    np.testing.assert_array_equal(single, pipeline.apply(signals))


def test_every_recipe_and_step_is_tried() -> None:
    discover("hwkd.signals.recipes")
    discover("hwkd.signals.steps")
    assert {text.split(":")[0] for text in RECIPES} == set(FEATURES.names()) - {"raw", ARM}
    used = {
        step.kind
        for text, (_, _, rate) in RECIPES.items()
        for step in made_pipeline(text, tried_inputs(text, 2), rate).steps
    }
    assert used == set(STEPS.names()) - {"normalise", "cmsis-mfcc"}


@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
def test_a_word_that_turns_out_unknown_leaves_nothing_of_its_pieces(tmp_path: Path) -> None:
    # "abab?" begins with two known pieces; places end within it, or before it, or behind it.
    step = Pieces(begin=("a", "ab", "b"), inner=("ab", "b"), count=4, digits=1)
    same = Standardise(factors=(256,), offsets=(0,), shifts=(0,))
    pipeline = Pipeline(
        steps=(step, same, Picture(planes=1)), raw_shape=(1, 32), raw_dtype="uint8",
        raw_low=0, raw_high=255,
    )  # fmt: skip
    texts = ["ababc", "b ababc", "b b b ababc", "b b b ab", "ababab b", "ababababab", "b b ababc b",
             "a " + 9 * "ab" + "c", "abababc abab", ""]  # fmt: skip
    inputs = as_bytes(texts, 32)
    expected = pipeline.apply(inputs).reshape(len(texts), -1)
    assert expected[1].tolist() == [4, 1, 0, 0]
    np.testing.assert_array_equal(run_c(pipeline, inputs, tmp_path), expected * 256)
