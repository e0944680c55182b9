"""Steps of one length in all directions: what they are, whose weights they are for, and that they
are what a training makes."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.signals import Batch
from hwkd.core.student import StudentSpec
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.train.batches import TensorBatches
from hwkd.train.loop import TrainConfig, train_module
from hwkd.train.turned import orthogonal, turned_weights


@pytest.mark.parametrize("shape", [(3, 24, 216), (2, 40, 16), (1, 16, 16)])
def test_singular_values_become_about_one_and_singular_vectors_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    turned = left.mT @ orthogonal(matrices) @ right.mT
    found = torch.diagonal(turned, dim1=1, dim2=2)
    large = values > 0.05 * values.norm(dim=1, keepdim=True)
    assert found[large].min() > 0.6
    assert found.max() < 1.3
    torch.testing.assert_close(turned, torch.diag_embed(found), atol=1e-4, rtol=0)


def test_matrices_are_turned_alone_whatever_is_beside_them_and_however_long_they_are():
    torch.manual_seed(0)
    one, other = torch.randn(2, 8, 30)
    both = orthogonal(torch.stack([one, 1e3 * other]))
    torch.testing.assert_close(both[0], orthogonal(one[None])[0])
    torch.testing.assert_close(both[1], orthogonal(other[None])[0], atol=1e-5, rtol=1e-4)
    assert orthogonal(torch.zeros(1, 4, 9)).abs().max() == 0


@pytest.mark.parametrize("convolutions", ["dense", "separable"])
def test_convolutions_with_normalisation_behind_are_turned_not_depthwise_ones_nor_answers(
    convolutions,
):
    discover("hwkd.search_spaces")
    params = {
        "activation": "relu", "stem_stride": 2, "levels": 2, "convolutions": convolutions,
        "answers": "every level", "level1_channels": 8, "level1_blocks": 1, "level2_channels": 16,
        "level2_blocks": 2,
    }  # fmt: skip
    spec = StudentSpec(space="segmenter", params=params, input_shape=(3, 32, 32), num_outputs=3)
    module = build_module(SEARCH_SPACES.get("segmenter").layers(spec), seed=0)
    turned = turned_weights(module)
    for name, step in module.steps.items():
        core = getattr(step, "core", None)
        if isinstance(core, nn.Conv2d):
            is_depthwise = core.groups > 1
            assert (id(core.weight) in turned) == (step.norm is not None and not is_depthwise), name


class _Step(nn.Module):
    """A convolution with batch normalisation behind, named as those of students are."""

    def __init__(self):
        super().__init__()
        self.core = nn.Conv2d(3, 6, 3, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 2)

    def forward(self, inputs):
        return self.last(self.norm(self.core(inputs)).relu().mean(dim=(2, 3)))


class _Labels:
    def __call__(self, module, batch: Batch):
        return {"cross_entropy": functional.cross_entropy(module(batch.inputs), batch.labels)}

    def parameters(self):
        return ()

    def state(self):
        return {}

    def load_state(self, state):
        pass


def test_a_training_takes_turned_steps_off_weights_of_one_length_and_sgd_steps_off_others():
    random = np.random.default_rng(0)
    inputs = torch.from_numpy(random.standard_normal((20, 3, 6, 6)).astype(np.float32))
    labels = torch.from_numpy(random.integers(0, 2, 20))
    torch.manual_seed(0)
    module, reference = _Step(), _Step()
    reference.load_state_dict(module.state_dict())
    config = TrainConfig(
        epochs=2, batch_size=20, optimizer="muon", learning_rate=0.1, weight_decay=0.0,
        schedule="one-cycle", warmup_ratio=0.0,
    )  # fmt: skip
    train_module(module, TensorBatches([inputs], labels), _Labels(), config)
    moving = {parameter: torch.zeros_like(parameter) for parameter in reference.parameters()}
    for rate in (0.1, 0.05):
        reference.zero_grad()
        functional.cross_entropy(reference(inputs), labels).backward()
        for parameter, momentum in moving.items():
            assert parameter.grad is not None
            momentum.mul_(0.9).add_(parameter.grad)
            step = (parameter.grad + 0.9 * momentum).detach()
            with torch.no_grad():
                if parameter is reference.core.weight:
                    parameter.mul_(6**0.5 / parameter.norm())
                    step = 0.2 * orthogonal(step.reshape(1, 6, -1)).view_as(parameter)
                parameter.sub_(rate * step)
    for ours, theirs in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
