"""Four students of one shape trained side by side: one after another, or as one batched network.

Two forms of the batched network are tried: `torch.vmap` over stacked weights, and one network of
four times the channels whose convolutions are in groups, which holds the weights in that form from
the start. A step is forward, cross-entropy and backward on one thread, in processor time, so that a
busy machine tells the same. The library trains peers in groups (`hwkd.nn.side_by_side`).

    python -m benchmarks.speed.batched_peers
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from benchmarks.distill.setup import load_data, student
from benchmarks.lib.verdict import count, report
from hwkd.nn.build import build_module
from hwkd.nn.side_by_side import SideBySide

PEERS = 4
_ROUNDS, _STEPS = 5, 4


def ways(size: str, batch: int) -> dict[str, Callable[[], None]]:
    """Return the ways of making a step."""
    data = load_data(None)
    layers = student(size, data)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(batch, *data.input_shape, generator=generator)
    inputs = inputs.to(memory_format=torch.channels_last)
    labels = torch.randint(0, data.num_outputs, (batch,), generator=generator)
    apart = [build_module(layers, seed=seed).train() for seed in range(PEERS)]
    grouped = SideBySide(layers, apart).train()

    def learn(logits: list[Tensor]) -> None:
        losses = [nn.functional.cross_entropy(each, labels) for each in logits]
        torch.autograd.backward(torch.stack(losses).sum())

    def stacked(of: Callable[[nn.Module], dict[str, Tensor]]) -> dict[str, Tensor]:
        each = [of(module) for module in apart]
        return {name: torch.stack([one[name] for one in each]) for name in each[0]}

    def by_vmap() -> None:
        weights = stacked(lambda module: dict(module.named_parameters()))
        state = stacked(lambda module: dict(module.named_buffers()))
        made = vmap(lambda w, s: functional_call(apart[0], (w, s), (inputs,)))(weights, state)
        learn(list(made))

    return {
        "one after another": lambda: learn([module(inputs) for module in apart]),
        "vmap": by_vmap,
        "groups": lambda: learn([logits for logits, _ in grouped.forward_taps(inputs)]),
    }


def step_s(make: Callable[[], None]) -> float:
    """Return the processor seconds of a step."""
    begun = time.process_time()
    for _ in range(_STEPS):
        make()
    return (time.process_time() - begun) / _STEPS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one size, one batch")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # vmap says where it falls back, which the time shows
    rows, least = {}, float("inf")
    for size in ("8k",) if given.quick else ("2k", "8k"):
        for batch in (64,) if given.quick else (16, 64):
            made = ways(size, batch)
            for make in made.values():
                make()
            times = {name: median(step_s(m) for _ in range(_ROUNDS)) for name, m in made.items()}
            apart = times.pop("one after another")
            speed_ups = {name: apart / seconds for name, seconds in times.items()}
            least = min(least, speed_ups["groups"])
            rows[f"{size}, batch {batch}"] = {"ms apart": 1000 * apart, **speed_ups}
            print(f"{size}, batch {batch}: {1000 * apart:.1f} ms apart, {speed_ups}", flush=True)
    # What is the faster way here is the library's.
    target = count("least speed-up of one network in groups", least, 1.0, at_least=True)
    return report([target], {"cells": rows})


if __name__ == "__main__":
    sys.exit(main())
