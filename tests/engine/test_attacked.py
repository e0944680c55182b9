"""Inputs changed against a network: by as much as is allowed, where it hurts, and no further."""

import numpy as np
import pytest
import torch
from support.teachers import make_data
from torch import nn

from hwkd.core.errors import ConfigError
from hwkd.engine.arms.attacked import Attack, attacked_scores, changed_within, parse_attack


def test_a_linear_network_is_attacked_along_the_sign_of_its_weights():
    weight = torch.tensor([[1.0, -2.0, 0.0]])
    inputs = torch.tensor([[[0.0, 0.0, 0.0]], [[0.9, 0.0, 0.0]]])
    limits = torch.tensor([[-1.0]]), torch.tensor([[1.0]])
    found = changed_within(
        Attack(eps=0.1, steps=20), inputs, lambda x: (x[:, 0] * weight).sum(), limits,
        torch.Generator().manual_seed(0),
    )  # fmt: skip
    # A tenth of the range of 2, and never out of it.
    np.testing.assert_allclose(found[:, 0, :2], [[0.2, -0.2], [1.0, -0.2]], atol=1e-6)
    assert bool(((found - inputs).abs() <= 0.2 + 1e-6).all())


def test_scores_fall_with_what_may_change():
    data = make_data()
    torch.manual_seed(0)
    last = nn.Linear(12, 3)
    module = nn.Sequential(nn.Flatten(), last)
    with torch.no_grad():
        last.weight.zero_()
        for label in range(3):
            last.weight[label, label] = 2.0
    scores = [
        attacked_scores(parse_attack(f"pgd:eps={eps}"), module.eval(), data)[1]["accuracy"]
        for eps in (0.001, 0.1, 0.5)
    ]
    outputs = module(torch.from_numpy(data.test.inputs.copy())).detach().numpy()
    clean = data.head.scores(outputs, data.test.labels)["accuracy"]
    assert clean >= scores[0] > scores[1] >= scores[2] == 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fgsm:eps=0.1", "is no attack; give pgd:eps="),
        ("pgd:eps=0", "eps=0.0 must be > 0"),
        ("pgd:epsilon=1", "unknown option 'epsilon'"),
    ],
)
def test_what_is_no_attack_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_attack(text)
