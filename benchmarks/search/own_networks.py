"""Made data of users' kinds: a search against the network that an engineer would write by hand.

usage: python -m benchmarks.search.own_networks [--sets shapes defects] [--seeds 3]
           [--timeout 3min] [OPTION ...]

The network by hand is plain PyTorch and nothing of hwkd: three dense 3x3 convolutions with batch
normalisation, a classifier on every place of the last map (an estimated 10.9 ms, at most 13.6, on
colour pictures: inside the limits), AdamW with a warm-up and a cosine, flips, quarter turns and
shifts, and weights of classes where one is rare. It is trained on all that is
not test, for as many processor seconds as the search took in all, so that a busy machine compares
both alike. Both are judged on the same test set of made examples: the search's student in 8 bits,
the network by hand in floats. The sets:

- shapes: eight kinds of things, 300 of each, on clutter, at any place, angle, size and colour.
- defects: textures of grey waves, one in twenty with a scratch; judged by balanced accuracy.

Options that this program does not know go to `hwkd search`.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.lib.made_pictures import MADE, MadeSet
from benchmarks.lib.search_command import run_search_command
from benchmarks.lib.verdict import Target, report
from hwkd.io.run_files import RUN_FILE, read_run_record

DEVICE = ("--device", "cortex-m4", "--max-latency", "15ms", "--max-ram", "48KiB")
CHANNELS, PLACES = ((8, 2), (16, 2), (24, 2)), 16
BATCH, RATE, WARM_UP = 64, 0.01, 0.1


@dataclass(frozen=True)
class Compared:
    """Scores of one seed on the test set, 0 to 1, and the processor seconds that each had."""

    search: float
    by_hand: float
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=tuple(MADE), default=list(MADE))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--timeout", default="3min")
    parser.add_argument("--quick", action="store_true", help="one seed, half a minute")
    arguments, passed_on = parser.parse_known_args()
    if arguments.quick:
        arguments.seeds, arguments.timeout = 1, "30s"
    torch.set_num_threads(1)
    targets = []
    for name in arguments.sets:
        made = MADE[name](np.random.default_rng(0))
        options = [*DEVICE, "--workers", "1", "--timeout", arguments.timeout, *passed_on]
        found = [compared(made, options, seed) for seed in range(arguments.seeds)]
        search, by_hand = (
            statistics.mean(getattr(each, which) for each in found)
            for which in ("search", "by_hand")
        )
        what = f"{name}: {made.metric} of the search's students, int8"
        targets.append(Target(what, search, by_hand, at_least=True))
    code = report(targets)
    return 0 if arguments.quick else code


def compared(made: MadeSet, options: Sequence[str], seed: int) -> Compared:
    """Run a search, and then train the network by hand for as long."""
    with tempfile.TemporaryDirectory(prefix="hwkd-own-networks-") as temporary:
        folder = Path(temporary)
        np.savez(
            folder / "made.npz",
            x_train=made.inputs, y_train=made.labels,
            x_test=made.test_inputs, y_test=made.test_labels,
        )  # fmt: skip
        begun_s = child_s()
        run_search_command(
            [
                *options, "--data", str(folder / "made.npz"), "--metric",
                made.metric.replace(" ", "-"), "--seed", str(seed), "--out", str(folder / "run"),
            ],
            cache=folder / "cache",
        )  # fmt: skip
        seconds = child_s() - begun_s
        final = read_run_record(folder / "run" / RUN_FILE).final
    if final is None or final.scores.test_int8 is None:
        sys.exit("the search ended without a student")
    by_hand = trained_by_hand(made, seconds, seed)
    found = Compared(final.scores.test_int8[made.metric], by_hand, seconds)
    print(
        f"  {made.name}, seed {seed}, {seconds:.0f} s of a processor: search {found.search:.4f} "
        f"({final.spec.space}, {final.cost.params:,} parameters), by hand {found.by_hand:.4f}",
        flush=True,
    )
    return found


def child_s() -> float:
    """Return the processor seconds of all processes that this one waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def trained_by_hand(made: MadeSet, seconds: float, seed: int) -> float:
    """Train the network by hand for so long; returns its score on the test set."""
    torch.manual_seed(seed)
    inputs, test_inputs = normalised(made.inputs, made.test_inputs)
    labels = torch.from_numpy(made.labels)
    net = network(inputs.shape[1], classes := int(labels.max()) + 1)
    counts = torch.bincount(labels).float()
    weights = len(labels) / (classes * counts)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.01)
    begun_s, done = time.process_time(), 0.0
    while done < 1.0:
        order = torch.randperm(len(labels))
        for start in range(0, len(labels), BATCH):
            chosen = order[start : start + BATCH]
            done = (time.process_time() - begun_s) / seconds
            rate = min(done / WARM_UP, 0.5 + 0.5 * float(np.cos(np.pi * min(1.0, done))))
            for group in optimiser.param_groups:
                group["lr"] = RATE * rate
            optimiser.zero_grad()
            loss = functional.cross_entropy(net(varied(inputs[chosen])), labels[chosen], weights)
            torch.autograd.backward(loss)
            optimiser.step()
    net.eval()
    with torch.no_grad():
        answers = net(test_inputs).argmax(1).numpy()
    return score(made, answers)


def network(channels: int, classes: int) -> nn.Sequential:
    """Return the network by hand."""
    layers: list[nn.Module] = []
    for width, stride in CHANNELS:
        layers += [
            nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        ]  # fmt: skip
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * PLACES, classes))


def varied(batch: Tensor) -> Tensor:
    """Return a batch that is flipped, turned and shifted as a whole."""
    if torch.rand(()) < 0.5:
        batch = batch.flip(3)
    batch = torch.rot90(batch, int(torch.randint(4, ())), (2, 3))
    down, right = torch.randint(-2, 3, (2,)).tolist()
    return torch.roll(batch, (down, right), (2, 3))


def normalised(*parts: NDArray[np.uint8]) -> list[Tensor]:
    """Return pictures less the mean of the first part's, in its standard deviations."""
    mean, deviation = (
        np.float32(how(parts[0], axis=(0, 2, 3), keepdims=True)) for how in (np.mean, np.std)
    )
    return [torch.from_numpy((part - mean) / deviation) for part in parts]


def score(made: MadeSet, answers: NDArray[np.int64]) -> float:
    """Return the accuracy, or the mean of it over the classes."""
    is_right = answers == made.test_labels
    if made.metric == "accuracy":
        return float(is_right.mean())
    return float(np.mean([is_right[made.test_labels == c].mean() for c in np.unique(made.labels)]))


if __name__ == "__main__":
    sys.exit(main())
