"""Which readers the sources have, and which bench tries each.

Which functions read files is found in the sources (`readers_of_the_sources`); each must be behind
one of `WAYS`, or stand in `ELSEWHERE` with the bench or the reason. So must each module that opens
files at all, whatever its functions are called (`modules_that_open`): a new reader without an entry
fails the tests.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from benchmarks.robustness.reader_ways import WAYS

ROOT = Path(__file__).parents[2]
# What opens a file, or makes our own types of what one holds.
_OPENS = {
    "DictReader", "ZipFile", "fromfile", "genfromtxt", "json.load", "load_file", "load_model",
    "loadtxt", "memmap", "model_validate", "model_validate_json", "np.load", "onnx.load", "open",
    "parse_json", "parse_toml", "read_arrays", "read_bytes", "read_json", "read_one_array",
    "read_record", "read_text", "read_toml", "reader", "safe_open", "torch.load", "validate_json",
    "validate_python",
}  # fmt: skip
_VERBS = ("read", "load", "open", "fill", "finished")
_DATA, _ONNX = "benchmarks.robustness.data_mutants", "benchmarks.robustness.fuzz_onnx"
ELSEWHERE: Mapping[str, str] = {
    "read_idx_folder": _DATA,
    "read_idx_array": _DATA,
    "read_image_folder": _DATA,
    "read_npz": _DATA,
    "read_source": _DATA,
    "load_graph": _ONNX,
    "load_network": _ONNX,
    "open_model": _ONNX,
    "open_qdq": _ONNX,
    "read_qdq": _ONNX,
    "read_exit_rule": _ONNX,
    "read_constants": _ONNX,
    "load_onnx_teacher": _ONNX,
    "load_detector": "the readers of ONNX and of adapters",
    "open_text_classifier": "opens as the reader of decoders does, above",
    "read_model": "the reader of decoders",
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
    "open_member": "the reader of ONNX, of weights or of a factory",
    "open_teacher": "the reader of ONNX, of weights or of a factory",
    "open_teachers": "the reader of ONNX, of weights or of a factory",
    "read_machine_sounds": "the reader of clips, above",
    "read_samples": "the readers of students and of data",
    "read_report": "reads what the vela that the user installed wrote a moment ago",
}

_WRITES, _OWN = "writes, or locks", "reads what this process has just written or taken in"
_PACKAGED = "reads files of the package"
_PARTS = "a part of what its reader takes; the readers above"
# Modules that open files and hold no reader of the lists above.
OPENING_ELSEWHERE: Mapping[str, str] = {
    "api/option": "a default, or what was typed",
    "api/compare": "any TOML",
    "api/live": "whether records that their readers took have changed",
    "deploy/exported_student": "compares with what it makes itself",
    "deploy/output_folder": "compares with what it makes itself",
    "deploy/to_c/library": _PACKAGED,
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
    "signals/cmsis_dsp": "C that the user names, copied for a compiler",
    "deploy/to_c/export": "names of files to replace; a damaged list counts as none",
    "deploy/to_c/project_text": _PACKAGED,
    "deploy/student_facts": "the readers of described ONNX and of exported C",
    "deploy/to_int8": _OWN,
    "deploy/verify_onnx": _OWN,
    "deploy/verify_run": _OWN,
    "engine/arms/children": _WRITES,
    "engine/arms/export": "the reader of students",
    "engine/arms/jobs": "the last line of a log, for a message",
    "engine/arms/quantise": _OWN,
    "engine/arms/rounding": _OWN,
    "engine/arms/seed_process": _WRITES,
    "engine/arms/train_arm": "the reader of trainings",
    "engine/distill/federation": "messages of clients; weights in them by the reader of weights",
    "engine/distill/finetune": "the reader of students",
    "engine/distill/run": _OWN,
    "engine/distill/rungs": "compares text; the reader of students",
    "engine/distill/workplace": "compares bytes",
    "engine/run/artifacts": "the reader of weights; the name is the digest",
    "engine/run/join": "readers of run folders",
    "engine/run/lost_records": "counts lines of the readers of run folders",
    "engine/run/whole_folder": _WRITES,
    "engine/run/lease": _WRITES,
    "engine/run/prepared": "a resumed run, above",
    "engine/run/study_place": "readers of run folders",
    "engine/run/shared_study": "documents for the readers of run folders; artifacts by digest",
    "engine/search/trial_stage": _WRITES,
    "engine/search/workers": "the last line of a log, for a message",
    "core/runtime_file": _PARTS,
    "core/strict_model": "every record above",
    "core/trial": _PARTS,
    "engine/run/proposal": _PARTS,
    "engine/setup/config": "a resumed run, above",
    "io/command_clock": "what Linux says of the process; another form counts as not said",
    "io/fact_files": "devices, runtimes and cores, above",
    "io/machine": "what Linux says of the process; another form counts as not said",
    "io/run_lock": _WRITES,
    "io/run_text": _WRITES,
    "language/pruned_folder": _OWN,
    "language/captions": "the way of captions",
    "language/model_folder": "the reader of decoders",
    "io/trusted_code": "a digest of bytes",
    "profiling/onnx_runtime": "what ONNX Runtime's profiler wrote a moment ago",
    "report/html": _PACKAGED,
    "report/columns": _WRITES,
    "tasks/feature_cache": "an array of the cache, whose bytes are proved",
    "tasks/sound_folder": "the reader of clips; lists hold names, each compared with files",
    "tasks/pictures": _DATA,
    "tasks/recording_samples": "the reader of recordings, above",
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
    for tree in _trees().values():
        for node in tree.body:
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
    for name, tree in _trees().items():
        called = {words for node in ast.walk(tree) for words in _called(node)}
        if called & _OPENS:
            found[name] = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return found


@cache
def _trees() -> dict[str, ast.Module]:
    folder = ROOT / "hwkd"
    return {
        path.relative_to(folder).with_suffix("").as_posix(): ast.parse(path.read_text("utf-8"))
        for path in folder.rglob("*.py")
    }


def _called(node: ast.AST) -> Iterator[str]:
    """Yield the last word of what is called, and the last two."""
    if isinstance(node, ast.Call):
        of = node.func
        if isinstance(of, ast.Name):
            yield of.id
        elif isinstance(of, ast.Attribute):
            yield of.attr
            before = of.value
            word = getattr(before, "id", None) or getattr(before, "attr", "")
            yield f"{word}.{of.attr}"


def unlisted() -> set[str]:
    """Return readers, and modules that open files, that no bench tries."""
    known = {name for way in WAYS.values() for name in way.covers} | set(ELSEWHERE)
    opening = {name for name, own in modules_that_open().items() if not own & known}
    return (readers_of_the_sources() - known) | (opening - set(OPENING_ELSEWHERE))
