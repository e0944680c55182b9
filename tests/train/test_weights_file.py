"""A weights file fills a module exactly, or says why not."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hwkd.train.weights_file import WeightsError, fill_module


@pytest.fixture
def file(tmp_path):
    save_file({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def with_header(file, **tensors):
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.dumps({**json.loads(content[8 : 8 + size]), **tensors}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])


def test_weights_fill_the_module(file):
    module = nn.Linear(3, 2)
    fill_module(module, file)
    assert module.weight.sum() == 6


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"\x80\x04pickle"),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes((2**60).to_bytes(8, "little") + file.read_bytes()[8:]),
        lambda file: file.write_bytes(file.read_bytes()[:8] + b"\xff" + file.read_bytes()[9:]),
        lambda file: with_header(file, bias={"dtype": "X9", "shape": [2], "data_offsets": [0, 8]}),
        lambda file: with_header(
            file, bias={"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}
        ),
        lambda file: file.unlink(),
    ],
)
def test_a_damaged_file_is_one_reason_and_changes_nothing(file, damage):
    damage(file)
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        fill_module(module, file)
    assert torch.equal(module.weight, before)


def test_weights_of_another_network_are_named(file):
    with pytest.raises(WeightsError, match=r"weight has shape \(2, 3\), expected \(2, 4\)"):
        fill_module(nn.Linear(4, 2), file)
    with pytest.raises(WeightsError, match="unexpected bias"):
        fill_module(nn.Linear(3, 2, bias=False), file)
