"""Damages one file in a valid folder and reads it through what the product reads it with.

usage: python -m benchmarks.robustness.readers [--count 10000] [--only TEXT] [--seed 0]
    [--keep FOLDER] [--quick]

Every mutant must be read, or refused in one line, within 5 s and 256 MiB. Which functions read
files is found in the sources (`readers_of_the_sources`); each must be behind one of `WAYS`, or
stand in `ELSEWHERE` with the bench or the reason. So must each module that opens files at all,
whatever its functions are called (`modules_that_open`): a new reader without an entry fails the
tests.
"""

from __future__ import annotations

import argparse
import ast
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from benchmarks.lib.verdict import count, report
from benchmarks.robustness.data_mutants import MOST_GROWTH_BYTES, MOST_S
from benchmarks.robustness.reader_files import fill_folder, make_run, mutate
from hwkd.core.errors import HwkdError
from hwkd.core.student_record import StudentRecord

ROOT = Path(__file__).parents[2]
_OPENS = {
    "DictReader", "ZipFile", "fromfile", "genfromtxt", "load", "load_file", "load_model", "loadtxt",
    "memmap", "open", "read_bytes", "read_text", "reader", "safe_open",
}  # fmt: skip
_VERBS = ("read", "load", "open", "fill", "finished")


@dataclass(frozen=True, kw_only=True)
class Way:
    """Files that are read together.

    Attributes:
        files: patterns of what is damaged, within the folder.
        read: reads the folder as the product does.
        covers: functions that do it.
    """

    files: tuple[str, ...]
    read: Callable[[Path], object]
    covers: tuple[str, ...]


def _log(folder: Path) -> object:
    from hwkd.io.run_log import read_log, read_stage

    return read_log(folder / "run"), read_stage(folder / "run")


def _run(folder: Path) -> object:
    from hwkd.report.build import build_report
    from hwkd.report.read import read_run

    return build_report(*read_run(folder / "run"))


def _resumed(folder: Path) -> object:
    from hwkd.engine.run.prepared import named_teacher, teacher_is_settled
    from hwkd.engine.run.run_folder import RunFolder
    from hwkd.engine.setup.config import SearchConfig

    run = RunFolder(folder / "run")
    run.check_journal()
    return (
        SearchConfig.from_toml(run.config_path),
        named_teacher(run),
        teacher_is_settled(run),
        run.trials.records(),
    )


def _trainings(folder: Path) -> object:
    from hwkd.engine.arms.orders import finished_orders, result_history

    histories = [result_history(path) for path in (folder / "run" / "final").iterdir()]
    return [*finished_orders(folder / "run"), histories]


def _student(folder: Path) -> object:
    from hwkd.io.student_folder import WEIGHTS_FILE, read_student

    student = read_student(folder / "run")
    return _filled(student.record, student.file(WEIGHTS_FILE))


def _weights(folder: Path) -> object:
    from hwkd.io.student_folder import WEIGHTS_FILE, read_record_file

    best = folder / "run" / "best"
    return _filled(read_record_file(best / "student.json"), best / WEIGHTS_FILE)


def _filled(record: StudentRecord, weights: Path) -> object:
    from hwkd.nn.build import build_module
    from hwkd.train.weights_file import WeightsError, fill_module

    module = build_module(record.network, seed=0)
    try:
        fill_module(module, weights)
    except WeightsError as error:
        raise HwkdError(str(error)) from error
    return module


def _exported(folder: Path) -> object:
    from hwkd.deploy.to_c.exported import read_exported
    from hwkd.engine.arms.export import raw_input

    found = read_exported(folder / "firmware", raw_input)
    return None if found is None else found.project()


def _device(folder: Path) -> object:
    from hwkd.io.device_catalog import load_device

    return load_device(str(folder / "device.toml"))


def _runtime(folder: Path) -> object:
    from hwkd.io.runtime_files import load_runtime

    return load_runtime(str(folder / "runtime.toml"))


def _core(folder: Path) -> object:
    from hwkd.io.core_files import load_core_file

    return load_core_file(str(folder / "core.toml"))


def _measurements(folder: Path) -> object:
    from hwkd.cost.fit.rows import read_measurements

    return read_measurements(folder / "measured.csv")


def _array(folder: Path) -> object:
    from hwkd.io.cached_array import ArrayFacts, open_array

    return open_array(folder / "array", ArrayFacts)


def _unlabelled(folder: Path) -> object:
    from hwkd.tasks.npz import read_one_array

    return read_one_array(folder / "unlabelled.npy")


def _table(folder: Path) -> object:
    from hwkd.tasks.csv_table import read_csv

    path = folder / "table.csv"
    return read_csv(path, of_classes=True), read_csv(path, of_classes=False)


def _recordings(folder: Path) -> object:
    from hwkd.core.reading import AS_USUAL
    from hwkd.tasks.recordings import read_recordings

    return [read_recordings(folder / f"recordings.{kind}", AS_USUAL) for kind in ("csv", "npz")]


def _clip(folder: Path) -> object:
    from hwkd.tasks.wav import read_wav

    return read_wav(folder / "clip.wav")


WAYS: dict[str, Way] = {
    "run": Way(
        files=("run/run.json", "run/trials.jsonl"),
        read=_run,
        covers=("read_run", "read_run_record", "read_trials"),
    ),
    "resumed run": Way(
        files=("run/config.toml", "run/prepared.json", "run/journal.log"),
        read=_resumed,
        covers=("load_study", "open_storage"),
    ),
    "log": Way(
        files=("run/log.jsonl", "run/progress.json"), read=_log, covers=("read_log", "read_stage"),
    ),
    "trainings": Way(
        files=("run/final/*/*.json",), read=_trainings, covers=("finished_orders", "read_result"),
    ),
    "student": Way(
        files=("run/best/*.json",), read=_student, covers=("read_student", "read_record_file"),
    ),
    "weights": Way(
        files=("run/best/*.safetensors",), read=_weights, covers=("fill_module",),
    ),
    "exported C": Way(
        files=("firmware/model.json",), read=_exported, covers=("read_exported",),
    ),
    "device": Way(
        files=("device.toml",), read=_device, covers=("load_device", "read_toml"),
    ),
    "runtime": Way(files=("runtime.toml",), read=_runtime, covers=("load_runtime",)),
    "core": Way(
        files=("core.toml",), read=_core, covers=("load_core", "load_npu", "load_core_file"),
    ),
    "measurements": Way(
        files=("measured.csv",), read=_measurements, covers=("read_measurements",),
    ),
    "table": Way(files=("table.csv",), read=_table, covers=("read_csv", "read_table")),
    "recordings": Way(
        files=("recordings.csv", "recordings.npz"), read=_recordings,
        covers=("read_recordings", "read_arrays"),
    ),
    "clip": Way(files=("clip.wav",), read=_clip, covers=("read_wav",)),
    "cached array": Way(files=("array/*",), read=_array, covers=("open_array",)),
    "unlabelled": Way(
        files=("unlabelled.npy",), read=_unlabelled, covers=("read_npy_file", "read_one_array"),
    ),
}  # fmt: skip
_DATA, _ONNX = "benchmarks.robustness.data_mutants", "benchmarks.robustness.fuzz_onnx"
ELSEWHERE: Mapping[str, str] = {
    "read_idx_folder": _DATA,
    "read_idx_array": _DATA,
    "read_image_folder": _DATA,
    "read_npz": _DATA,
    "read_source": _DATA,
    "read_unlabelled": "the readers of data and of one array",
    "load_graph": _ONNX,
    "load_network": _ONNX,
    "open_model": _ONNX,
    "open_qdq": _ONNX,
    "read_qdq": _ONNX,
    "read_constants": _ONNX,
    "load_onnx_teacher": _ONNX,
    "open_session": "reads files that hwkd wrote or another reader took",
    "read_quantisation": "reads a file that hwkd has just written",
    "open": "readers of run folders",
    "read_again": "readers of run folders",
    "read_prepared": "a resumed run, above",
    "read_values": _DATA,
    "read_json": "every reader of JSON above",
    "read_number": "a file for watching, absent when it is damaged; the readers of JSON above",
    "load_user_space": "runs a Python file that the user names; docs/security.md",
    "load_factory_teacher": "runs a Python module that the user names; its weights are above",
    "open_teacher": "the reader of ONNX, of weights or of a factory",
    "open_teachers": "the reader of ONNX, of weights or of a factory",
    "read_report": "reads what the vela that the user installed wrote a moment ago",
}

_WRITES, _OWN = "writes, or locks", "reads what this process has just written or taken in"
_PACKAGED = "reads files of the package"
# Modules that open files and hold no reader of the lists above.
OPENING_ELSEWHERE: Mapping[str, str] = {
    "api/live": "whether records that their readers took have changed",
    "deploy/exported_student": "compares with what it makes itself",
    "deploy/output_folder": "compares with what it makes itself",
    "deploy/to_c/stream": _PACKAGED,
    "signals/source": _PACKAGED,
    "signals/work": _PACKAGED,
    "api/evaluate": "the reader of students; ONNX that onnx itself refuses in one line",
    "api/student": "the reader of students",
    "api/device_calibration": "files that readers of measurements and devices took",
    "cli/output": _WRITES,
    "deploy/calibrate": _OWN,
    "deploy/exporters/onnx_files": "copies; the reader of students checks digests",
    "deploy/exporters/torch_weights": "copies; the reader of students checks digests",
    "deploy/to_c/cmsis_nn": _PACKAGED,
    "deploy/to_c/export": "names of files to replace; a damaged list counts as none",
    "deploy/to_c/project_text": _PACKAGED,
    "deploy/to_int8": _OWN,
    "deploy/verify_onnx": _OWN,
    "deploy/verify_run": _OWN,
    "engine/arms/children": _WRITES,
    "engine/arms/export": "the reader of students",
    "engine/arms/jobs": "the last line of a log, for a message",
    "engine/arms/quantise": _OWN,
    "engine/arms/seed_process": _WRITES,
    "engine/arms/train_arm": "the reader of trainings",
    "engine/distill/workplace": "compares bytes",
    "engine/run/artifacts": "the reader of weights; the name is the digest",
    "engine/run/join": "readers of run folders",
    "engine/run/lease": _WRITES,
    "engine/run/prepared": "a resumed run, above",
    "engine/run/study_place": "readers of run folders",
    "engine/run/shared_study": "documents for the readers of run folders; artifacts by digest",
    "engine/search/trial_stage": _WRITES,
    "engine/search/workers": "the last line of a log, for a message",
    "io/fact_files": "devices, runtimes and cores, above",
    "io/run_lock": _WRITES,
    "io/run_text": _WRITES,
    "io/trusted_code": "a digest of bytes",
    "profiling/onnx_runtime": "what ONNX Runtime's profiler wrote a moment ago",
    "report/html": _PACKAGED,
    "report/columns": _WRITES,
    "tasks/keyword": "the reader of clips; lists hold names, each compared with files",
    "tasks/pictures": _DATA,
    "trace/onnx_whole": _ONNX,
    "train/checkpoint": "tests/train: a damaged checkpoint begins the stage anew",
    "train/factory_identity": "a digest of bytes",
    "train/onnx_identity": "a digest of bytes; the model is the ONNX reader's",
    "train/loop": "a state that the reader of checkpoints took",
    "train/teacher_trained": "weights with a proof; tests/train/test_teacher_training.py",
}


def readers_of_the_sources() -> set[str]:
    """Return the public functions under hwkd/ that read a file, by their names and parameters."""
    found = set()
    for path in (ROOT / "hwkd").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.split("_")[0] in _VERBS:
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                kinds = [ast.unparse(a.annotation) for a in given if a.annotation is not None]
                named = any(a.arg == "name_or_path" for a in given)
                if named or any("Path" in kind.split(" | ") for kind in kinds):
                    found.add(node.name)
    return found


def modules_that_open() -> dict[str, set[str]]:
    """Return module -> functions at its top, of the modules that call what opens a file."""
    found = {}
    for path in (ROOT / "hwkd").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {ast.unparse(n.func).split(".")[-1] for n in ast.walk(tree) if _is_call(n)}
        if called & _OPENS:
            name = path.relative_to(ROOT / "hwkd").with_suffix("").as_posix()
            found[name] = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return found


def _is_call(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call)


def unlisted() -> set[str]:
    """Return readers, and modules that open files, that no bench tries."""
    known = {name for way in WAYS.values() for name in way.covers} | set(ELSEWHERE)
    opening = {name for name, own in modules_that_open().items() if not own & known}
    return (readers_of_the_sources() - known) | (opening - set(OPENING_ELSEWHERE))


def attempt(way: Way, folder: Path, rng: random.Random) -> tuple[str, str]:
    """Damage one file, read, and put it back; returns what happened and what was wrong with it."""
    path = rng.choice(sorted(p for pattern in way.files for p in folder.glob(pattern)))
    whole = path.read_bytes()
    before, started, fault = _peak_bytes(), time.process_time(), ""
    try:
        mutate(path, rng)
        way.read(folder)
        outcome = "read"
    except HwkdError as error:
        outcome = "refused"
        if "\n" in str(error):
            fault = f"several lines: {error}"
    except Exception as error:
        outcome, fault = "failed", f"{type(error).__name__}: {str(error)[:120]}"
    finally:
        path.write_bytes(whole)
    if time.process_time() - started > MOST_S:
        fault = fault or "slow"
    if _peak_bytes() - before > MOST_GROWTH_BYTES:
        fault = fault or "memory"
    return outcome, f"{path.name}: {fault}" if fault else ""


def try_way(
    name: str, folder: Path, *, mutants: int, seed: int, keep: Path | None = None
) -> tuple[Counter[str], Counter[str]]:
    """Try many mutants of one way; returns outcomes and faults, how often each."""
    outcomes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for number in range(mutants):
        outcome, fault = attempt(WAYS[name], folder, random.Random(f"{seed} {name} {number}"))
        outcomes[outcome] += 1
        if fault:
            faults[fault] += 1
            if keep is not None and faults[fault] == 1:
                print(f"{name}, mutant {number}: {fault}", flush=True)
    return outcomes, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="mutants of each way")
    parser.add_argument("--only", default="", help="ways whose name holds this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="50 mutants of each way")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.count = 50
    targets = [count("readers without a bench", len(unlisted()), 0)]
    values = {}
    with tempfile.TemporaryDirectory(prefix="hwkd-readers-") as temporary:
        folder = Path(temporary)
        make_run(folder)
        fill_folder(folder)
        for name in WAYS:
            if arguments.only not in name:
                continue
            outcomes, faults = try_way(
                name, folder, mutants=arguments.count, seed=arguments.seed, keep=folder
            )
            values[name] = {**outcomes, "faults": dict(faults)}
            what = f"faults of {arguments.count:,} damaged files: {name}"
            targets.append(count(what, sum(faults.values()), 0))
            print(f"{name}: {dict(outcomes)} {dict(faults.most_common(5))}", flush=True)
    return report(targets, values)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
