"""Runs Arm's vela compiler on a .tflite file and reads what it says the network costs.

The compiler is the extra `hwkd[ethos]`; it runs in a process of its own and a temporary folder.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from hwkd.core.core_file import Npu
from hwkd.core.errors import ConfigError, ProfilingError

_TIMEOUT_S = 300.0
_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VelaLayer:
    """What vela says about one operator.

    Attributes:
        name: of the layer, or vela's own for an operator that it put in.
        kind: TensorFlow Lite operator that it comes from.
        cycles: of the NPU; None where the operator runs on the CPU, which vela does not cost.
        sram_bytes: activations in SRAM while it runs.
    """

    name: str
    kind: str
    macs: int
    cycles: int | None
    sram_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VelaReport:
    """What vela says about a network.

    Attributes:
        version: of vela.
        cycles: of one inference, memory traffic included.
        flash_bytes: off-chip flash used by weights, biases and commands.
        layers: in execution order.
    """

    version: str
    clock_hz: float
    cycles: float
    sram_bytes: int
    flash_bytes: int
    weight_bytes: int
    layers: tuple[VelaLayer, ...]


def require_vela() -> str:
    """Return vela's version.

    Raises:
        ConfigError: if it is not installed; says how to.
    """
    if find_spec("ethosu") is None:
        raise ConfigError(
            "Ethos-U devices are costed by Arm's vela compiler, which is not installed; "
            'run `pip install "hwkd[ethos]"`'
        )
    return version("ethos-u-vela")


def run_vela(tflite: bytes, npu: Npu, layer_names: Collection[str]) -> VelaReport:
    """Compile a network and return what vela reports.

    Args:
        tflite: int8 .tflite file.
        layer_names: names of the network's layers; what vela splits is summed by them.

    Raises:
        ConfigError: if vela is not installed.
        ProfilingError: if vela fails; quotes its last line.
    """
    found = require_vela()
    with tempfile.TemporaryDirectory(prefix="hwkd-vela-") as folder:
        file = Path(folder) / "model.tflite"
        file.write_bytes(tflite)
        _compile(file, npu)
        return read_report(Path(folder), npu, found, layer_names)


def read_report(folder: Path, npu: Npu, version: str, layer_names: Collection[str]) -> VelaReport:
    """Read the summary and the layers that vela wrote for `model.tflite`.

    Raises:
        ProfilingError: if a file or a column is missing.
    """
    try:
        (total,) = _rows(folder / f"model_summary_{npu.system}.csv")
        return VelaReport(
            version=version,
            clock_hz=float(total["core_clock"]),
            cycles=float(total["cycles_total"]),
            sram_bytes=round(float(total["sram_memory_used"]) * _KIB),
            flash_bytes=round(float(total["off_chip_flash_memory_used"]) * _KIB),
            weight_bytes=int(total["total_npu_encoded_weights"]),
            layers=_layers(_rows(folder / "model_per-layer.csv"), layer_names),
        )
    except (OSError, KeyError, ValueError) as error:
        raise ProfilingError(
            f"vela {version} wrote no report that hwkd can read ({error}); "
            'run `pip install "hwkd[ethos]"` for the version that it knows'
        ) from error


def _compile(file: Path, npu: Npu) -> None:
    command = [
        sys.executable, "-P", "-m", "ethosu.vela", str(file), "--config", "Arm/vela.ini",
        "--accelerator-config", npu.accelerator, "--system-config", npu.system,
        "--memory-mode", npu.memory_mode, "--output-dir", str(file.parent), "--verbose-performance",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=file.parent, capture_output=True, text=True, timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ProfilingError(
            f"vela took more than {_TIMEOUT_S:.0f} s; give a smaller network"
        ) from error
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else f"exit code {done.returncode}"
        raise ProfilingError(f"vela cannot compile the network: {reason}")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _layers(rows: list[dict[str, str]], names: Collection[str]) -> tuple[VelaLayer, ...]:
    """Sum the operators that vela made of one layer.

    The last of them, and a table looked up in its wake, bears the layer's name.
    """
    groups: list[list[dict[str, str]]] = []
    is_open = False
    for row in rows:
        continues = is_open and groups[-1][-1]["Original Operator"] == row["Original Operator"]
        follows = bool(groups) and groups[-1][-1]["Name"] == row["Name"]
        if continues or follows:
            groups[-1].append(row)
        else:
            groups.append([row])
        is_open = row["Name"] not in names
    return tuple(_layer(group) for group in groups)


def _layer(group: list[dict[str, str]]) -> VelaLayer:
    kinds = dict.fromkeys(row["Original Operator"] for row in group)
    on_npu = all(row["Target"] == "NPU" for row in group)
    return VelaLayer(
        name=group[-1]["Name"],
        kind="+".join(kinds),
        macs=sum(int(row["MAC Count"]) for row in group),
        cycles=sum(round(float(row["Op Cycles"])) for row in group) if on_npu else None,
        sram_bytes=max(int(row["Staging Usage"]) for row in group),
    )
