"""Students are moved, after their training, to where they are scored best: all outputs alike."""

import numpy as np
import pytest
import torch

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import StudentSpec
from hwkd.engine.arms.settled import settle_outputs
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.nn.output_bias import output_bias
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.maps_head import MapsHead
from hwkd.train.loop import predict_logits


def segmenter(finest: int = 1, answers: str = "every level"):
    discover("hwkd.search_spaces")
    sizes = {
        f"level{level}_{what}": count
        for level in (1, 2, 3)
        for what, count in (("channels", 8), ("blocks", 1))
    }
    params = {
        "activation": "relu", "stem_stride": 2, "levels": 3, "convolutions": "dense",
        "finest": finest, "answers": answers, **sizes,
    }  # fmt: skip
    spec = StudentSpec(space="segmenter", params=params, input_shape=(3, 32, 32), num_outputs=3)
    return build_module(SEARCH_SPACES.get("segmenter").layers(spec), seed=0).eval()


@pytest.mark.parametrize("answers", ["every level", "last level"])
@pytest.mark.parametrize("finest", [1, 2])
def test_the_output_bias_is_added_to_all_outputs(finest, answers):
    module, inputs = segmenter(finest, answers), torch.randn(2, 3, 32, 32)
    before = predict_logits(module, inputs)
    moves = torch.tensor([0.5, -1.0, 2.0])
    bias = output_bias(module)
    assert bias is not None
    bias.detach().add_(moves)
    moved = predict_logits(module, inputs) - before
    torch.testing.assert_close(moved, moves[None, :, None, None].expand_as(moved))


def test_a_bias_that_another_layer_reads_too_is_not_added_to_outputs():
    builder = LayersBuilder((3, 8, 8))
    first = builder.conv("input", "first", 3, kernel=1, activation="none", norm=False)
    again = builder.conv(first, "again", 3, kernel=1, activation="none", norm=False)
    for outputs in (builder.add(first, again, "both"), builder.add(again, again, "twice")):
        assert output_bias(build_module(builder.build(outputs), seed=0)) is None
    assert output_bias(build_module(builder.build(again), seed=0)) is not None


def test_a_settled_segmenter_scores_better_on_what_it_learned_from_and_settles_once():
    module, head = segmenter(), MapsHead(names=("a", "b", "c"), grid=(32, 32))
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(20, 3, 32, 32, generator=generator)
    named = predict_logits(module, inputs).add(torch.tensor([1.0, 0.0, -0.5])[None, :, None, None])
    labels = named.argmax(1).to(torch.int16)

    def score() -> float:
        outputs = predict_logits(module, inputs).numpy()
        return head.metrics[0].of(head.scores(outputs, labels.numpy()))

    before = score()
    settle_outputs(module, head, inputs, labels)
    after = score()
    assert before < after - 0.05
    settle_outputs(module, head, inputs, labels)
    assert score() == pytest.approx(after, abs=1e-3)


def test_classifiers_stay_as_they_are():
    module = segmenter()
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    settle_outputs(module, ClassesHead.numbered(3), torch.randn(4, 3, 32, 32), torch.zeros(4))
    assert all(np.array_equal(weights[name], now) for name, now in module.state_dict().items())
