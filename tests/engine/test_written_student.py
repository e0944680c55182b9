"""What a training adds to a student never reaches its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ExportError
from hwkd.core.student import Layers
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.student_folder import require_bare
from hwkd.io.discovery import discover
from hwkd.io.student_folder import StudentFiles
from hwkd.nn.build import StudentModule, build_module

discover("hwkd.search_spaces")


def sample(space: str, seed: int) -> Layers:
    found = SEARCH_SPACES.get(space)
    return found.layers(found.suggest(RandomChooser(seed), input_shape=(1, 8, 8), num_outputs=4))


def exported(module: StudentModule, layers: Layers, folder: Path) -> StudentFiles:
    files = StudentFiles(folder)
    export_onnx(module.eval(), layers, files.float_path)
    save_student(module, files.weights_path)
    return files


@pytest.mark.parametrize("space", SEARCH_SPACES.names())
@pytest.mark.parametrize("seed", range(3))
def test_students_of_every_space_are_bare(space: str, seed: int, tmp_path: Path) -> None:
    layers = sample(space, seed)
    require_bare(layers, exported(build_module(layers, seed=0), layers, tmp_path))


def test_an_adapter_that_joined_the_student_is_named_with_its_bytes(tmp_path: Path) -> None:
    layers = sample("depthwise", 0)
    module = build_module(layers, seed=0)
    module.steps["adapter"] = nn.Conv2d(2, 3, 1)
    files = exported(module, layers, tmp_path)
    bare = sum(t.nbytes for t in build_module(layers, seed=0).state_dict().values())
    message = rf"holds {bare + 36} bytes of weights, the student has {bare} \(steps\.adapter\.bias"
    with pytest.raises(ExportError, match=message):
        require_bare(layers, files)
