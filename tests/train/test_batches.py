import numpy as np
import pytest
import torch

from hwkd.core.signals import moved
from hwkd.train.augment import NO_AUGMENTATION, Augmentation
from hwkd.train.batches import BatchMaker, TensorBatches, in_fast_layout
from hwkd.train.config import TrainConfig

IDS = torch.tensor([5, 0, 5, 31, 7, 12] * 20)


def images(channels):
    generator = torch.Generator().manual_seed(0)
    return in_fast_layout(torch.randn(40, channels, 6, 5, generator=generator))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_moved_or_mirrored_with_repeated_borders(channels):
    inputs = images(channels)
    batch, _ = BatchMaker(Augmentation(shift=(1, 2), mirror=True), seed=0).draw(inputs, IDS)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    seen = set()
    for sample, shown in zip(inputs[IDS].numpy(), batch.numpy(), strict=True):
        padded = np.pad(sample, ((0, 0), (1, 1), (2, 2)), mode="edge")
        matches = [
            (down, right, turn)
            for down in range(3)
            for right in range(5)
            for turn in (1, -1)
            if np.array_equal(padded[:, down : down + 6, right : right + 5][..., ::turn], shown)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 20


def test_a_signal_is_moved_in_time():
    signals = torch.randn(40, 3, 12, generator=torch.Generator().manual_seed(0))
    batch, _ = BatchMaker(Augmentation(shift=(2,)), seed=0).draw(signals, IDS)
    padded = torch.nn.functional.pad(signals[IDS], (2, 2), mode="replicate")
    for sample, shifted in zip(padded, batch, strict=True):
        assert sum(torch.equal(sample[:, s : s + 12], shifted) for s in range(5)) == 1


def test_a_shift_of_other_axes_is_refused():
    with pytest.raises(
        ValueError, match=r"shift up to 1 x 1\) does not fit inputs of shape \(3, 12\)"
    ):
        BatchMaker(Augmentation(shift=(1, 1)), seed=0).draw(torch.zeros(4, 3, 12), torch.arange(4))


def test_noise_has_its_size_and_leaves_the_data():
    signals = torch.zeros(40, 3, 500)
    batch, _ = BatchMaker(Augmentation(noise=0.25), seed=0).draw(signals, torch.arange(40))
    assert float(batch.std()) == pytest.approx(0.25, rel=0.02)
    assert not signals.any()


def test_the_seed_names_what_is_drawn_and_every_draw_is_another():
    policy = Augmentation(shift=(1, 1), mirror=True, noise=0.1)
    first, again, other = (BatchMaker(policy, seed=seed) for seed in (3, 3, 4))
    batch = first.draw(images(1), IDS)[0]
    assert torch.equal(batch, again.draw(images(1), IDS)[0])
    assert not torch.equal(batch, other.draw(images(1), IDS)[0])
    assert not torch.equal(batch, first.draw(images(1), IDS)[0])


def test_no_augmentation_is_the_samples_themselves():
    batch, positions = BatchMaker(NO_AUGMENTATION, seed=0).draw(images(2), IDS)
    assert torch.equal(batch, images(2)[IDS])
    assert positions is None


@pytest.mark.parametrize("directions", [1, 4])
def test_masks_move_with_their_pictures(directions):
    pictures = torch.arange(3 * 6 * 6, dtype=torch.float32).view(3, 1, 6, 6)
    source = TensorBatches([pictures], pictures[:, 0].to(torch.int16))
    config = TrainConfig(
        epochs=1, batch_size=3, seed=1,
        augmentation=Augmentation(shift=(1, 2), mirror=True, directions=directions),
    )  # fmt: skip
    (batch,) = source.stream(config).epoch(0)
    assert not torch.equal(batch.inputs, pictures[batch.sample_ids])
    assert torch.equal(batch.inputs[:, 0], batch.labels.float())
    logits = torch.cat([pictures, -pictures], 1)[batch.sample_ids]
    assert torch.equal(moved(logits, batch.positions)[:, :1], batch.inputs)
