"""Small finished students on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.student_record import StudentRecord
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.student_folder import write_student
from hwkd.io.discovery import discover
from hwkd.io.student_folder import StudentFiles, StudentFolder
from hwkd.nn.build import build_module


def student_record(
    space: str = "depthwise", *, seed: int = 0, outputs: int = 3, **known
) -> StudentRecord:
    """Describe a random student for 8 x 8 pictures."""
    discover("hwkd.search_spaces")
    found = SEARCH_SPACES.get(space)
    spec = found.suggest(RandomChooser(seed), input_shape=(1, 8, 8), num_outputs=outputs)
    network = found.layers(spec)
    return StudentRecord(spec=spec, network=network, **known)


def built_student(record: StudentRecord, folder: Path, *, seed: int = 0) -> StudentFiles:
    """Write the files of a student with random weights."""
    files, layers = StudentFiles(folder), record.network
    folder.mkdir(parents=True, exist_ok=True)
    module = build_module(layers, seed=seed).eval()
    export_onnx(module, layers, files.float_path)
    samples = np.random.default_rng(seed).normal(size=(16, 1, 8, 8)).astype(np.float32)
    quantise_int8(files.float_path, files.int8_path, samples)
    save_student(module, files.weights_path)
    return files


def finished_student(folder: Path, *, seed: int = 0, **known) -> StudentFolder:
    """Write the folder of a student."""
    record = student_record(seed=seed, **known)
    built = built_student(record, folder.with_name(f".{folder.name}-built"), seed=seed)
    return write_student(folder, built, record)
