import torch

from hwkd.train.seeded_torch import seeded_torch
from hwkd.train.seeding import derive_seed


def test_seeds_differ_by_use_and_repeat():
    seeds = {derive_seed(0, "trial", number) for number in range(1000)}
    assert len(seeds) == 1000
    assert derive_seed(0, "a", "b") != derive_seed(0, "ab")
    assert derive_seed(1, "a") == derive_seed(1, "a") != derive_seed(2, "a")
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_seeded_block_repeats_and_leaves_the_generator_alone():
    before = torch.random.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded_torch(5):
            draws.append(torch.rand(3))
    assert torch.equal(*draws)
    assert torch.equal(before, torch.random.get_rng_state())
