import numpy as np
import pytest
import torch

from hwkd.tasks.base import Split
from hwkd.train.augment import Augmentation, augment
from hwkd.train.batches import BatchMaker
from hwkd.train.choose_augmentation import choose_augmentation

BINS, TIME = 20, 31


def copies_of(inputs, policy):
    """Return both kinds of copies: a whole one, and a batch."""
    ids = torch.arange(len(inputs))
    batch = BatchMaker(policy, seed=0).draw(torch.from_numpy(inputs), ids)[0].numpy()
    return augment(inputs, 0, policy), batch


def bump(at_bin, at_time):
    """Return 60 copies of one round hill over bins and time."""
    bins, time = np.mgrid[:BINS, :TIME]
    hill = np.exp(-np.square(bins - at_bin) / 6 - np.square(time - at_time) / 6)
    return np.broadcast_to(hill.astype(np.float32), (60, BINS, TIME)).copy()


def middles(copy):
    bins, time = np.mgrid[:BINS, :TIME]
    whole = copy.sum(axis=(1, 2))
    return (copy * bins).sum(axis=(1, 2)) / whole, (copy * time).sum(axis=(1, 2)) / whole


def test_a_smaller_voice_lies_higher_and_stays_at_its_moment():
    for copy in copies_of(bump(10, 15), Augmentation(warp=0.2)):
        bins, time = middles(copy)
        # A factor of e^.2 of bin 10, and a quarter of .2 x 20 bins beside it.
        assert 6.5 < bins.min() < 9 and 11 < bins.max() < 14
        np.testing.assert_allclose(time, 15, atol=0.05)


def test_faster_speech_is_nearer_to_the_middle_of_a_clip():
    for copy in copies_of(bump(10, 21), Augmentation(warp=1e-9, tempo=0.3)):
        bins, time = middles(copy)
        # 6 steps behind the middle, by e^-.3 to e^.3
        assert 15 + 6 * np.exp(-0.3) - 0.2 < time.min() < 20
        assert 22 < time.max() < 15 + 6 * np.exp(0.3) + 0.4
        np.testing.assert_allclose(bins, 10, atol=0.05)


def test_a_microphone_adds_one_smooth_curve_to_all_moments():
    inputs = np.random.default_rng(0).normal(size=(200, BINS, TIME)).astype(np.float32)
    for copy in copies_of(inputs, Augmentation(colour=0.3)):
        added = copy - inputs
        np.testing.assert_allclose(added, added[:, :, :1].repeat(TIME, axis=2), atol=1e-5)
        curve = added[:, :, 0]
        # Neighbours of unsmooth curves would differ by as much as curves do, .7.
        assert np.diff(curve, axis=1).std() < 0.15
        # A constant and three half waves of .3, whose mean squares are 1 and about a half each.
        assert curve.std() == pytest.approx(0.3 * np.sqrt(1 + 3 / 2), rel=0.2)


def test_planes_of_pictured_speech_move_together():
    inputs = np.repeat(bump(10, 15)[:, np.newaxis], 2, axis=1)
    for copy in copies_of(inputs, Augmentation(warp=0.1, tempo=0.1, colour=0.1, shift=(0, 2))):
        assert copy.shape == inputs.shape
        np.testing.assert_allclose(copy[:, 0], copy[:, 1], atol=1e-5)
        assert np.abs(copy - inputs).max() > 0.1


def test_speech_is_varied_however_briefly_it_is_learned():
    inputs = np.ones((30, BINS, TIME), np.float32)
    data = Split(inputs=inputs, labels=np.arange(30) % 2, nature="speech")
    chosen = choose_augmentation(data, passes=1)
    assert chosen == choose_augmentation(data) and chosen.is_of_voices
    assert not chosen.is_of_motion and "voices" in chosen.describe()
