"""Full trainings are told apart by examples varied as in training, as long as few are there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.tiny_search import make_run

from hwkd.core.chooser import RandomChooser
from hwkd.deploy.sessions import open_session, predict
from hwkd.engine.arms.evaluation import deploy_student
from hwkd.engine.arms.varied import varied_copies, varied_error
from hwkd.engine.setup.context import SearchContext
from hwkd.nn.build import build_module
from hwkd.train.symmetry import Symmetry


@pytest.fixture(scope="module")
def context(tmp_path_factory) -> SearchContext:
    folder = tmp_path_factory.mktemp("varied")
    return make_run(folder, distill=[{"method": "none"}]).runner().context


@pytest.fixture(scope="module")
def int8_path(context, tmp_path_factory):
    spec = context.screen.spaces["narrow_deep"].suggest(
        RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3
    )
    layers = context.given.candidate(spec).layers
    files = deploy_student(
        build_module(layers, seed=0).eval(), layers, tmp_path_factory.mktemp("student"),
        calibration=context.calibration, ranges="minmax",
    )  # fmt: skip
    return files.int8_path


@pytest.mark.slow
def test_mirrored_examples_are_answered_and_their_errors_averaged(context, int8_path):
    mirrored = replace(context, known_symmetry=Symmetry(mirror=True))
    held_back = context.data.validation
    found = varied_error(mirrored, int8_path)
    session = open_session(int8_path)
    plain, turned = (
        predict(session, np.ascontiguousarray(inputs)).argmax(1) != held_back.labels
        for inputs in (held_back.inputs, held_back.inputs[..., ::-1])
    )
    assert found is not None
    # Every example is asked as it is or turned: what both answers share bounds the mean.
    assert (plain & turned).mean() <= found <= (plain | turned).mean()
    assert varied_error(mirrored, int8_path) == found


def test_what_may_not_be_varied_has_no_such_error(context, int8_path):
    assert varied_error(replace(context, known_symmetry=Symmetry()), int8_path) is None


def test_many_examples_are_not_asked_again(context):
    many = np.zeros((9000, 1, 8, 8), dtype=np.float32)
    validation = replace(context.data.validation, inputs=many, labels=np.zeros(9000, np.int64))
    assert varied_copies(replace(context, data=replace(context.data, validation=validation))) == 0
    assert varied_copies(context) == 8
