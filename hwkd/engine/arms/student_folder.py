"""Writes the folder of a finished student, for a search, a distillation and an export alike.

What is written was checked byte by byte: the weights of the student, and nothing of its training.
`hwkd.io.student_folder` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from safetensors.numpy import load_file

from hwkd.core.errors import ExportError
from hwkd.core.final_record import QuantisationRecord
from hwkd.core.kinds import ACTIVATIONS, LAYER_KINDS
from hwkd.core.student import Layers
from hwkd.core.student_record import StudentRecord
from hwkd.deploy.output_folder import write_folder
from hwkd.deploy.student_facts import with_facts
from hwkd.deploy.weight_correction import stored_weights
from hwkd.io.student_folder import (
    EXITS_FILE,
    FLOAT_FILE,
    INT8_FILE,
    WEIGHTS_FILE,
    StudentFiles,
    StudentFolder,
    digest,
    record_text,
)
from hwkd.nn.build import StudentModule

_FLOAT_BYTES = 4


def write_student(
    out: Path,
    built: StudentFiles,
    record: StudentRecord,
) -> StudentFolder:
    """Write a student's folder; it appears whole, or what was there stays.

    Args:
        out: to create, or to replace with everything in it.
        record: of the student; the digests of the files are filled in.

    Raises:
        ExportError: if a file holds more than the student's weights, or the folder cannot be
            written.
    """
    require_bare(record.network, built)
    names = [FLOAT_FILE, INT8_FILE, WEIGHTS_FILE]
    names += [EXITS_FILE] if built.exits_path.is_file() else []
    contents = {name: (built.folder / name).read_bytes() for name in names}
    for name in names:
        if name.endswith(".onnx"):
            contents[name] = with_facts(contents[name], record)
    files = {name: digest(content) for name, content in contents.items()}
    record = _of_these_files(record, contents[INT8_FILE], files)
    write_folder({**contents, **record_text(record)}, out)
    return StudentFolder(folder=out, record=record)


def _of_these_files(record: StudentRecord, int8: bytes, files: Mapping[str, str]) -> StudentRecord:
    """Return the record with the digests of its files; its profile is of the int8 one."""
    run = record.run
    if run is not None and run.final is not None and run.final.profile is not None:
        profile = replace(run.final.profile, file_bytes=len(int8), file_sha256=files[INT8_FILE])
        final = run.final.model_copy(update={"profile": profile})
        run = run.model_copy(update={"final": final})
    return record.model_copy(update={"files": dict(files), "run": run})


def read_quantisation(int8_path: Path, calibration_samples: int) -> QuantisationRecord:
    """Read scale and zero point of input and output from the file itself."""
    graph = onnx.load(int8_path).graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    first = next(
        n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == graph.input[0].name
    )
    last = next((n for n in graph.node if graph.output[0].name in n.output), None)
    is_quantised = last is not None and last.op_type == "DequantizeLinear"
    return QuantisationRecord(
        scheme="ONNX Runtime static QDQ: int8 activations (asymmetric), int8 weights per channel",
        calibration_samples=calibration_samples,
        input_scale=float(values[first.input[1]]),
        input_zero_point=int(values[first.input[2]]),
        output_scale=float(values[last.input[1]]) if last is not None and is_quantised else None,
        output_zero_point=int(values[last.input[2]]) if last is not None and is_quantised else None,
    )


def require_bare(layers: Layers, files: StudentFiles) -> None:
    """Check that adapters and memories of a training stayed out of the files.

    Args:
        files: its float model and its safetensors file.

    Raises:
        ExportError: names the file, its bytes of weights, those of the description and the tensors.
    """
    with torch.device("meta"):
        described = StudentModule(layers).state_dict()
    sizes = {name: tensor.nbytes for name, tensor in described.items()}
    found = {name: array.nbytes for name, array in load_file(files.weights_path).items()}
    _require_equal(files.weights_path, found, sizes)
    folded, operands = {}, set[str]()
    for layer in layers.layers:
        operands.update(LAYER_KINDS.get(layer.kind).operands(layer))
        if layer.activation != "none":
            operands.update(ACTIVATIONS.get(layer.activation).operands(layer))
        weight = described.get(f"steps.{layer.name}.core.weight")
        if weight is not None:
            folded[f"{layer.name}.weight"] = weight.nbytes
            if not LAYER_KINDS.get(layer.kind).is_lookup:
                folded[f"{layer.name}.bias"] = layer.shape[0] * _FLOAT_BYTES
    arrays = stored_weights(onnx.load(files.float_path)).items()
    stored = {name: array.nbytes for name, array in arrays if name not in operands}
    _require_equal(files.float_path, stored, folded)


def _require_equal(path: Path, found: Mapping[str, int], described: Mapping[str, int]) -> None:
    if found == described:
        return
    names = sorted(n for n in {**found, **described} if found.get(n) != described.get(n))
    raise ExportError(
        f"{path.name}: holds {sum(found.values())} bytes of weights, the student has "
        f"{sum(described.values())} ({', '.join(names[:3])}); nothing was written"
    )
