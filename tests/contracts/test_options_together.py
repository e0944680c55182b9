"""Two options together ask for something else than each alone, or are refused in one line.

What a command asks of the engine is caught before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from support.tiny_search import write_npz, write_teacher

import hwkd
from hwkd.api.option import declared
from hwkd.core.errors import HwkdError


class AskedError(Exception):
    """What a command would have done."""


@dataclass(frozen=True)
class Case:
    """A command.

    Attributes:
        engine: function -> what it is asked, by its arguments.
        least: without which it does nothing at all.
        given: a value of every other option, none its default; {} is the workplace.
        apart: options whose pairs are not looked at, and why.
    """

    function: Callable[..., object]
    engine: Mapping[str, Callable[..., object]]
    least: Mapping[str, Any]
    given: Mapping[str, Any]
    apart: Mapping[str, str]


_SPENT = "of the machine or the folder, and not of what is made"
_SEARCH = Case(
    function=hwkd.search,
    engine={
        "hwkd.engine.search.run.run_search": lambda config, *a, **k: config.model_dump(),
    },
    least={"device": "cortex-m7", "out": "{}/run", "workers": 1},
    given={
        "runtime": "hwkd-c", "clock": "100MHz", "task": "regression", "data": "{}/data.npz",
        "input_size": "8x8", "search_input": True, "layout": "nchw", "metric": "macro-f1",
        "class_weights": "balanced", "label": "y", "split": "time", "group": "who",
        "rate": "100Hz", "window": "1s", "stride": "500ms", "words": "a,b", "normal": "ok",
        "false_alarms": "2%", "max_false_accepts": "1/h", "features": "log-mel:bins=20",
        "search_features": True,
        "teachers": ["{}/teacher.onnx"], "teacher_weights": ["{}/data.npz"],
        "teacher_inputs": ["raw"], "teacher_classes": ["a,b"], "teacher_sees": "samples",
        "teacher_time": "9s",
        "unlabelled": "{}/data.npz",
        "spaces": ["plain"], "max_latency": "2ms", "max_ram": "9KiB", "max_flash": "9KiB",
        "max_weights": "9kB", "max_energy": "1mJ", "risk": "middle", "objective": "pareto",
        "alpha": 2.0, "beta": 0.3, "gamma": 0.0, "target_latency": "3ms",
        "calibration": "minmax", "qat": "on", "methods": ["lskd"], "match": True,
        "scheme": "takd", "brief_epochs": 3, "full_epochs": 4, "controls": 0, "final": False,
        "verify": True, "trials": 3, "candidates": 9, "sampler": "random", "timeout": "9min",
        "trial_timeout": "8min", "seed": 4,
    },
    apart=dict.fromkeys(("accelerator", "storage", "study", "artifacts", "track"), _SPENT),
)  # fmt: skip
_DISTILL = Case(
    function=hwkd.distill,
    engine={
        "hwkd.engine.distill.run.run_distillation": lambda r, **_: replace(r, command=()),
        "hwkd.engine.distill.compression.run_compression": lambda r, *, compression, gates, **_: (
            replace(r, command=()), compression, gates,
        ),
        "hwkd.engine.distill.capacity.run_capacity": lambda r, *, tolerance, **_: (
            replace(r, command=()), tolerance,
        ),
    },
    least={"student": "{}/teacher.onnx", "out": "{}/out"},
    given={
        "methods": ["at"], "scheme": "dml", "epochs": 3, "task": "regression",
        "data": "{}/data.npz", "label": "y", "device": "cortex-m4", "teachers": ["{}/teacher.onnx"],
        "teacher_weights": ["{}/data.npz"], "teacher_inputs": ["raw"], "teacher_sees": "paired",
        "teacher_classes": ["a,b"],
        "unlabelled": "{}/data.npz", "made": "{}/data.npz", "copies": 2,
        "layer_rates": "decay=0.5", "keep": 0.5, "compression": "latency:2",
        "gates": ["accuracy:2%"], "capacity": True, "tolerance": "1%", "robustness": "pgd:eps=0.1",
        "attribution": True, "arms": ["prune"], "seeds": 2,
        "importance": "hardware", "pairs": ["2=layer3"],
        "seed": 4, "calibration": "minmax", "qat": "on", "timeout": "9min", "trust": True,
    },
    apart=dict.fromkeys(("accelerator", "workers", "track"), _SPENT),
)  # fmt: skip
_EXPORT = Case(
    function=hwkd.export,
    engine={"hwkd.engine.arms.export.export_student": lambda order, **k: order},
    least={"source": "{}/run", "out": "{}/out"},
    given={
        "trial": "2", "formats": "onnx", "target": "c", "calibration": "mse", "rounding": "q31",
        "kernels": "cmsis-nn", "patch": "2x2", "streaming": True, "trust": True,
    },
    apart={"force": _SPENT},
)  # fmt: skip
CASES = {"search": _SEARCH, "distill": _DISTILL, "export": _EXPORT}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    write_npz(folder / "data.npz")
    write_teacher(folder / "teacher.onnx")
    (folder / "run").mkdir()
    return folder


def asked(case: Case, given: Mapping[str, Any], folder: Path) -> str | None:
    """Return what the engine is asked; None where the options are refused."""

    def placed(value: Any) -> Any:
        if isinstance(value, list):
            return [placed(each) for each in value]
        return value.replace("{}", str(folder)) if isinstance(value, str) else value

    everything = {name: placed(value) for name, value in {**case.least, **given}.items()}
    try:
        case.function(**everything)
    except AskedError as found:
        return str(found)
    except HwkdError as error:
        assert "\n" not in str(error)
        return None
    raise AssertionError("the engine was not asked")


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in CASES.values():
        for name, shown in case.engine.items():

            def ask(*arguments: Any, _shown: Any = shown, **options: Any) -> None:
                raise AskedError(repr(_shown(*arguments, **options)))

            monkeypatch.setattr(name, ask)


@pytest.mark.parametrize("name", CASES)
def test_every_option_is_tried(name: str) -> None:
    case = CASES[name]
    known = {option.name for option in declared(case.function)}
    assert known == {*case.least, *case.given, *case.apart}


@pytest.mark.slow
@pytest.mark.usefixtures("caught")
@pytest.mark.parametrize(
    "name", [pytest.param("search", marks=pytest.mark.slow), *sorted({*CASES} - {"search"})]
)
def test_an_option_alone_or_with_another_is_heard_or_refused(name: str, workplace: Path) -> None:
    case = CASES[name]
    bare = asked(case, {}, workplace)
    assert bare is not None
    alone = {key: asked(case, {key: value}, workplace) for key, value in case.given.items()}
    idle = [(key,) for key, found in alone.items() if found == bare]
    for first, second in combinations(case.given, 2):
        both = asked(case, {key: case.given[key] for key in (first, second)}, workplace)
        if both is not None and both in (bare, alone[first], alone[second]):
            idle.append((first, second))
    assert idle == []
