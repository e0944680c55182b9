import pytest
import torch
from torch import nn

from hwkd.train.averaging import WeightAverage, set_statistics


def test_the_average_follows_its_closed_form():
    module = nn.Linear(1, 1, bias=False)
    average = WeightAverage(module, 0.5)
    values = [3.0, -1.0, 4.0, 1.5, 9.0, 2.6, 5.0, 3.5, 8.0, 9.0, 7.0, 9.5]
    expected = values[0]
    for number, value in enumerate(values):
        with torch.no_grad():
            module.weight.fill_(value)
        average.update()
        if number:
            decay = min(0.5, (1 + number) / (10 + number))
            expected = decay * expected + (1 - decay) * value
    assert average.apply()
    assert module.weight.item() == pytest.approx(expected, rel=1e-6)


def test_an_average_of_nothing_leaves_the_weights():
    module = nn.Linear(2, 2)
    before = module.weight.clone()
    assert not WeightAverage(module, 0.9).apply()
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        WeightAverage(nn.Linear(1, 1), decay)


def test_statistics_become_the_mean_over_batches_and_momentum_stays():
    norm = nn.BatchNorm1d(3)
    norm.running_mean.fill_(99.0)
    batches = [torch.randn(8, 3, generator=torch.Generator().manual_seed(i)) for i in range(5)]
    set_statistics(nn.Sequential(norm), batches)
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in batches]).mean(0))
    assert norm.momentum == 0.1
