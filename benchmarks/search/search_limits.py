"""A search inside hard limits and five minutes, beside networks that an engineer writes by hand.

usage: python -m benchmarks.search.search_limits [--seeds N] [--timeout 5min] [OPTION ...]

Fashion-MNIST as PNG files, 500 of a class, on a Cortex-M4 with 20 ms and 64 KiB, from an empty
cache; the official test set is read once, at the end of each search. Beside it, on the same splits:
the plain dense network and the depthwise-separable one of width 16, each trained on one core for as
long as the longest final training of the searches. Options that this program does not know go to
`hwkd search`.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.lib.by_hand import train_by_hand
from benchmarks.lib.timed_searches import search_with_seeds
from benchmarks.lib.verdict import Target, report
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layers
from hwkd.core.units import parse_duration_s
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data

LIMITS = ("--device", "cortex-m4", "--max-latency", "20ms", "--max-ram", "64KiB")
MEDIAN_ACCURACY, LEAST_ACCURACY = 0.885, 0.875
LEAST_TRAINING_SHARE = 0.85
PER_CLASS = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--timeout", default="5min")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--by-hand", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--quick", action="store_true", help="one seed, a minute: does all work?")
    arguments, passed_on = parser.parse_known_args()
    if arguments.quick:
        arguments.seeds, arguments.timeout = 1, "60s"
    with tempfile.TemporaryDirectory(prefix="hwkd-limits-") as temporary:
        folder = Path(temporary)
        data = write_pictures(arguments.source, folder / "pictures")
        options = ["--data", str(data), *LIMITS, "--timeout", arguments.timeout, *passed_on]
        found = search_with_seeds(options, seeds=arguments.seeds, folder=folder)
        if arguments.by_hand:
            show_networks_by_hand(data, seconds=max(found.final_s))
    limit_s = parse_duration_s(arguments.timeout, option="--timeout")
    code = report(
        [
            Target(
                "median int8 test accuracy",
                statistics.median(found.test_int8),
                MEDIAN_ACCURACY,
                True,
            ),
            Target("worst int8 test accuracy", min(found.test_int8), LEAST_ACCURACY, at_least=True),
            Target(
                "least share of training and scoring",
                min(found.training_shares),
                LEAST_TRAINING_SHARE,
                at_least=True,
            ),
            Target("longest wall time", max(found.walls_s), limit_s, scale=1, unit=" s"),
        ]
    )
    return 0 if arguments.quick else code


def write_pictures(source: Path, folder: Path) -> Path:
    """Write class folders: the first 500 of each class to learn from, the official test set."""
    for split, name, most in (("train", "train", PER_CLASS), ("test", "t10k", None)):
        pixels = read_idx(source / f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        labels = read_idx(source / f"{name}-labels-idx1-ubyte.gz", 8)
        for label in range(10):
            place = folder / split / f"class{label}"
            place.mkdir(parents=True)
            for index in np.flatnonzero(labels == label)[:most]:
                Image.fromarray(pixels[index]).save(place / f"{index}.png")
    return folder


def read_idx(path: Path, offset: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=offset)


def plain_network(shape: tuple[int, ...], classes: int) -> Layers:
    """Return 8 (stride 2), 16 (stride 2), 16, 32 (stride 2), 24 channels of dense 3x3 windows."""
    builder = LayersBuilder(shape)
    x = builder.image
    for index, (channels, stride) in enumerate(((8, 2), (16, 2), (16, 1), (32, 2), (24, 1))):
        x = builder.conv(x, f"conv{index}", channels, kernel=3, stride=stride, activation="relu")
    builder.tap("stage1", x)
    builder.classifier(x, classes)
    return builder.build()


def separable_network(shape: tuple[int, ...], classes: int) -> Layers:
    """Return a stem of 16 channels and three depthwise-separable blocks of 16, 32 and 64."""
    builder = LayersBuilder(shape)
    x = builder.conv(builder.image, "stem", 16, kernel=3, stride=2, activation="relu")
    for index, (channels, stride) in enumerate(((16, 2), (32, 2), (64, 1))):
        x = builder.depthwise(x, f"spatial{index}", kernel=3, stride=stride, activation="relu")
        x = builder.conv(x, f"mix{index}", channels, activation="relu")
    builder.tap("stage1", x)
    builder.classifier(x, classes)
    return builder.build()


def show_networks_by_hand(folder: Path, *, seconds: float) -> None:
    """Train both networks on the search's train split for so long on one core; print the test."""
    config = SearchConfig(device="cortex-m4", data=str(folder))
    _, data = load_data(config)
    for name, make in (("plain dense", plain_network), ("separable 16", separable_network)):
        network = make(data.input_shape, data.num_outputs)
        print(f"  by hand, {name}: {train_by_hand(network, data, seconds=seconds)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
