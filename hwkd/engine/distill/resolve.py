"""Which student `hwkd distill` trains, and on what: of a run, one of its trials, a spec.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwkd.core import catalog
from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.core.progress import Progress
from hwkd.core.student import Layers, StudentSpec
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.graph import build_graph
from hwkd.distill.pairing import hardware_importance
from hwkd.engine.distill.request import DistilRequest
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import load_data, resolve_config, screen_of
from hwkd.engine.setup.screening import load_spaces
from hwkd.engine.setup.stored_student import layers_of_spec, read_spec_file
from hwkd.engine.setup.trust import space_file, trusted
from hwkd.io import discovery
from hwkd.io.paths import require_there
from hwkd.io.run_files import TRIALS_FILE
from hwkd.io.trials_file import read_trials
from hwkd.tasks.base import TaskData

__all__ = ["ResolvedStudent", "resolve_student", "stage_importance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedStudent:
    """The student, its data and the configuration that both belong to.

    Attributes:
        spec: choices of the student.
        layers: the network that they make.
        data: of the task.
        config: of the run, or one for a spec.json; every choice resolved.
    """

    spec: StudentSpec
    layers: Layers
    data: TaskData
    config: SearchConfig


def resolve_student(request: DistilRequest, *, progress: Progress) -> ResolvedStudent:
    """Find the student and read the data that it was made for.

    Args:
        request: names a run, one of its trials or a spec.json.
        progress: told while data is read.

    Raises:
        ConfigError: if there is no such student, or it does not fit the data.
        RunFolderError: if it is no run folder.
    """
    path, _, trial = request.student.partition(":")
    folder = Path(path)
    if folder.suffix == ".json":
        spec = read_spec_file(folder, option="--student")
        config = SearchConfig(
            device="host",
            task=request.task or "classify",
            data=request.data,
            spaces=(_space_of(spec, request),),
        )
    else:
        expected = "RUN, RUN:TRIAL or a spec.json that `hwkd export --format torch` wrote"
        require_there(folder, expected, option="--student")
        if not (folder / "config.toml").is_file():
            raise RunFolderError(
                f"--student {request.student}: is no run folder and no spec.json; give {expected}"
            )
        for option, given in (
            ("--task", request.task), ("--data", request.data), ("--space", request.space),
        ):  # fmt: skip
            if given is not None:
                raise ConfigError(
                    f"{option} {given}: goes with a spec.json; run {folder} has its own, so leave "
                    f"it out or give --student {folder / 'best' / 'spec.json'}"
                )
        config = trusted(
            SearchConfig.from_toml(folder / "config.toml"),
            where=f"--student {folder}",
            trusts=request.trusts,
            with_teacher=not request.teachers,
        )
        spec = _spec_of_run(folder, trial)
    spaces = load_spaces(config.spaces)
    if spec.space not in spaces:
        raise ConfigError(
            f"--student {request.student}: is of the search space {spec.space}; given are "
            f"{', '.join(spaces)}"
        )
    _, data = load_data(config, progress=progress)
    if (data.input_shape, data.num_outputs) != (spec.input_shape, spec.num_outputs):
        raise ConfigError(
            f"--student {request.student}: was made for inputs {spec.input_shape} and "
            f"{spec.num_outputs} classes; the data has {data.input_shape} and {data.num_outputs}"
        )
    resolved = resolve_config(config, screen_of(config).device, data)
    layers = layers_of_spec(spaces, spec, where=f"--student {request.student}")
    return ResolvedStudent(spec=spec, layers=layers, data=data, config=resolved)


def _space_of(spec: StudentSpec, request: DistilRequest) -> str:
    """Return the entry of the student's space: a registered name, or the file that the user gave.

    Raises:
        ConfigError: if the file of the student names Python, which never runs for that.
    """
    if request.trusts:
        raise ConfigError(f"--trust: goes with a run; {request.student} needs --space FILE")
    if request.space is not None:
        return space_file(request.space)
    discovery.discover("hwkd.search_spaces")
    if spec.space not in catalog.SEARCH_SPACES:
        raise ConfigError(
            f"--student {request.student}: its search space {spec.space!r} is not registered; if "
            "it is a Python file of yours, name it with --space FILE"
        )
    return spec.space


def _spec_of_run(folder: Path, trial: str) -> StudentSpec:
    if not trial:
        best = folder / "best" / "spec.json"
        if not best.is_file():
            raise RunFolderError(
                f"--student {folder}: has no best student yet; give {folder}:TRIAL"
            )
        return read_spec_file(best, option="--student")
    trials = read_trials(folder / TRIALS_FILE)
    records = {str(record.number): record for record in trials.records}
    if trial not in records or records[trial].spec is None:
        raise ConfigError(
            f"--student {folder}:{trial}: the run has no such student; it has trials 0 to "
            f"{len(records) - 1}"
        )
    found = records[trial].spec
    assert found is not None
    return found.to_spec()


def stage_importance(resolved: ResolvedStudent) -> tuple[float, ...]:
    """Return what each stage costs on the device: the operators since the stage before."""
    screen = screen_of(resolved.config)
    cost = estimate_cost(
        build_graph(resolved.layers),
        screen.device,
        runtime=screen.runtime,
        clock_hz=screen.clock_hz,
    )
    taps = resolved.layers.taps
    stages = sorted((n for n in taps if n.startswith("stage")), key=lambda n: int(n[5:]))
    ends = {taps[name]: index for index, name in enumerate(stages)}
    costs = [0.0] * len(stages)
    stage = 0
    has_latency = all(op.latency_s is not None for op in cost.per_op)
    for op in cost.per_op:
        if stage < len(stages):
            costs[stage] += (op.latency_s or 0.0) if has_latency else float(op.macs)
        if op.name in ends:
            stage = ends[op.name] + 1
    return hardware_importance(costs)
