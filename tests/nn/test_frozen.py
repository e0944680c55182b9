"""Layers that are frozen keep the weights that were drawn while the others learn."""

from __future__ import annotations

import torch

from hwkd.core import catalog
from hwkd.core.chooser import RandomChooser
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.train.config import TrainConfig
from hwkd.train.optimizers import make_optimizer


def test_a_student_learns_what_the_frozen_network_beside_it_says():
    discover("hwkd.search_spaces")
    space = catalog.SEARCH_SPACES.get("discrepancy")
    spec = space.suggest(RandomChooser(0), input_shape=(9, 1), num_outputs=9)
    module = build_module(space.layers(spec), seed=0)
    before = {name: value.clone() for name, value in module.named_parameters()}
    inputs = torch.randn(256, 9, 1, generator=torch.Generator().manual_seed(0))
    optimizer = make_optimizer(
        [p for p in module.parameters() if p.requires_grad],
        TrainConfig(epochs=1, batch_size=256, learning_rate=0.01, weight_decay=0.1, seed=0),
    )
    missed = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (module(inputs) - inputs[:, :, 0]).square().mean()
        loss.backward()
        optimizer.step()
        missed.append(float(loss.detach()))
    moved = {n for n, value in module.named_parameters() if not torch.equal(value, before[n])}
    assert not {name for name in moved if "frozen" in name}
    assert {name for name in before if "frozen" not in name} == moved
    assert missed[-1] < 0.5 * missed[0]
