"""A runtime or a core is one file: dropped in, it is searched for, with no Python edited."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.op_networks import OP_NETWORKS
from support.tiny_search import make_run

from benchmarks.lib.c_networks import quantise
from hwkd.cli.app import main
from hwkd.core.chooser import RandomChooser
from hwkd.core.device import WORK
from hwkd.core.errors import HwkdError
from hwkd.engine.run.proposal import Proposal
from hwkd.io.core_files import load_core_file
from hwkd.io.device_catalog import load_device
from hwkd.io.fact_files import fact_names
from hwkd.io.runtime_files import load_runtime, runtime_names

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm", "cc"))),
    reason="no emulator or compiler",
)
CYCLES_A_MAC = 2.0
RUNTIME = """
schema_version = 1
kind = "runtime"
name = "my-stack"
like = "tflm-reference"

[storage]
code_bytes = 1000

[cores.cortex-m4]
version = "0.1"

[cores.cortex-m4.latency.int8]
fitted_on = "nothing, a test"
measurements = 1
source = "a test"
interval = { low_ratio = 0.5, high_ratio = 2.0, calibrated_on = "a test" }

[cores.cortex-m4.latency.int8.fitted_range]
conv = { macs = [1, 1e12] }

[cores.cortex-m4.latency.int8.cycles]
""" + "".join(
    f"{name} = {{ {'mac = 2.0' if 'mac' in amounts else 'call = 0.0'} }}\n"
    for name, amounts in WORK.items()
    if name not in ("gathered", "listed")  # which count products as a kernel of ours pads them
)
BOARD = """
schema_version = 1
name = "my-board"
description = "a board"
core = "Cortex-M4"
board = "MINE"
clock_hz = 100e6
target_latency_s = 0.1
default_runtime = "my-stack"
sources = { clock_hz = "a test", target_latency_s = "a test" }
runtimes = {}
"""


CORE = """
schema_version = 1
kind = "core"
name = "my-core"
flags = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"]
instruction_set = "dsp"
rounding = "q31"
machine = "mps2-an386"
emulated_cpu = "Cortex-M4"
counter_hz = 25e6
counter = { HARNESS_CMSDK_TIMER = "0x40000000" }
part = { flash_bytes = 524288, ram_bytes = 131072, source = "a test" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the user's: a board, and a runtime beside it."""
    (tmp_path / "runtimes").mkdir()
    (tmp_path / "runtimes" / "my-stack.toml").write_text(RUNTIME)
    (tmp_path / "my-board.toml").write_text(BOARD)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("by_path", [False, True])
def test_a_search_costs_its_candidates_for_a_runtime_that_was_dropped_in(
    folder: Path, by_path: bool
) -> None:
    runtime = str(folder / "runtimes" / "my-stack.toml")
    changes = (
        {"device": "cortex-m4", "runtime": runtime, "clock_hz": 100e6}
        if by_path
        else {"device": str(folder / "my-board.toml")}
    )
    runner = make_run(folder, **changes).runner()
    spec = runner.context.screen.spaces["narrow_deep"].suggest(
        RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3
    )
    proposal = Proposal(spec=spec, fidelity=runner.context.fidelity)
    record = runner.run(proposal, lambda key: None, number=0)
    assert record.state == "completed"
    assert record.cost.runtime == "my-stack"
    assert record.cost.latency_s == pytest.approx(CYCLES_A_MAC * record.cost.macs / 100e6)
    assert "my-stack 0.1" in record.cost.latency.basis


def test_a_runtime_that_is_like_another_says_only_what_differs(folder: Path) -> None:
    mine, other = (
        load_runtime("my-stack", folder),
        load_runtime("tflm-reference"),
    )
    assert (mine.fusion, mine.memory) == (other.fusion, other.memory)
    assert mine.storage == other.storage.model_copy(update={"code_bytes": 1000})
    assert set(mine.cores) == {"cortex-m4"}


def test_a_device_has_what_lies_beside_it_and_what_is_packaged(folder: Path) -> None:
    runtimes = load_device(str(folder / "my-board.toml")).runtimes
    assert set(runtimes) == {"my-stack", *load_device("cortex-m4").runtimes}
    assert "my-stack" not in runtime_names()


@pytest.mark.parametrize(
    ("given", "instead", "message"),
    [
        ('like = "tflm-reference"', 'like = "tflm-ref"', "did you mean tflm-reference"),
        ('like = "tflm-reference"', 'like = "my-stack"', "leads back to itself"),
        ("code_bytes = 1000", "code_byte = 1000", "storage.code_byte is not a field; did you mean"),
        ("code_bytes = 1000", 'code_bytes = "1 kB"', "storage.code_bytes = '1 kB'"),
        ('version = "0.1"\n', "", "cores.cortex-m4.version is missing"),
        ("[cores.cortex-m4.latency.int8]", "[cores.cortex-m4.latency.int4]", "latency.int4"),
        ("measurements = 1", "measurement = 1", "measurement is not a field; did you mean"),
        ('kind = "runtime"\n', "", "kind is missing; every runtime file needs it"),
        ("schema_version = 1", "schema_version = ", "not valid TOML"),
    ],
)
def test_a_wrong_runtime_file_is_one_line_with_file_and_key(
    folder: Path, given: str, instead: str, message: str
) -> None:
    path = folder / "runtimes" / "my-stack.toml"
    assert given in RUNTIME
    path.write_text(RUNTIME.replace(given, instead, 1))
    with pytest.raises(HwkdError) as caught:
        load_device(str(folder / "my-board.toml"))
    line = str(caught.value)
    assert message in line
    assert line.startswith(str(path))
    assert "\n" not in line


def test_a_runtime_without_a_fit_for_the_core_is_refused(folder: Path) -> None:
    path = str(folder / "runtimes" / "my-stack.toml")
    with pytest.raises(HwkdError, match=r"cores has no 'cortex-m7'.*it has cortex-m4"):
        load_device("cortex-m7", runtime=path)


@pytest.mark.parametrize("name", runtime_names())
def test_a_packaged_runtime_is_named_as_its_file(name: str) -> None:
    assert load_runtime(name).name == name


@pytest.fixture
def core_folder(folder: Path) -> Path:
    """The same folder with a core of its own and a runtime for it."""
    (folder / "cores").mkdir()
    (folder / "cores" / "my-core.toml").write_text(CORE)
    runtime = folder / "runtimes" / "my-stack.toml"
    runtime.write_text(RUNTIME.replace("cores.cortex-m4", "cores.my-core"))
    board = folder / "my-board.toml"
    board.write_text(BOARD.replace("Cortex-M4", "My-Core"))
    return folder


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize("given", ["my-board.toml", "cores/my-core.toml"])
def test_exported_c_is_verified_on_a_core_that_was_dropped_in(
    core_folder: Path, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = quantise(OP_NETWORKS["squeeze_excite"](), core_folder, "model")
    arguments = ["verify", str(model), "--device", str(core_folder / given), "--inputs", "4"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["core"], found["rounding"], found["passed"]) == ("my-core", "q31", True)
    assert found["flash_predicted_bytes"] is None
    assert found["flash_bytes"] > 1000


def test_a_search_on_a_core_that_was_dropped_in_takes_its_runtime(core_folder: Path) -> None:
    device = str(core_folder / "my-board.toml")
    assert set(load_device(device).runtimes) == {"my-stack"}
    assert make_run(core_folder, device=device).prepared.config.device == device


@pytest.mark.parametrize(
    ("given", "instead", "message"),
    [
        ("-mcpu=cortex-m4", "-fplugin=a.so", "flags.0 = '-fplugin=a.so'"),
        ("-mcpu=cortex-m4", "@options", "flags.0 = '@options'"),
        ('machine = "mps2-an386"\n', "", "machine is missing; every core file needs it"),
        ("counter_hz", "counter_herz", "did you mean counter_hz"),
        ("flash_bytes", "flash", "part.flash is not a field; did you mean flash_bytes"),
        ('"dsp"', '"mve"', "instruction_set = 'mve'"),
        ('"core"', '"cpu"', "kind = 'cpu'; expected"),
    ],
)
def test_a_wrong_core_file_is_one_line_with_file_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, instead: str, message: str
) -> None:
    assert given in CORE
    path = tmp_path / "my-core.toml"
    path.write_text(CORE.replace(given, instead, 1))
    assert main(["devices", "validate", str(path)]) == 2
    line = capsys.readouterr().err
    assert message in line
    assert str(path) in line
    assert line.count("\n") == 1


def test_a_file_without_its_kind_is_no_device_where_it_lies_among_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cores" / "my-core.toml"
    path.parent.mkdir()
    path.write_text(CORE.replace('kind = "core"\n', ""))
    assert main(["devices", "validate", str(path)]) == 2
    assert f"{path}: kind is missing" in capsys.readouterr().err


def test_files_of_every_kind_are_validated(
    core_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("my-board.toml", "runtimes/my-stack.toml", "cores/my-core.toml")
    assert main(["devices", "validate", *(str(core_folder / name) for name in names)]) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = ("device my-board", "runtime my-stack", "core my-core")
    assert [line.removeprefix("valid: ") for line in lines] == list(expected)


@pytest.mark.parametrize("name", fact_names("core"))
def test_a_packaged_core_is_named_as_its_file(name: str) -> None:
    assert load_core_file(name).name == name
