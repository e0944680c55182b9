import math

import numpy as np
import pytest
import torch

from hwkd.tasks.base import Split
from hwkd.train.augment import (
    NO_AUGMENTATION,
    Augmentation,
    augment,
)
from hwkd.train.batches import BatchMaker
from hwkd.train.choose_augmentation import choose_augmentation

INPUTS = np.random.default_rng(0).normal(size=(40, 2, 6, 5)).astype(np.float32)


def test_a_view_is_named_by_its_seed():
    policy = Augmentation(shift=(1, 2), mirror=True)
    first, again, other = (augment(INPUTS, seed, policy) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == INPUTS.shape


def test_the_plain_view_is_the_inputs_themselves():
    assert augment(INPUTS, None, Augmentation(shift=(1, 1))) is INPUTS
    assert augment(INPUTS, 3, NO_AUGMENTATION) is INPUTS


def test_every_example_is_a_shifted_copy_with_repeated_borders():
    view = augment(INPUTS, 0, Augmentation(shift=(1, 2)))
    seen = set()
    for example, moved in zip(INPUTS, view, strict=True):
        padded = np.pad(example, ((0, 0), (1, 1), (2, 2)), mode="edge")
        matches = [
            (dy, dx)
            for dy in range(3)
            for dx in range(5)
            if np.array_equal(padded[:, dy : dy + 6, dx : dx + 5], moved)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 8


def test_mirroring_flips_about_half_and_never_the_inputs():
    before = INPUTS.copy()
    view = augment(INPUTS, 0, Augmentation(mirror=True))
    flipped = [np.array_equal(a[..., ::-1], b) for a, b in zip(INPUTS, view, strict=True)]
    kept = [np.array_equal(a, b) for a, b in zip(INPUTS, view, strict=True)]
    assert all(f != k for f, k in zip(flipped, kept, strict=True))
    assert 10 < sum(flipped) < 30
    np.testing.assert_array_equal(INPUTS, before)


def test_signals_shift_in_time():
    signals = np.arange(60, dtype=np.float32).reshape(2, 3, 10)
    view = augment(signals, 1, Augmentation(shift=(2,)))
    assert view.shape == signals.shape
    with pytest.raises(ValueError, match="does not fit inputs"):
        augment(signals, 1, Augmentation(shift=(2, 2)))


@pytest.mark.parametrize("shape", [(30, 10, 15), (30, 1, 10, 15)], ids=["signal", "picture"])
def test_spectra_move_in_time_are_masked_and_never_mirrored(shape):
    inputs = np.ones(shape, np.float32)
    chosen = choose_augmentation(
        Split(inputs=inputs, labels=np.arange(30) % 2, nature="spectra"), passes=50
    )
    assert chosen == Augmentation(shift=(0,) * (len(shape) - 3) + (1,), masks=(2, 3))
    batch = BatchMaker(chosen, seed=0).draw(torch.from_numpy(inputs), torch.arange(30))[0].numpy()
    for copy in (augment(inputs, 0, chosen), batch):
        hidden = copy.reshape(30, 10, 15) == 0
        bins, steps = hidden.all(axis=2).sum(axis=1), hidden.all(axis=1).sum(axis=1)
        assert set(bins.tolist()) == {0, 1, 2}
        assert set(steps.tolist()) == {0, 1, 2, 3}
        np.testing.assert_array_equal(
            hidden, hidden.all(axis=2)[:, :, None] | hidden.all(axis=1)[:, None]
        )


def test_parts_of_spectra_are_hidden_in_short_trainings_too():
    spectra = Split(inputs=np.ones((30, 10, 15)), labels=np.arange(30) % 2, nature="spectra")
    assert choose_augmentation(spectra, passes=2) == Augmentation(shift=(0,), masks=(2, 3))


def test_motion_is_turned_and_keeps_the_length_of_vectors():
    inputs = np.random.default_rng(0).normal(size=(20, 6, 56)).astype(np.float32)
    policy = Augmentation(turn=0.2)
    batch = BatchMaker(policy, seed=0).draw(torch.from_numpy(inputs), torch.arange(20))[0].numpy()
    for copy in (augment(inputs, 0, policy), batch):
        axes, before = (each.reshape(20, 2, 3, 56) for each in (copy, inputs))
        lengths = np.linalg.norm(axes, axis=2)
        np.testing.assert_allclose(lengths, np.linalg.norm(before, axis=2), rtol=1e-4)
        angles = np.arccos((axes * before).sum(axis=2) / lengths**2 * 0.9999)
        assert 0.1 < angles.mean() < 0.4


@pytest.mark.parametrize(("directions", "possible"), [(2, (0, 2)), (4, (0, 1, 2, 3))])
def test_examples_are_turned_each_as_a_whole_to_every_direction(directions, possible):
    square = INPUTS[..., :5, :]
    policy = Augmentation(directions=directions)
    labels = torch.arange(len(square))
    batch = BatchMaker(policy, seed=0).draw(torch.from_numpy(square), labels)[0].numpy()
    for view in (augment(square, 0, policy), batch):
        found = [
            [q for q in range(4) if np.array_equal(np.rot90(a, q, axes=(1, 2)), b)]
            for a, b in zip(square, view, strict=True)
        ]
        assert {tuple(each) for each in found} == {(quarter,) for quarter in possible}
    assert policy.changes_inputs


def test_pictures_are_turned_to_every_angle_about_their_middle():
    # A bright pixel a radius of 6 from the middle, far from the border, stays at that distance.
    pictures = np.zeros((300, 1, 17, 17), np.float32)
    pictures[:, 0, 8, 13:16] = 1
    policy = Augmentation(directions=32)
    for view in copies_of(pictures, policy):
        rows, columns = np.mgrid[-8:9, -8:9]
        found = [(row[0] > 0) for row in view]
        angles = [math.atan2(rows[on].mean(), columns[on].mean()) for on in found]
        radii = [np.hypot(rows[on], columns[on]).mean() for on in found]
        np.testing.assert_allclose(radii, 6, atol=0.4)
        turns = np.array(angles) / (2 * np.pi / 32)
        np.testing.assert_allclose(turns, turns.round(), atol=0.3)
        assert len(set(turns.round().astype(int) % 32)) == 32


def test_light_and_contrast_are_those_of_whole_pictures():
    pictures = np.random.default_rng(1).normal(size=(2000, 2, 4, 4)).astype(np.float32)
    policy = Augmentation(light=0.2)
    assert policy.changes_inputs
    for view in copies_of(pictures, policy):
        factors = view.std(axis=(1, 2, 3)) / pictures.std(axis=(1, 2, 3))
        added = (view / factors[:, None, None, None] - pictures).mean(axis=(1, 2, 3))
        whole = (pictures + added[:, None, None, None]) * factors[:, None, None, None]
        np.testing.assert_allclose(view, whole, atol=1e-4)
        np.testing.assert_allclose([np.log(factors).std(), added.std()], 0.2, rtol=0.1)
        assert abs(np.corrcoef(factors, added)[0, 1]) < 0.1


SIGNS = (-1.0, 1.0, 1.0, 1.0, -1.0, -1.0)


def test_half_of_the_pictures_are_flipped_upside_down_in_copies_and_in_batches():
    pictures = np.random.default_rng(0).normal(size=(400, 2, 6, 5)).astype(np.float32)
    policy = Augmentation(flip=True)
    drawn = BatchMaker(policy, seed=0).draw(torch.from_numpy(pictures), torch.arange(400))[0]
    for copy in (augment(pictures, 5, policy), drawn.numpy()):
        is_flipped = (copy == pictures[:, :, ::-1]).all(axis=(1, 2, 3))
        assert (is_flipped | (copy == pictures).all(axis=(1, 2, 3))).all()
        assert 0.4 < is_flipped.mean() < 0.6


def test_rows_and_columns_of_half_of_the_pictures_change_places():
    pictures = np.random.default_rng(0).normal(size=(400, 2, 6, 6)).astype(np.float32)
    policy = Augmentation(transposed=True)
    assert policy.changes_inputs
    for view in copies_of(pictures, policy):
        is_changed = (view == pictures.swapaxes(2, 3)).all(axis=(1, 2, 3))
        assert (is_changed | (view == pictures).all(axis=(1, 2, 3))).all()
        assert 0.4 < is_changed.mean() < 0.6


def test_half_of_the_signals_have_the_opposite_sign_in_copies_and_in_batches():
    signals = np.random.default_rng(0).normal(size=(400, 2, 16)).astype(np.float32)
    policy = Augmentation(inverted=True)
    drawn = BatchMaker(policy, seed=0).draw(torch.from_numpy(signals), torch.arange(400))[0]
    for copy in (augment(signals, 5, policy), drawn.numpy()):
        is_inverted = (copy == -signals).all(axis=(1, 2))
        assert (is_inverted | (copy == signals).all(axis=(1, 2))).all()
        assert 0.4 < is_inverted.mean() < 0.6


def test_motion_is_varied_however_long_it_is_learned():
    inputs = np.random.default_rng(0).normal(size=(20, 6, 56)).astype(np.float32)
    data = Split(inputs=inputs, labels=np.arange(20) % 2, nature="motion", mirror_signs=SIGNS)
    wanted = Augmentation(shift=(4,), turn=0.3, tempo=0.2, strength=0.2, signs=SIGNS)
    assert choose_augmentation(data, passes=1) == choose_augmentation(data) == wanted


def copies_of(inputs, policy):
    """Return both kinds of copies: a whole one, and a batch."""
    ids = torch.arange(len(inputs))
    batch = BatchMaker(policy, seed=0).draw(torch.from_numpy(inputs), ids)[0].numpy()
    return augment(inputs, 0, policy), batch


def test_half_of_the_motions_become_mirror_images():
    inputs = np.random.default_rng(0).normal(size=(60, 6, 20)).astype(np.float32)
    for copy in copies_of(inputs, Augmentation(signs=SIGNS)):
        mirrored = inputs * np.array(SIGNS, np.float32)[:, None]
        is_mirrored = np.abs(copy - mirrored).max(axis=(1, 2)) < 1e-5
        is_kept = np.abs(copy - inputs).max(axis=(1, 2)) < 1e-5
        assert (is_mirrored ^ is_kept).all()
        assert 15 < is_mirrored.sum() < 45


def test_a_sensor_is_stronger_or_weaker_as_a_whole():
    inputs = np.random.default_rng(0).normal(size=(60, 6, 20)).astype(np.float32)
    for copy in copies_of(inputs, Augmentation(strength=0.2)):
        ratio = (copy / inputs).reshape(60, 2, -1)
        np.testing.assert_allclose(ratio, ratio[:, :, :1].repeat(60, axis=2), rtol=1e-4)
        assert 0.15 < np.log(ratio[:, :, 0]).std() < 0.25


def test_tempo_changes_the_frequency_and_shift_the_moment():
    wave = np.sin(2 * np.pi * 10 * np.arange(200) / 200).astype(np.float32)
    inputs = np.broadcast_to(wave, (40, 3, 200)).copy()
    for copy in copies_of(inputs, Augmentation(tempo=0.3)):
        crossings = (np.diff(np.signbit(copy[:, 0]).astype(int)) != 0).sum(axis=1)
        # exp(-.3) and exp(.3) of the 20 crossings; a faster one ends in what it was, backwards
        assert crossings.min() >= 13 and 23 < crossings.max() <= 29
    ramp = np.broadcast_to(np.arange(50, dtype=np.float32), (40, 3, 50)).copy()
    for copy in copies_of(ramp, Augmentation(shift=(5,), strength=1e-6)):
        middle = copy[:, 0, 10:40] - ramp[:, 0, 10:40]
        np.testing.assert_allclose(middle, middle[:, :1].repeat(30, axis=1), atol=1e-3)
        assert -5.001 < middle.min() < -3 and 3 < middle.max() < 5.001


def test_digits_are_shifted_and_not_mirrored_and_signals_never_mirrored():
    from hwkd.tasks.classification import ClassifyTask

    digits = ClassifyTask().data(None).train
    assert choose_augmentation(digits) == Augmentation(shift=(1, 1))
    signals = Split(inputs=np.zeros((20, 3, 56), np.float32), labels=np.arange(20) % 2)
    assert choose_augmentation(signals) == Augmentation(shift=(4,))
