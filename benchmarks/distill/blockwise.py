"""Whether stages that learn from a teacher's, side by side and briefly, rank candidates.

python -m benchmarks.distill.blockwise [--candidates 12] [--block-epochs 5] [--epochs 20]

Every candidate's stage learns alone from the same stage of one teacher, on the teacher's maps
(DNA, arXiv:1911.13053); the mean absolute difference of its maps on validation, in deviations of
the teacher's, is added over stages. Beside it MACs and parameters alone, and validation error after
as many passes of the whole candidate on labels. Kendall's tau of each with the accuracy on test
after the full training, 1 is the same order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.distill.setup import STUDENT_CHANNELS, load_data, parameters, student
from benchmarks.lib.scores import accuracy_ratio
from benchmarks.lib.verdict import report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError
from hwkd.core.signals import Batch
from hwkd.core.student import Layers
from hwkd.cost.graph import build_graph
from hwkd.distill.edge_losses import relative_difference, squared_difference
from hwkd.io.discovery import discover
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.cut import part_between, run_between
from hwkd.tasks.base import TaskData
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import predict_logits, train_module

_SPACES = ("depthwise", "plain", "shuffle")
_STAGES = 2


class Blocks(nn.Module):
    """The stages of a candidate, each between linear maps of channels from and to a teacher's."""

    def __init__(self, module: StudentModule, teacher: StudentModule) -> None:
        """Draw the linear maps."""
        super().__init__()
        self.module, self._teacher = module, [teacher]  # the teacher is no part of it
        ours, theirs = (_stage_shapes(each.layers) for each in (module, teacher))
        self._sizes = [(shape[1], shape[2]) for shape in ours]
        self.before = nn.ModuleList(
            nn.Conv2d(theirs[n][0], ours[n][0], 1) for n in range(_STAGES - 1)
        )
        self.behind = nn.ModuleList(nn.Conv2d(ours[n][0], theirs[n][0], 1) for n in range(_STAGES))

    def pairs(self, inputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what each stage shows and what the teacher's does, of one size."""
        (teacher,) = self._teacher
        with torch.no_grad():
            names = teacher.layers.stage_ends[:_STAGES]
            _, values = teacher.forward_taps(inputs, names)
        maps = inputs
        for stage, name in enumerate(names, start=1):
            shown = self.behind[stage - 1](run_between(self.module, maps, stage - 1, stage))
            wanted = values[name]
            yield functional.interpolate(shown, wanted.shape[2:], mode="bilinear"), wanted
            if stage < _STAGES:
                pooled = functional.adaptive_avg_pool2d(wanted, self._sizes[stage - 1])
                maps = self.before[stage - 1](pooled)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sum of the stages' relative differences."""
        return torch.stack([relative_difference(*pair) for pair in self.pairs(inputs)]).sum()


class BlockLoss:
    """The squared differences of all stages; see `hwkd.train.criteria.Criterion`."""

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Run every stage on the teacher's maps."""
        assert isinstance(module, Blocks)
        pairs = enumerate(module.pairs(batch.inputs), start=1)
        return {f"block {n}": squared_difference(*pair).mean() for n, pair in pairs}

    def parameters(self) -> Sequence[nn.Parameter]:
        """None."""
        return ()


def _stage_shapes(layers: Layers) -> list[tuple[int, ...]]:
    shapes = {layer.name: layer.shape for layer in layers.layers}
    return [shapes[name] for name in layers.stage_ends[:_STAGES]]


def candidates(count: int, data: TaskData) -> Iterator[tuple[str, Layers]]:
    """Yield random students of several spaces whose stages read the stage before alone."""
    discover("hwkd.search_spaces")
    number = found = 0
    while found < count:
        name = _SPACES[number % len(_SPACES)]
        space = SEARCH_SPACES.get(name)
        spec = space.suggest(
            RandomChooser(number), input_shape=data.input_shape, num_outputs=data.num_outputs
        )
        layers, number = space.layers(spec), number + 1
        try:
            for stage in range(1, _STAGES + 1):
                part_between(layers, stage - 1, stage)
        except ConfigError:
            continue
        found += 1
        yield f"{name} {number}", layers


def trained(layers: Layers, data: TaskData, *, epochs: int, seed: int) -> StudentModule:
    """Train a network on labels."""
    module = build_module(layers, seed=seed)
    train_module(module, _batches(data), TaskLoss(data.head), _config(epochs, seed))
    return module


def block_difference(
    layers: Layers, teacher: StudentModule, data: TaskData, *, epochs: int, seed: int
) -> float:
    """Return what the stages of a candidate differ by on validation after a brief training."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        blocks = Blocks(build_module(layers, seed=seed), teacher)
    train_module(blocks, _batches(data), BlockLoss(), _config(epochs, seed))
    with torch.no_grad():
        return float(blocks(torch.tensor(data.validation.inputs)))


def _batches(data: TaskData) -> TensorBatches:
    return TensorBatches([torch.tensor(data.train.inputs)], torch.tensor(data.train.labels))


def _config(epochs: int, seed: int) -> TrainConfig:
    return TrainConfig(epochs=epochs, batch_size=64, learning_rate=0.02, seed=seed)


def main(arguments: list[str]) -> int:
    """Rank candidates and print how well."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--candidates", type=int, default=12)
    options.add_argument("--block-epochs", type=int, default=5)
    options.add_argument("--epochs", type=int, default=20, help="of the full training")
    options.add_argument("--seeds", type=int, default=1, help="of the full training")
    options.add_argument("--teacher", default="30k", choices=STUDENT_CHANNELS)
    chosen = options.parse_args(arguments)
    torch.set_num_threads(1)
    data = load_data(None)
    test = data.test
    teacher = trained(student(chosen.teacher, data), data, epochs=chosen.epochs, seed=0)
    print("| candidate | parameters | MACs | blocks differ by | brief error | test |")
    print("|---|--:|--:|--:|--:|--:|")
    rows = []
    for name, layers in candidates(chosen.candidates, data):
        macs = sum(op.macs for op in build_graph(layers).ops)
        differs = block_difference(layers, teacher, data, epochs=chosen.block_epochs, seed=0)
        brief = trained(layers, data, epochs=chosen.block_epochs, seed=0)
        outputs = predict_logits(brief, torch.tensor(data.validation.inputs)).numpy()
        error = 1.0 - accuracy_ratio(outputs, data.validation.labels)
        scores = []
        for seed in range(chosen.seeds):
            module = trained(layers, data, epochs=chosen.epochs, seed=seed)
            logits = predict_logits(module, torch.tensor(test.inputs)).numpy()
            scores.append(accuracy_ratio(logits, test.labels))
        row = (parameters(layers), macs, differs, error, float(np.mean(scores)))
        rows.append(row)
        print(
            f"| {name} | {row[0]:,} | {macs:,} | {differs:.3f} | {100 * error:.1f} % | "
            f"{100 * row[-1]:.2f} % |",
            flush=True,
        )
    columns = np.array(rows).T
    signs = {"parameters": 1, "MACs": 1, "blocks": -1, "brief training": -1}
    taus = {
        name: float(kendalltau(sign * column, columns[-1]).statistic)
        for (name, sign), column in zip(signs.items(), columns, strict=False)
    }
    print("\nKendall's tau: " + ", ".join(f"{name} {tau:+.2f}" for name, tau in taus.items()))
    return report([], {"kendall_tau": taus, "candidates": len(rows)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
