"""How fast data is ready for training: IDX files, and an image folder before and after caching.

Run: python benchmarks/speed/data_loading.py [--fashion-mnist PATH] [--images 5000] [--json]
Fashion-MNIST (70,000 images) is read three times, the median counts; target 2.5 s. The image folder
is made of random PNG files; the ratio of first to second reading must be at least 3.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.lib.verdict import Target, report
from hwkd.tasks.classification import ClassifyTask
from hwkd.tasks.sources import read_source

TARGET_IDX_S = 2.5
TARGET_RATIO = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path("/usr/share/datasets/fashion-mnist")
    parser.add_argument("--fashion-mnist", type=Path, default=default)
    parser.add_argument("--images", type=int, default=5000)
    args = parser.parse_args()
    targets = []
    if args.fashion_mnist.is_dir():
        ClassifyTask().data(None)  # imports scikit-learn, which is not what is timed
        times = [timed(lambda: ClassifyTask().data(args.fashion_mnist)) for _ in range(3)]
        seconds = statistics.median(times)
        targets.append(Target("60,000 IDX images", seconds, TARGET_IDX_S, scale=1, unit=" s"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HWKD_CACHE_DIR"] = str(Path(folder) / "cache")
        images = make_images(Path(folder) / "images", args.images)
        first_s = timed(lambda: read_source(images))
        again_s = timed(lambda: read_source(images))
    what = f"a folder of {args.images:,} images, the second time"
    ratio = first_s / again_s
    targets.append(Target(what, ratio, TARGET_RATIO, at_least=True, scale=1, unit=" x faster"))
    return report(targets, {"first_s": first_s, "again_s": again_s})


def make_images(folder: Path, count: int) -> Path:
    generator = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "ab"[number % 2] / f"{number}.png")
    return folder


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
