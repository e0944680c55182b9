"""Cost backends: what each promises, and that one more is one file that nothing else knows."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import Processes
from support.tiny_search import make_run, write_npz, write_teacher

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from benchmarks.lib.published import graph_of
from hwkd.cli.app import main
from hwkd.core import catalog
from hwkd.core.chooser import RandomChooser
from hwkd.core.device import Device
from hwkd.core.errors import ConfigError
from hwkd.cost.backend import CostQuestion, backend_of, screening_backend
from hwkd.engine.run.proposal import Proposal
from hwkd.io.device_catalog import device_names, load_device
from hwkd.io.discovery import discover

discover("hwkd.backends")
DEVICES = {load_device(name).costed_by: load_device(name) for name in device_names()}

# What a user would write: a simulator that needs 3 cycles for a multiply-add.
BACKEND = """
from dataclasses import replace

from hwkd.core.basis import Basis
from hwkd.core.catalog import BACKENDS
from hwkd.core.errors import ConfigError
from hwkd.core.measure import LatencyEstimate
from hwkd.cost.backend import Evidence
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.estimate_file import estimate_file


class Simulated:
    basis = Basis(name="simulated", spread=None, sizes="simulated")
    summary = "a simulator"
    can_screen = True

    def check(self, device):
        if device.clock_hz is None:
            raise ConfigError("clock_hz is missing; the simulator needs it")

    def refuse(self, question):
        if question.clock_hz is not None:
            raise ConfigError("--clock: the simulator has one clock; leave it out")

    def screen(self, graph, question):
        sizes = estimate_cost(graph, question.device, has_latency=False)
        value_s = 3 * graph.macs / question.device.clock_hz
        latency = LatencyEstimate(
            value_s=value_s, low_s=value_s, high_s=value_s, basis="simulated: 3 cycles a MAC"
        )
        return replace(sizes, latency=latency)

    def cost_file(self, model, question):
        found = estimate_file(model, question, has_latency=False)
        return replace(found, cost=self.screen(model.graph, question))

    def evidence(self, device):
        return (Evidence(runtime="simulator 1", error="simulated", origin="a model of the core"),)


BACKENDS.register("simulated")(Simulated())
"""
DEVICE = """
schema_version = 1
name = "my-chip"
description = "a chip that does not exist yet"
core = "MyCore"
board = "none"
clock_hz = 50e6
target_latency_s = 0.1
costed_by = "simulated"
default_runtime = "simulator"
sources = { clock_hz = "a test", target_latency_s = "a test" }
runtimes.simulator = { version = "1" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two files of a user, a backend and a device, and what makes the first one a plugin."""
    (tmp_path / "users_backend.py").write_text(BACKEND)
    (tmp_path / "my-chip.toml").write_text(DEVICE)
    plugin = tmp_path / "users_backend-1.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: users-backend\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[hwkd.plugins]\nmine = users_backend\n")
    return tmp_path


@pytest.fixture
def device_file(folder: Path) -> Iterator[Path]:
    """The device, with its backend imported."""
    spec = importlib.util.spec_from_file_location("users_backend", folder / "users_backend.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield folder / "my-chip.toml"
    catalog.BACKENDS.take("simulated")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    net = NetworkBuilder((3, 8, 8))
    net.conv(8, (3, 3))
    net.classifier(4)
    return quantise(net, tmp_path, "small")


@pytest.mark.parametrize("name", catalog.BACKENDS.names())
def test_a_backend_says_what_its_numbers_are(name: str) -> None:
    backend, device = catalog.BACKENDS.get(name), DEVICES[name]
    assert backend.basis.name == name
    assert backend.summary
    backend.check(device)
    backend.refuse(CostQuestion(device=device))
    rows = backend.evidence(device)
    assert {row.runtime.split()[0] for row in rows} == set(device.runtimes)
    assert all(row.error and row.origin for row in rows)


@pytest.mark.parametrize("name", catalog.BACKENDS.names())
def test_a_backend_refuses_a_runtime_that_the_device_has_not(name: str) -> None:
    question = CostQuestion(device=DEVICES[name], runtime="none")
    with pytest.raises(ConfigError, match="'none' has no data"):
        catalog.BACKENDS.get(name).refuse(question)


@pytest.mark.parametrize("name", catalog.BACKENDS.names())
def test_a_backend_screens_or_is_refused_before_anything_is_spent(name: str) -> None:
    device = DEVICES[name]
    if not backend_of(device).can_screen:
        with pytest.raises(ConfigError, match=r"too slow to screen .* `hwkd profile --device"):
            screening_backend(device)
        return
    cost = screening_backend(device).screen(graph_of("kws01"), CostQuestion(device=device))
    assert (cost.device, cost.dtype) == (device.name, "int8")
    assert cost.peak_ram_bytes > 0
    assert (cost.latency is None) == backend_of(device).basis.is_timed


@pytest.mark.parametrize(("field", "name"), [("measured", "measured"), ("compiled", "compiled")])
def test_device_files_of_older_versions_name_their_backend(field: str, name: str) -> None:
    table = load_device("host").model_dump(exclude_unset=True)
    del table["costed_by"]
    assert Device.model_validate({**table, f"is_{field}": True}).costed_by == name
    assert Device.model_validate({**table, f"is_{field}": False}).costed_by == "estimated"


def test_an_unknown_backend_is_one_line_with_the_nearest(device_file: Path) -> None:
    device_file.write_text(DEVICE.replace('"simulated"', '"simulate"'))
    with pytest.raises(ConfigError, match=r"my-chip.toml: .*did you mean simulated"):
        load_device(str(device_file))


def test_what_a_backend_needs_of_a_device_file_is_asked_when_it_is_read(device_file: Path) -> None:
    device_file.write_text(DEVICE.replace("clock_hz = 50e6\n", "").replace("clock_hz = ", "x = "))
    with pytest.raises(ConfigError, match=r"my-chip.toml: clock_hz is missing; the simulator"):
        load_device(str(device_file))


def test_a_backend_that_is_dropped_in_profiles_a_file(
    device_file: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "show", str(device_file)]) == 0
    assert "a model of the core" in capsys.readouterr().out
    assert main(["profile", str(model), "--device", str(device_file)]) == 0
    text = capsys.readouterr().out
    assert "simulated: 3 cycles a MAC" in text
    assert "interval" not in text
    assert main(["profile", str(model), "--device", str(device_file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["latency"]["value_s"] == pytest.approx(3 * found["macs"] / 50e6)
    assert main(["profile", str(model), "--device", str(device_file), "--clock", "1GHz"]) == 2
    assert "the simulator has one clock" in capsys.readouterr().err


@pytest.mark.slow
def test_a_backend_that_is_dropped_in_screens_candidates(device_file: Path) -> None:
    runner = make_run(device_file.parent, device=str(device_file)).runner()
    spec = runner.context.screen.spaces["narrow_deep"].suggest(
        RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3
    )
    proposal = Proposal(spec=spec, fidelity=runner.context.fidelity)
    record = runner.run(proposal, lambda key: None, number=0)
    assert record.state == "completed"
    assert record.cost is not None
    assert record.latency_s == pytest.approx(3 * record.cost.macs / 50e6)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_run_says_what_its_latencies_are_without_the_plugin(
    folder: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, device = folder / "run", folder / "my-chip.toml"
    data, teacher = write_npz(folder / "data.npz"), write_teacher(folder / "teacher.onnx")
    given = ["--device", device, "--data", data, "--teacher", teacher, "--out", run]
    small = ["--space", "depthwise", "--trials", "2", "--brief-epochs", "1", "--no-final"]
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.setenv("HWKD_NO_PLUGINS", "")
        search = processes.start(["search", *given, *small])
        assert search.ended() == 0, search.printed()
    assert "simulated" not in catalog.BACKENDS
    assert main(["report", str(run)]) == 0
    heading = (run / "trials.csv").read_text().splitlines()[0]
    assert "simulated_latency_s,simulated_peak_ram_bytes,simulated_flash_bytes" in heading
    page = (run / "report.html").read_text()
    assert re.search(r"simulated for simulator 1, int8, MyCore at 50\S* MHz", page)
    text = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert re.findall(r".{60}estimated.{20}", text) == []
