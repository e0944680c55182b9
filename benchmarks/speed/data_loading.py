"""How fast data is ready for training: IDX files, and an image folder before and after caching.

Run: python benchmarks/speed/data_loading.py [--fashion-mnist PATH] [--images 5000] [--json]
Fashion-MNIST (70,000 images) is read three times, the median counts; target 2.5 s. The image folder
is made of random PNG files; the ratio of first to second reading must be at least 3.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from hwkd.tasks.classification import ClassifyTask
from hwkd.tasks.sources import read_source

TARGET_IDX_S = 2.5
TARGET_RATIO = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path("/usr/share/datasets/fashion-mnist")
    parser.add_argument("--fashion-mnist", type=Path, default=default)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result: dict[str, float | None] = {"idx_s": None}
    if args.fashion_mnist.is_dir():
        ClassifyTask().data(None)  # imports scikit-learn, which is not what is timed
        times = [timed(lambda: ClassifyTask().data(args.fashion_mnist)) for _ in range(3)]
        result["idx_s"] = statistics.median(times)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HWKD_CACHE_DIR"] = str(Path(folder) / "cache")
        images = make_images(Path(folder) / "images", args.images)
        result["folder_first_s"] = timed(lambda: read_source(images))
        result["folder_again_s"] = timed(lambda: read_source(images))
    ratio = result["folder_first_s"] / result["folder_again_s"]
    result["ratio"] = ratio
    if args.json:
        print(json.dumps(result))
    else:
        print(", ".join(f"{k} {v:.3g}" for k, v in result.items() if v is not None))
    is_fast = result["idx_s"] is None or result["idx_s"] <= TARGET_IDX_S
    sys.exit(0 if is_fast and ratio >= TARGET_RATIO else 1)


def make_images(folder: Path, count: int) -> Path:
    generator = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "ab"[number % 2] / f"{number}.png")
    return folder


def timed(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
