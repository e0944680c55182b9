"""What is added to outputs for the largest mean IoU: by brute force, or nothing."""

import itertools

import numpy as np
import pytest

from hwkd.tasks.maps_head import MAP_METRICS, MapsHead
from hwkd.tasks.maps_offsets import iou_offsets


def mean_iou(named, given, classes):
    shares = [
        np.sum((named == k) & (given == k)) / np.sum((named == k) | (given == k))
        for k in range(classes)
        if np.any((named == k) | (given == k))
    ]
    return np.mean(shares)


def drawn(seed: int, classes: int = 3, positions: int = 4_000):
    """Logits that are right about how likely classes are when the first one weighs a fifth."""
    random = np.random.default_rng(seed)
    likely = np.array([0.8, *[0.2 / (classes - 1)] * (classes - 1)])
    given = random.choice(classes, positions, p=likely)
    shown = random.standard_normal((classes, positions)) + 1.5 * (
        np.arange(classes)[:, None] == given
    )
    logits = 1.5 * shown + np.log(likely / np.array([5.0, *[1.0] * (classes - 1)]))[:, None]
    return logits.astype(np.float32), given


@pytest.mark.parametrize("seed", range(3))
def test_no_move_of_a_grid_is_better(seed):
    logits, given = drawn(seed)
    offsets = iou_offsets(logits, given)
    reached = mean_iou((logits + offsets[:, None]).argmax(0), given, 3)
    tried = max(
        mean_iou((logits + np.array([0.0, one, other])[:, None]).argmax(0), given, 3)
        for one, other in itertools.product(np.linspace(-3, 3, 25), repeat=2)
    )
    assert reached >= tried - 1e-3
    assert reached > mean_iou(logits.argmax(0), given, 3) + 0.02


def test_outputs_that_are_right_stay_where_they_are():
    given = np.arange(300) % 3
    logits = (20.0 * (np.arange(3)[:, None] == given)).astype(np.float32)
    assert np.all(iou_offsets(logits, given) == 0)


def test_positions_without_a_class_say_nothing_and_classes_that_never_come_are_no_trouble():
    logits, given = drawn(0)
    maps = logits.reshape(3, 10, 20, 20).swapaxes(0, 1)
    masks = given.reshape(10, 20, 20).astype(np.int16)
    masks[:, :3] = -1
    head = MapsHead(names=("ground", "thing", "other", "never"), grid=(20, 20))
    more = np.concatenate([maps, np.full_like(maps[:, :1], -9.0)], axis=1)
    offsets = head.offsets(more, masks)
    kept = masks >= 0
    flat = more.swapaxes(0, 1).reshape(4, -1)[:, kept.ravel()]
    np.testing.assert_array_equal(offsets, iou_offsets(flat, masks[kept].astype(np.int64)))


def test_a_class_of_which_nothing_was_seen_stays_where_it_is():
    logits, given = drawn(0)
    more = np.concatenate([logits, logits[:1] + 0.5])  # the last one is named often, and never is
    offsets = iou_offsets(more, given)
    assert offsets[3] == 0 and np.any(offsets[:3] != 0)
    assert np.all(iou_offsets(more[:, :0], given[:0]) == 0)


def test_nothing_moves_where_pixels_are_counted():
    logits, given = drawn(0)
    head = MapsHead(names=("a", "b", "c"), grid=(20, 20), metrics=MAP_METRICS[::-1])
    maps = logits.reshape(3, 10, 20, 20).swapaxes(0, 1)
    assert np.all(head.offsets(maps, given.reshape(10, 20, 20).astype(np.int16)) == 0)
