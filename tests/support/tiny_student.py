"""A student of a few channels and pictures of bars, as files: what `hwkd distill` starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwkd.core import catalog
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.student_record import StudentRecord
from hwkd.io import discovery

_PARAMS: dict[str, int | float | str | bool] = {
    "activation": "relu", "stem_channels": 8, "stem_stride": 1, "stages": 2,
    "squeeze_excite": "none", "head_channels": 0,
    "stage1_channels": 8, "stage1_blocks": 1, "stage1_kernel": 3, "stage1_expansion": 1,
    "stage2_channels": 16, "stage2_blocks": 1, "stage2_kernel": 3, "stage2_expansion": 1,
}  # fmt: skip
_SPEC = StudentSpec(space="depthwise", params=_PARAMS, input_shape=(1, 8, 8), num_outputs=3)


def small_layers() -> Layers:
    """Return a depthwise student of two stages for pictures of 8 x 8."""
    discovery.discover("hwkd.search_spaces")
    layers: Layers = catalog.SEARCH_SPACES.get("depthwise").layers(_SPEC)
    return layers


def student_file(folder: Path) -> Path:
    """Write its description; returns the file."""
    path = folder / "bars.json"
    path.write_text(StudentRecord(spec=_SPEC, network=small_layers()).model_dump_json())
    return path


def bars_npz(folder: Path, *, train: int = 160, test: int = 60) -> Path:
    """Write pictures whose class is where a bright bar is; returns the file."""
    arrays = {}
    for seed, (part, count) in enumerate((("train", train), ("test", test))):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 3, count)
        pictures = generator.integers(0, 120, (count, 8, 8))
        for picture, label in zip(pictures, labels, strict=True):
            picture[:, 2 * label : 2 * label + 2] += 90
        arrays[f"x_{part}"] = pictures.astype(np.uint8)
        arrays[f"y_{part}"] = labels.astype(np.int64)
    np.savez(folder / "bars.npz", **arrays)
    return folder / "bars.npz"
