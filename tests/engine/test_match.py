"""Search spaces proposed from a teacher's blocks: students of each space name their own space."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_student import small_layers

from hwkd.core import catalog
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError
from hwkd.cost.graph import build_graph
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.setup.match import match_graph, match_teachers
from hwkd.io import discovery
from hwkd.nn.build import build_module


@pytest.mark.parametrize(
    ("space", "seen"),
    [
        ("depthwise", "depthwise convolutions"),
        ("narrow_deep", "skip connections"),
        ("linear_attention", "attention"),
        ("local_attention", "attention with a softmax (1 times)"),
    ],
)
def test_a_network_of_a_space_is_matched_with_it(space: str, seen: str) -> None:
    discovery.discover("hwkd.search_spaces")
    made = catalog.SEARCH_SPACES.get(space)
    spec = made.suggest(RandomChooser(3), input_shape=(1, 28, 28), num_outputs=10)
    found = match_graph(build_graph(made.layers(spec)), name="big.onnx")
    assert space in found
    assert seen in " ".join(found.values())
    assert all(reason.startswith("big.onnx ") for reason in found.values())
    assert ("local_attention" in found) == (space == "local_attention")


def test_a_teacher_s_file_is_read_and_others_are_refused(tmp_path: Path) -> None:
    layers = small_layers()
    export_onnx(build_module(layers, seed=0).eval(), layers, tmp_path / "t.onnx")
    assert match_teachers([str(tmp_path / "t.onnx")]).spaces[0] == "depthwise"
    for given, said in (([], "give --teacher MODEL.onnx"), (["a:b"], "--teacher a:b is none")):
        with pytest.raises(ConfigError, match=said):
            match_teachers(given)
