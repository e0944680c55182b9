"""Imports point down: who may import whom, as a table. A package that is not in it fails."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# package -> packages of ours it may import besides itself, core and io; core imports itself alone
MAY_IMPORT = {
    "core": set(),
    "io": set(),
    "qgraph": {"inference", "io", "trace"},
    "cost": set(),
    "backends": {"cost", "deploy", "profiling", "qgraph"},
    "nn": set(),
    "search_spaces": set(),
    "devices": set(),
    "trace": set(),
    "distill": set(),
    "signals": set(),
    "tasks": {"signals"},
    "inference": set(),
    "propose": set(),
    "profiling": {"inference"},
    "deploy": {"inference", "qgraph", "trace"},
    "train": {"inference"},
    "language": {"deploy", "distill", "tasks", "train"},
    "report": set(),
    "engine": {
        "cost", "deploy", "distill", "language", "nn", "profiling", "propose", "qgraph", "signals",
        "tasks", "trace", "train",
    },
    "api": {
        "cost", "deploy", "distill", "engine", "inference", "language", "nn", "profiling", "qgraph",
        "report", "signals", "tasks", "trace",
    },
    "cli": {"api", "report", "tasks"},
}  # fmt: skip

# The wings of `engine` -> others that each imports; a search and a distillation know nothing of
# each other, what both need is below them.
MAY_IMPORT_WINGS = {
    "setup": set(),
    "run": {"setup"},
    "arms": {"setup", "run"},
    "search": {"setup", "run", "arms"},
    "distill": {"setup", "run", "arms"},
}

# packages whose import must stay cheap -> what they must not pull in at module level
HEAVY = {"torch", "optuna", "onnx", "onnxruntime", "sklearn", "matplotlib", "plotly"}
# What touches a disk, a process or a network; and the modules of `core` that import one -> why.
EFFECTS = {
    "fcntl", "glob", "importlib", "io", "os", "pathlib", "shutil", "socket", "sqlite3",
    "subprocess", "tempfile", "urllib",
}  # fmt: skip
CORE_EFFECTS = {"printable": "writes the name of a path as text; opens none"}
NO_HEAVY_AT_ALL = {"core", "cost", "search_spaces", "devices"}


def modules():
    for top in ("hwkd", "search_spaces", "devices"):
        yield from sorted((ROOT / top).rglob("*.py"))


def package_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] != "hwkd":
        return parts[0]
    return parts[1] if len(parts) > 2 else None


def wing_of(path):
    """Return the wing of the engine that a module is in; None for `hwkd/engine/__init__.py`."""
    parts = path.relative_to(ROOT / "hwkd" / "engine").parts
    return parts[0] if len(parts) > 1 else None


@cache
def imports_of(path):
    """Return (name, whether no program runs the import: it names what others return)."""
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8")).body, is_typing=False))


def _imports(statements, *, is_typing):
    for node in statements:
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, is_typing
            yield from ((f"{node.module}.{alias.name}", is_typing) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, is_typing) for alias in node.names)
        else:  # a statement with statements in it, or a case or handler of one
            guards = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
            for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                inside = getattr(node, field, ())
                if isinstance(inside, list):
                    yield from _imports(inside, is_typing=is_typing or guards)


def imported(path, *, runs_only=False):
    return [name for name, is_typing in imports_of(path) if not (runs_only and is_typing)]


# Not hwkd/__init__.py and hwkd/__main__.py, which belong to no package.
IN_PACKAGES = [path for path in modules() if package_of(path) is not None]
OF_WINGS = [path for path in sorted((ROOT / "hwkd" / "engine").rglob("*.py")) if wing_of(path)]


def test_every_package_is_in_the_table():
    assert {package_of(path) for path in IN_PACKAGES} == set(MAY_IMPORT)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_modules_import_only_what_their_layer_may(package):
    allowed = MAY_IMPORT[package] | {package, "core"}
    if package != "core":
        allowed |= {"io"}
    wrong = []
    for path in IN_PACKAGES:
        if package_of(path) != package:
            continue
        # The command line shows what functions return, so it names types of any package.
        for name in imported(path, runs_only=package == "cli"):
            parts = name.split(".")
            is_package = parts[0] == "hwkd" and (ROOT / "hwkd" / "".join(parts[1:2])).is_dir()
            if is_package and len(parts) > 1 and parts[1] not in allowed:
                wrong.append(f"{path} imports {name}")
    assert wrong == []


def test_core_touches_no_disk():
    found = set()
    for path in (ROOT / "hwkd" / "core").rglob("*.py"):
        if EFFECTS & {name.partition(".")[0] for name in imported(path)}:
            found.add(path.stem)
        calls = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        opened = [n for n in calls if isinstance(n, ast.Call) and ast.unparse(n.func) == "open"]
        assert not opened, f"{path} opens a file"
    assert found == set(CORE_EFFECTS)


def test_wings_of_the_engine_import_downwards():
    wrong = []
    for path in OF_WINGS:
        allowed = MAY_IMPORT_WINGS[wing_of(path)] | {wing_of(path)}
        for name in imported(path):
            parts = name.split(".")
            if parts[:2] == ["hwkd", "engine"] and len(parts) > 2 and parts[2] not in allowed:
                wrong.append(f"{path} imports {name}")
    assert wrong == []


def test_pure_layers_import_nothing_heavy():
    wrong = [
        f"{path} imports {name}"
        for path in IN_PACKAGES
        if package_of(path) in NO_HEAVY_AT_ALL
        for name in imported(path, runs_only=True)
        if name.split(".")[0] in HEAVY
    ]
    assert wrong == []


# The records are pydantic's: a quarter of a second, which `--help` and what it reads need not.
LIGHT = HEAVY | {"numpy", "pydantic", "scipy"}


@pytest.mark.parametrize("statement", ["import hwkd", "import hwkd.cli.app"])
def test_import_stays_light(statement):
    code = f"{statement}; import sys; print(sorted(set(sys.modules) & {LIGHT!r}))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# What a run needs to go on until its workers begin; they are forked from a process with torch.
RESUMES = "import hwkd.engine.run.join, hwkd.engine.search.resume, hwkd.api.outcome"


@pytest.mark.slow
def test_a_run_goes_on_without_torch_or_a_database():
    code = f"{RESUMES}; import sys; print({{'torch', 'onnx', 'sqlalchemy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# What is written once -> the one file that may hold it.
WRITTEN_ONCE = {
    r"\"(distilled|teacher-free|labels alone|label smoothing)\"": {
        "hwkd/core/verdict_record.py",
        # A family of methods, which is no way of training.
        "hwkd/distill/losses/teacher_free.py", "hwkd/distill/method.py",
    },
    r"\.splitlines\(\)(\[0\]| or )": {"hwkd/core/errors.py"},
    r"any\(entry\.method\.asks_teacher": {"hwkd/distill/spec.py"},
    r"\.alpha if \w+\.mode": {"hwkd/core/best.py"},
    r"type\(error\)\.__name__\}: ": set(),
}  # fmt: skip


@pytest.mark.parametrize("pattern", WRITTEN_ONCE)
def test_what_several_need_is_written_once(pattern):
    wrong = []
    for path in modules():
        found = re.search(pattern, _code(path.read_text(encoding="utf-8")))
        if found and str(path.relative_to(ROOT)) not in WRITTEN_ONCE[pattern]:
            wrong.append(f"{path} has {found.group()}")
    assert wrong == []


def _code(text):
    """Return a module without its docstrings, which may name what others hold."""
    return re.sub(r'"""(.|\n)*?"""', "", text)
