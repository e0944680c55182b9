"""Exercises told apart by a smart watch, people unseen: what a search of three minutes reaches.

usage: python -m benchmarks.search.search_gestures [--seeds N] [--timeout 3min] [OPTION ...]

140 recordings of ten people (seglearn's watch data, `pip install --no-deps seglearn`), six channels
at 50 Hz, cut into windows of two seconds that overlap by half: people 1 to 5 to learn from, 6 and 7
to validate, 8 to 10 to test, read once. Beside it a small network written by hand, trained on the
same split for as long as the longest final training. Options that this program does not know go
to `hwkd search`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.lib.by_hand import train_by_hand
from benchmarks.lib.timed_searches import search_with_seeds
from benchmarks.lib.verdict import Target, report
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layers
from hwkd.core.units import parse_duration_s
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data

DEVICE = "cortex-m4"
MEDIAN_ACCURACY = 0.80
WINDOW, STEP = 100, 50
PEOPLE = {"train": (1, 2, 3, 4, 5), "val": (6, 7), "test": (8, 9, 10)}
# The file holds Python objects: it is opened only if it is the published one.
WATCH_SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="seglearn's watch_dataset.npy")
    parser.add_argument("--timeout", default="3min")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--by-hand", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--quick", action="store_true", help="one seed, a minute: does all work?")
    arguments, passed_on = parser.parse_known_args()
    if arguments.quick:
        arguments.seeds, arguments.timeout = 1, "60s"
    with tempfile.TemporaryDirectory(prefix="hwkd-gestures-") as temporary:
        folder = Path(temporary)
        data = write_windows(arguments.source or installed_file(), folder / "gestures.npz")
        options = [
            "--data",
            str(data),
            "--device",
            DEVICE,
            "--timeout",
            arguments.timeout,
            *passed_on,
        ]
        found = search_with_seeds(options, seeds=arguments.seeds, folder=folder)
        if arguments.by_hand:
            _, splits = load_data(SearchConfig(device=DEVICE, data=str(data)))
            network = network_by_hand(splits.input_shape, splits.num_outputs)
            made = train_by_hand(network, splits, seconds=max(10.0, *found.final_s))
            print(f"  by hand: {made}", flush=True)
    limit_s = parse_duration_s(arguments.timeout, option="--timeout")
    code = report(
        [
            Target(
                "median int8 test accuracy",
                statistics.median(found.test_int8),
                MEDIAN_ACCURACY,
                True,
            ),
            Target("longest wall time", max(found.walls_s), limit_s, scale=1, unit=" s"),
        ]
    )
    return 0 if arguments.quick else code


def installed_file() -> Path:
    found = importlib.util.find_spec("seglearn")
    if found is None or found.origin is None:
        sys.exit("seglearn is not installed; run: pip install --no-deps seglearn==1.2.5")
    return Path(found.origin).parent / "data" / "watch_dataset.npy"


def write_windows(source: Path, target: Path) -> Path:
    """Write (windows, 6 channels, 100 steps) of each group of people into an NPZ file."""
    if hashlib.sha256(source.read_bytes()).hexdigest() != WATCH_SHA256:
        sys.exit(f"{source.name} is not the published file of seglearn 1.2.5")
    content = np.load(source, allow_pickle=True).item()
    arrays: dict[str, np.ndarray] = {"class_names": np.array(content["y_labels"])}
    for split, people in PEOPLE.items():
        windows, labels = [], []
        for signal, label, person in zip(
            content["X"], content["y"], content["subject"], strict=True
        ):
            if person in people:
                starts = range(0, len(signal) - WINDOW + 1, STEP)
                windows += [signal[start : start + WINDOW].T for start in starts]
                labels += [label] * len(starts)
        arrays[f"x_{split}"] = np.stack(windows).astype(np.float32)
        arrays[f"y_{split}"] = np.array(labels)
    np.savez(target, allow_pickle=False, **arrays)
    return target


def network_by_hand(shape: tuple[int, ...], classes: int) -> Layers:
    """Return 16, 24, 32, 32 channels of windows of 5, each halving time: some 12,000 weights."""
    builder = LayersBuilder(shape)
    x = builder.image
    for index, channels in enumerate((16, 24, 32, 32)):
        x = builder.conv(x, f"conv{index}", channels, kernel=5, stride=2, activation="relu")
    builder.tap("stage1", x)
    builder.classifier(x, classes)
    return builder.build()


if __name__ == "__main__":
    sys.exit(main())
