"""Takes a student out of a run folder: the best one, or any trial that completed."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from hwkd.core.errors import ConfigError, ExportError, RunFolderError
from hwkd.core.trial import TrialRecord
from hwkd.deploy.calibrate import DEFAULT_CALIBRATION, CalibrationMethod
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.arms.evaluation import save_student, spec_json
from hwkd.engine.run.prepared import load_context
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.stored_student import layers_of_spec
from hwkd.io.run_text import write_text
from hwkd.nn.build import build_module
from hwkd.train.weights_file import WeightsError, fill_module

__all__ = ["FORMAT_FILES", "export_student"]


FORMAT_FILES: dict[str, tuple[str, ...]] = {
    "onnx": ("student.onnx",),
    "onnx-int8": ("student_int8.onnx",),
    "torch": ("student.safetensors", "spec.json", "load_student.py"),
}
_LOADER = '''"""Loads the student beside this file as a torch module: `module = load()`."""

import json
from pathlib import Path

from safetensors.torch import load_file

from hwkd.core.student import Layer, Layers
from hwkd.nn.build import build_module


def load():
    folder = Path(__file__).parent
    content = json.loads((folder / "spec.json").read_text())
    layers = tuple(
        Layer(**{k: tuple(v) if isinstance(v, list) else v for k, v in layer.items()})
        for layer in content["layers"]
    )
    input_shape = tuple(content["spec"]["input_shape"])
    module = build_module(Layers(input_shape=input_shape, layers=layers), seed=0)
    module.load_state_dict(load_file(folder / "student.safetensors"))
    return module.eval()
'''


def export_student(
    run: Path,
    *,
    trial: int | None,
    formats: tuple[str, ...],
    out: Path,
    calibration: CalibrationMethod | None = None,
    trusts: bool = False,
) -> tuple[Path, ...]:
    """Write a student of a run into a new folder.

    Args:
        run: run folder.
        trial: number of a completed trial, trained briefly; None is the best student of the run,
            trained in full.
        formats: keys of `FORMAT_FILES`.
        out: folder to create; it may exist if it is empty.
        calibration: quantise the float student anew, with ranges found so; None keeps the int8
            file that the run chose, and quantises a trial as the run did.
        trusts: the user named the run as one whose search spaces may run.

    Returns:
        The files written.

    Raises:
        RunFolderError: if `run` is no run folder.
        ConfigError: if the trial has no student or `out` is in use.
        ExportError: if a file cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: is in use; give a new or an empty folder")
    wanted = [name for chosen in formats for name in FORMAT_FILES[chosen]]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".export-", dir=out.parent) as temporary:
            folder = Path(temporary)
            if trial is None:
                _copy_best(run, folder)
                if calibration is not None:
                    _quantise(folder, load_context(RunFolder(run), trusts=trusts), calibration)
            else:
                _rebuild(RunFolder(run), trial, folder, calibration, trusts=trusts)
            write_text(folder / "load_student.py", _LOADER)
            out.mkdir(exist_ok=True)
            for name in wanted:
                shutil.copyfile(folder / name, out / name)
    except OSError as error:
        raise ExportError(f"--out {out}: cannot write there: {error.strerror}") from error
    return tuple(out / name for name in wanted)


def _copy_best(run: Path, folder: Path) -> None:
    best = run / "best"
    names = ("student.onnx", "student_int8.onnx", "student.safetensors", "spec.json")
    missing = [name for name in names if not (best / name).is_file()]
    if missing:
        raise RunFolderError(
            f"{run}: has no {missing[0]} in best/; finish the search with "
            f"`hwkd search --resume {run}` or give --trial NUMBER"
        )
    for name in names:
        shutil.copyfile(best / name, folder / name)


def _rebuild(
    store: RunFolder,
    trial: int,
    folder: Path,
    calibration: CalibrationMethod | None,
    *,
    trusts: bool,
) -> None:
    store.check_journal()
    record = _completed(store, trial)
    if record.spec is None:
        raise RunFolderError(f"{store.path}: trial {trial} has no student")
    context = load_context(store, trusts=trusts)
    spec = record.spec.to_spec()
    layers = layers_of_spec(context.screen.spaces, spec, where=f"{store.path}, trial {trial}")
    module = build_module(layers, seed=0)
    weights = store.weights_of(record)
    try:
        fill_module(module, weights)
    except WeightsError as error:
        raise RunFolderError(f"{weights}: the student's weights: {error}") from error
    module.eval()
    export_onnx(module, layers, folder / "student.onnx")
    chosen = context.config.quantisation.calibration
    usual = DEFAULT_CALIBRATION if chosen == "auto" else chosen
    _quantise(folder, context, calibration or usual)
    save_student(module, folder / "student.safetensors")
    write_text(folder / "spec.json", spec_json(record.spec, layers))


def _quantise(folder: Path, context: SearchContext, method: CalibrationMethod) -> None:
    quantise_int8(
        folder / "student.onnx",
        folder / "student_int8.onnx",
        context.calibration,
        method=method,
    )


def _completed(store: RunFolder, trial: int) -> TrialRecord:
    records = {record.number: record for record in store.trials.records()}
    if trial not in records:
        raise ConfigError(
            f"--trial {trial}: the run has no such trial; it has 0 to {max(records, default=-1)}"
        )
    record = records[trial]
    if record.state != "completed":
        raise ConfigError(f"--trial {trial}: it was {record.state} ({record.reason}); not trained")
    return record
