"""The teacher of scenes is its network with the levels that were trained behind it."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from hwkd.tasks.maps_head import MapsHead
from tools.efficient_lite import CHANNELS, EfficientLite, pretrained_lite
from tools.scene_teacher import Levels, _Enlarged, _Sized, _train, write_teacher


def test_the_network_shows_four_sizes_and_has_the_weights_that_are_published() -> None:
    network = EfficientLite().eval()
    with torch.no_grad():
        seen = network(torch.zeros(1, 3, 64, 64))
    assert [tuple(each.shape[1:]) for each in seen] == [
        (channels, side, side) for channels, side in zip(CHANNELS, (16, 8, 4, 2), strict=True)
    ]
    # 4.652 million are published; its last convolution and the classes of ImageNet are left out.
    behind = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(weights.numel() for weights in network.parameters()) == 4_652_008 - behind


def test_weights_of_other_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="holds other bytes than known"):
        pretrained_lite(lambda package, members: [b"others"])


def test_levels_learn_masks_from_maps_and_the_file_says_what_they_say(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 3, (64, 4, 4))
    masks = torch.from_numpy(np.kron(coarse, np.ones((1, 8, 8), int)))
    shown = np.eye(3)[coarse].transpose(0, 3, 1, 2).astype(np.float16)
    fine = np.repeat(np.repeat(shown, 2, 2), 2, 3)
    seen = [np.repeat(np.repeat(fine, 2, 2), 2, 3), fine, shown, shown[:, :, ::2, ::2]]
    torch.manual_seed(0)
    levels = nn.Sequential(Levels((3, 3, 3, 3), 3), _Sized((32, 32)))
    _train(levels, seen, masks, MapsHead(names=("a", "b", "c"), grid=(32, 32)), 15, 0)
    maps = [torch.from_numpy(each.astype(np.float32)) for each in seen]
    with torch.no_grad():
        said = levels.eval()(maps)
    assert (said.argmax(dim=1) == masks).double().mean() > 0.9
    whole = nn.Sequential(_Shown(), levels)
    write_teacher(whole, (3, 16, 16), tmp_path / "teacher.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "teacher.onnx")
    (found,) = session.run(None, {"pictures": maps[0][:16].numpy()})
    np.testing.assert_allclose(found, said[:16].numpy(), atol=1e-4)


def test_a_teacher_of_boxes_says_something_of_each_cell_of_a_grey_picture(tmp_path: Path) -> None:
    shown = _Enlarged(EfficientLite().eval(), (12, 8))
    with torch.no_grad():
        maps = shown(torch.zeros(1, 1, 96, 64))
    sizes = ((12, 8), (6, 4), (3, 2))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (channels, *size) for channels, size in zip(CHANNELS[1:], sizes, strict=True)
    ]
    levels = nn.Sequential(Levels(CHANNELS[1:], 9), _Sized((12, 8)))
    write_teacher(nn.Sequential(shown, levels), (1, 96, 64), tmp_path / "teacher.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "teacher.onnx")
    (found,) = session.run(None, {"pictures": np.zeros((16, 1, 96, 64), np.float32)})
    assert found.shape == (16, 9, 12, 8)


class _Shown(nn.Module):
    """Shows the picture itself in several sizes."""

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x, *(x[:, :, ::step, ::step] for step in (2, 4, 8))]
