"""Sessions start in one place, and ONNX Runtime's telemetry client in none."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path

import hwkd
from benchmarks.lib.c_networks import NetworkBuilder, quantise

from hwkd.deploy.sessions import open_session
from hwkd.deploy.to_c.export import build_project
from hwkd.profiling.onnx_runtime import measure_latency

folder = Path({folder!r})
net = NetworkBuilder((3, 8, 8))
net.conv(4, (3, 3), relu="HardSwish")
path = quantise(net, folder, "net")
open_session(path)
build_project(path)
measure_latency(path, runs=5)
"""


def files_left(tmp_path):
    """Run the script with empty temporary and home folders; return what it left there."""
    temporary, home, work = (tmp_path / name for name in ("temporary", "home", "work"))
    for folder in (temporary, home, work):
        folder.mkdir()
    script = SCRIPT.format(folder=str(work))
    # ONNX Runtime is also silent where these say that a machine builds software.
    silent = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "GITHUB_ACTIONS")
    environment = {k: v for k, v in os.environ.items() if k not in silent}
    environment |= {"TMPDIR": str(temporary), "HOME": str(home), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, cwd=work)
    return sorted(path.name for folder in (temporary, home) for path in folder.rglob("*"))


@pytest.mark.slow
def test_no_session_leaves_a_file_of_a_telemetry_client(tmp_path):
    assert files_left(tmp_path) == []


def test_the_variable_is_set_before_any_module_can_import_onnx_runtime():
    code = "import os, hwkd; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    code += "; import sys; assert 'onnxruntime' not in sys.modules"
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "0"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["InferenceSession", "SessionOptions"])
def test_sessions_are_opened_in_one_module(name):
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "hwkd").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name
    }
    assert found == {"hwkd/inference/sessions.py"}
