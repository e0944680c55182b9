"""A search whose students choose how they see their picture, from candidates to exported files."""

from __future__ import annotations

import numpy as np
import pytest
from support.tiny_search import make_run

import hwkd
from hwkd.cli.app import main
from hwkd.core.chooser import RandomChooser
from hwkd.engine.setup.stored_student import layers_of_spec
from hwkd.report.read import read_run


def pictures(folder):
    random, labels = np.random.default_rng(0), np.arange(240) % 3
    inputs = random.normal(100, 40, size=(240, 24, 24, 3))
    for index, label in enumerate(labels):
        inputs[index, 8 * label : 8 * label + 8] += 90
    np.savez(folder / "pictures.npz", x_train=inputs.clip(0, 255).astype(np.uint8), y_train=labels)
    return folder / "pictures.npz"


def test_stored_choices_give_the_network_with_fitted_spaces_or_without(tmp_path):
    run = make_run(
        tmp_path, data=str(pictures(tmp_path)), layout="nhwc", search_input=True,
        spaces=["plain"], teacher={"sources": []}, distill=[{"method": "none"}],
        limits={"latency_s": 0.01},
    )  # fmt: skip
    context = run.runner().context
    seen = set()
    for seed in range(20):
        spec = context.screen.spaces["plain"].suggest(
            RandomChooser(seed), input_shape=(3, 24, 24), num_outputs=3
        )
        seen.add(frozenset(name for name in spec.params if name.startswith("input_")))
        layers = context.screen.layers(spec)
        assert context.given.layers(spec) == layers
        assert layers_of_spec(context.given.spaces, spec, where="test") == layers
    assert len(seen) == 4


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_student_of_a_smaller_picture_goes_the_whole_way(tmp_path, capsys):
    folder = tmp_path / "run"
    hwkd.search(
        device="cortex-m4", data=pictures(tmp_path), layout="nhwc", search_input=True, trials=6,
        workers=1, spaces=["narrow_deep"], methods=["none"], max_latency="3ms", brief_epochs=1,
        full_epochs=1, controls=0, out=folder,
    )  # fmt: skip
    _, trials = read_run(folder)

    def export(target, *options):
        out = tmp_path / "-".join((target, *options))
        return main(["export", str(folder), "--target", target, "--out", str(out), *options])

    assert [export("c"), export("tflite")] == [0, 0]
    numbers = [
        r.number for r in trials
        if r.state == "completed" and "input_pool" in r.spec.params
    ]  # fmt: skip
    assert export("c", "--trial", str(numbers[0])) == 0
    page = (folder / "report.html").read_text()
    assert all(name in page for name in read_run(folder)[0].final.spec.params)
    capsys.readouterr()
