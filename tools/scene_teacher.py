"""A teacher of scenes: a network that knows ImageNet, with levels trained on the data behind it.

python -m tools.scene_teacher DATA OUT.onnx [--task segment|detect] [--passes 8] [--seed 0]

DATA is a folder for the task, with pictures in colour or grey. The network (`tools.efficient_lite`)
sees them enlarged and is not trained; what it sees in the pictures of the train split and in their
mirror images is computed once, 200 kB each in a temporary file. OUT takes values as they are
stored, so that it teaches by `--teacher OUT --teacher-input raw`.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import TASKS
from hwkd.core.head import Head
from hwkd.core.reading import AS_USUAL
from hwkd.core.teacher_input import TeacherInput
from hwkd.inference.sessions import start_session
from hwkd.io.discovery import discover
from hwkd.train.teacher_input import seen_input
from tools.efficient_lite import CHANNELS, pretrained_lite
from tools.make_task_data import downloaded

_SIDE = 128  # pixels that the network sees a side; a multiple of 32
_WIDTHS = (32, 64, 96, 128)
_BATCH, _OPSET = 16, 17
_PASSES, _RATE, _DECAY, _DROPOUT, _WARMUP = 8, 3e-3, 0.02, 0.2, 0.15


def make_scene_teacher(
    data: Path, out: Path, *, task: str = "segment", passes: int = _PASSES, seed: int = 0
) -> None:
    """Train the levels and write the teacher.

    Args:
        task: "segment" or "detect", whose outputs have a position for each cell.

    Raises:
        ValueError: if the package cannot be had.
    """
    discover("hwkd.tasks")
    scenes = TASKS.get(task).data(data, AS_USUAL)
    raw = seen_input(TeacherInput.parse("raw"), scenes.pipeline.record())
    height, width = scenes.input_shape[1:]
    side = scenes.head.kind.cell_pixels
    cells = (height // side, width // side) if side > 1 else None
    network = _Enlarged(pretrained_lite(downloaded), cells)
    channels = CHANNELS[1:] if cells else CHANNELS
    with tempfile.TemporaryDirectory() as folder:
        seen = _seen(network, scenes.train.inputs, raw.of_array, Path(folder))
        targets = torch.from_numpy(np.asarray(scenes.train.labels))
        torch.manual_seed(seed)
        says = Levels(channels, scenes.num_outputs)
        scenes.head.kind.begin(says.says[0].bias)
        levels = nn.Sequential(says, _Sized(cells or (height, width)))
        _train(levels, seen, targets, scenes.head, passes, seed)
    write_teacher(nn.Sequential(network, levels), scenes.input_shape, out)


def as_teacher(file: Path) -> dict[str, Any]:
    """Return what `hwkd.search` and `hwkd.distill` take for one that was written."""
    return {"teachers": [str(file)], "teacher_inputs": ["raw"]}


def write_teacher(teacher: nn.Module, input_shape: tuple[int, ...], out: Path) -> None:
    """Write a network as ONNX, in batches that keep memory small.

    Args:
        input_shape: without batch.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its older exporter, which needs no other package
        torch.onnx.export(
            teacher.eval(), (torch.zeros(_BATCH, *input_shape),), out, dynamo=False,
            opset_version=_OPSET, input_names=["pictures"], output_names=["classes"],
        )  # fmt: skip


class Levels(nn.Module):
    """From coarse maps to fine ones; every level adds what it says of the classes."""

    def __init__(self, channels: Sequence[int], classes: int) -> None:
        """Create the levels.

        Args:
            channels: of the maps, the largest map first.
        """
        super().__init__()
        widths = _WIDTHS[-len(channels) :]
        self.given = nn.ModuleList(nn.BatchNorm2d(count, affine=False) for count in channels)
        self.look = nn.ModuleList(
            _conv(count, width, 1) for count, width in zip(channels, widths, strict=True)
        )
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.join = nn.ModuleList(_conv(width, width, 3) for width in widths)
        self.says = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in widths)

    def forward(self, seen: Sequence[Tensor]) -> Tensor:
        """Return logits of the size of the largest map."""
        said = x = None
        for level in reversed(range(len(seen))):
            here = self.look[level](self._dropped(self.given[level](seen[level])))
            if x is not None:
                here = here + functional.interpolate(self.narrow[level](x), here.shape[2:])
            x = self.join[level](here)
            says: Tensor = self.says[level](self._dropped(x))
            said = says if said is None else says + functional.interpolate(said, says.shape[2:])
        assert said is not None
        return said

    def _dropped(self, maps: Tensor) -> Tensor:
        return functional.dropout2d(maps, _DROPOUT, self.training)


class _Enlarged(nn.Module):
    """Shows a network pictures of `_SIDE` pixels a side, grey ones in three equal colours.

    Where outputs are of cells, the maps are brought to as many positions, and to halves of that.
    """

    def __init__(self, network: nn.Module, cells: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.network = network
        self._cells = cells

    def forward(self, pictures: Tensor) -> list[Tensor]:
        large = _resized(pictures, (_SIDE, _SIDE))
        found: list[Tensor] = self.network(large.expand(-1, 3, -1, -1))
        if self._cells is None:
            return found
        height, width = self._cells
        sizes = ((height // 2**times, width // 2**times) for times in range(len(found) - 1))
        return [_resized(maps, size) for maps, size in zip(found[1:], sizes, strict=True)]


class _Sized(nn.Module):
    """Gives maps the height and width of the pictures."""

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, maps: Tensor) -> Tensor:
        return _resized(maps, self.size)


def _resized(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    height, width = maps.shape[2:]
    if (height, width) == tuple(size):
        return maps
    # By factors and not to a size, behind which torch's exporter knows no number of channels.
    factors = (size[0] / int(height), size[1] / int(width))
    return functional.interpolate(maps, scale_factor=factors, mode="bilinear", align_corners=False)


def _conv(before: int, after: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


def _seen(
    network: nn.Module, inputs: NDArray[np.float32], raw: Any, folder: Path
) -> Sequence[NDArray[np.float16]]:
    """Return what a network shows of all inputs, each [n, channels, height, width], on disk."""
    write_teacher(network, inputs.shape[1:], folder / "network.onnx")
    session = start_session(folder / "network.onnx")
    shown = [each.shape[1:] for each in session.get_outputs()]
    maps = [
        open_memmap(folder / f"{level}.npy", "w+", np.float16, (len(inputs), *shape))
        for level, shape in enumerate(shown)
    ]
    for start in range(0, len(inputs), _BATCH):
        batch = np.zeros((_BATCH, *inputs.shape[1:]), np.float32)
        rows = slice(start, min(start + _BATCH, len(inputs)))
        count = rows.stop - start
        batch[:count] = raw(inputs[rows])
        for kept, found in zip(maps, session.run(None, {"pictures": batch}), strict=True):
            kept[rows] = found[:count]
    return maps


def _train(
    levels: nn.Module,
    seen: Sequence[NDArray[np.float16]],
    targets: Tensor,
    head: Head,
    passes: int,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    steps = passes * (len(targets) // _BATCH)
    optimizer = torch.optim.AdamW(levels.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=_RATE, total_steps=steps, pct_start=_WARMUP
    )
    rows = np.array([], np.int64)
    for _ in range(steps):
        if len(rows) < _BATCH:
            rows = random.permutation(len(targets))
        drawn, rows = np.sort(rows[:_BATCH]), rows[_BATCH:]
        shown = [torch.from_numpy(maps[drawn].astype(np.float32)) for maps in seen]
        with torch.autocast("cpu", torch.bfloat16):
            said = levels([maps.contiguous(memory_format=torch.channels_last) for maps in shown])
        loss = head.loss(said.float(), targets[drawn])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", choices=("segment", "detect"), default="segment")
    parser.add_argument("--passes", type=int, default=_PASSES)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    make_scene_teacher(given.data, given.out, task=given.task, passes=given.passes, seed=given.seed)
    print(f"written: {given.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
