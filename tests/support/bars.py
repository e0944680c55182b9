"""Pictures of bars, a teacher that knows them and requests to distil a student of theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwkd.core import catalog
from hwkd.core.final_record import FinalRecord
from hwkd.core.student import StudentSpec
from hwkd.core.student_record import StudentRecord
from hwkd.engine.distill.run import DistillRequest, run_distillation
from hwkd.io import discovery

TEACHER = '''
"""A teacher that knows the test's classes: where the bright bar is."""
import torch
from torch import nn


class Bars(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        self.head(self.body(x).mean((2, 3)))
        return 4.0 * x[:, 0, :, :6].reshape(len(x), 8, 3, 2).mean((1, 3))


def make():
    torch.manual_seed(0)
    return Bars()


class Soft(Bars):
    def forward(self, x):
        return 0.3 * super().forward(x) - 0.1 * x[:, 0, 0, :3]


def make_soft():
    return Soft()


class Constant(Bars):
    def forward(self, x):
        return torch.zeros(len(x), 3)


def make_constant():
    return Constant()
'''


PARAMS = {
    "activation": "relu",
    "stem_channels": 4,
    "stem_stride": 1,
    "stages": 2,
    "squeeze_excite": "none",
    "head_channels": 0,
    "stage1_channels": 4,
    "stage1_blocks": 1,
    "stage1_kernel": 3,
    "stage1_expansion": 1,
    "stage2_channels": 8,
    "stage2_blocks": 1,
    "stage2_kernel": 3,
    "stage2_expansion": 1,
}


def description() -> str:
    """Return the text of the student's `student.json`."""
    discovery.discover("hwkd.search_spaces")
    spec = StudentSpec(space="depthwise", params=PARAMS, input_shape=(1, 8, 8), num_outputs=3)
    network = catalog.SEARCH_SPACES.get("depthwise").layers(spec)
    return StudentRecord(spec=spec, network=network).model_dump_json()


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    pictures = generator.integers(0, 120, (count, 8, 8))
    for picture, label in zip(pictures, labels, strict=True):
        picture[:, 2 * label : 2 * label + 2] += 90
    return pictures.astype(np.uint8), labels.astype(np.int64)


def write_bars(folder: Path) -> None:
    """Fill a folder with data, a teacher's code, unlabelled pictures and a student's spec."""
    (x_train, y_train), (x_test, y_test) = bars(160, 0), bars(60, 1)
    np.savez(folder / "bars.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    np.save(folder / "more.npy", bars(48, 2)[0])
    # A module is imported once per process, so every test writes the same one.
    (folder / "bars_teacher.py").write_text(TEACHER)
    (folder / "bars.json").write_text(description())


def request_of(place: Path, **options: object) -> DistillRequest:
    settings: dict[str, object] = {
        "student": "bars.json",
        "data": "bars.npz",
        "teachers": ("bars_teacher:make",),
        "epochs": 2,
        "out": place / "out",
        "accelerator": "cpu",
        "workers": 1,
        **options,
    }
    return DistillRequest(**settings)


def final_of(place: Path, **options: object) -> FinalRecord:
    run = run_distillation(request_of(place, **options)).record.run
    assert run is not None
    assert run.final is not None
    return run.final
