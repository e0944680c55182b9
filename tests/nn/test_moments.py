"""What a network that lost channels begins with."""

from dataclasses import replace

import numpy as np
import torch
from support.staged import student

from hwkd.nn.build import build_module
from hwkd.nn.moments import fitted_map, match_moments


def test_the_fitted_map_is_that_of_least_squares_with_a_ridge():
    generator = np.random.default_rng(0)
    ours = generator.normal(size=(200, 4)) * [1, 2, 0.5, 1] + 3
    theirs = ours @ generator.normal(size=(4, 4)) + generator.normal(size=(200, 4))
    found = fitted_map(torch.tensor(ours), torch.tensor(theirs)).numpy()
    x, y = ours - ours.mean(0), theirs - theirs.mean(0)
    scaled = np.diag(y.std(0) / x.std(0))
    ridge = 0.1 * np.square(x).sum(0).mean()
    rows = np.vstack([x, np.sqrt(ridge) * np.eye(4)])
    rest = np.linalg.lstsq(rows, np.vstack([y - x @ scaled, np.zeros((4, 4))]), rcond=None)[0]
    np.testing.assert_allclose(found, (scaled + rest).T, rtol=1e-9)


def test_a_layer_that_answers_as_it_did_is_left_as_it_is():
    whole = build_module(student(), seed=0)
    copy = build_module(student(), seed=0)
    examples = torch.randn(64, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    rows = {
        layer.name: torch.arange(layer.shape[0])
        for layer in student().layers
        if layer.kind == "conv"
    }
    match_moments(copy, whole, rows, examples)
    torch.testing.assert_close(copy.eval()(examples), whole.eval()(examples), rtol=1e-3, atol=1e-3)


def test_channels_whose_inputs_are_gone_answer_more_as_they_did_than_scaling_them_does():
    """The first layer keeps two of its four channels; the second is fitted on what is left."""
    stem, first, *rest = student().layers
    narrow_layers = replace(student(), layers=(stem, replace(first, shape=(2, 3, 3)), *rest))
    whole, narrow = build_module(student(), seed=0), build_module(narrow_layers, seed=0)
    for name in ("stem", "first", "second"):
        own = {k: v.clone() for k, v in whole.steps[name].state_dict().items()}
        if name == "first":
            own = {k: v[:2] if v.dim() else v for k, v in own.items()}
        if name == "second":
            own["core.weight"] = own["core.weight"][:, :2]
        narrow.steps[name].load_state_dict(own)
    examples = torch.randn(256, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    rows = {"stem": torch.arange(4), "first": torch.arange(2), "second": torch.arange(8)}

    def answers(network) -> torch.Tensor:
        _, values = network.eval().forward_taps(examples, ("second",))
        return values["second"].detach()

    wanted, plain = answers(whole), answers(narrow)
    scales = wanted.std((0, 2, 3)) / plain.std((0, 2, 3)).clamp_min(1e-6)
    scaled = plain * scales[:, None, None]
    match_moments(narrow, whole, rows, examples)
    fitted = (answers(narrow) - wanted).square().mean()
    assert fitted < 0.9 * (scaled - wanted).square().mean()
