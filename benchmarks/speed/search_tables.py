"""How many trainings the product's sampler needs on tables of networks that others trained.

Run: python -m benchmarks.speed.search_tables --tables FILE --scenario NAME --seeds N
     --mode pareto|weighted [--json] [--scenarios FILE.py]

`--scenario` is repeated for several, each as NAME or NAME:weighted. `--json` prints one object for
each and nothing else.

Every table is a search space, sampled through an Optuna study by `SurrogateSampler`, as `hwkd
search` does. A training costs one look-up: the accuracy of one seed. What is judged is the mean
over seeds: the share of the true front's hypervolume after every training. Only trainings count.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.lib.verdict import Target, count, report
from benchmarks.search.front_volume import volume
from benchmarks.speed import table_scenarios
from hwkd.core.student import Chooser, Layer, Layers, StudentSpec
from hwkd.engine.search.chooser import SPACE_PARAM, OptunaChooser
from hwkd.propose.candidates import Screened
from hwkd.propose.sampler import SurrogateSampler

BUDGET = 200
GOAL = 0.95
# Trainings to the goal, median over seeds, by scenario and mode; and of the worst seed of any.
TARGETS = {
    ("pi5tight", "pareto"): 25,
    ("raspi4", "pareto"): 25,
    ("macro", "pareto"): 25,
    ("three", "pareto"): 35,
    ("join2", "pareto"): 50,
}
WORST = 100
# Of the 80% intervals of predicted accuracy, of all scenarios together.
COVERAGE = (0.70, 0.90)
_80_PERCENT = 1.2815515594457418


@dataclass(frozen=True)
class TableSpace:
    """A search space whose networks are the rows of a table."""

    table: Any
    name: str
    summary: str = "networks of a table"

    def suggest(
        self, chooser: Chooser, *, input_shape: tuple[int, ...], num_outputs: int
    ) -> StudentSpec:
        """Choose one value for every column."""
        params = {
            name: chooser.categorical(name, choices)
            for name, choices in zip(self.table.names, self.table.choices, strict=True)
        }
        return StudentSpec(
            space=self.name, params=params, input_shape=input_shape, num_outputs=num_outputs
        )

    def layers(self, spec: StudentSpec) -> Layers:
        """Return a stand-in that is the same for networks that are run alike."""
        name = f"{self.name}{int(self.table.key[self.row(spec)])}"
        layer = Layer(name=name, kind="linear", inputs=("input",), shape=(spec.num_outputs,))
        return Layers(input_shape=spec.input_shape, layers=(layer,))

    def row(self, spec: StudentSpec) -> int:
        """Return the row of a network."""
        pairs = zip(self.table.names, self.table.choices, strict=True)
        row = self.table.index[tuple(choices.index(spec.params[name]) for name, choices in pairs)]
        return int(row)


class _Networks:
    """The networks of a scenario's tables, as the sampler asks for them."""

    def __init__(self, scenario: Any, objectives: int) -> None:
        self.spaces = {name: TableSpace(t, name) for name, t in scenario.problem_tables.items()}
        self._limits, self._objectives = scenario.limits, objectives
        facts = [space.table.graph.shape[1] - 2 for space in self.spaces.values()]
        # Two facts that all spaces share, then those of each.
        ends = 2 + np.cumsum([0, *facts])
        self._width = int(ends[-1])
        self._columns = dict(zip(self.spaces, map(slice, ends[:-1], ends[1:]), strict=True))

    def suggest(self, trial: Any) -> StudentSpec:
        name = str(trial.suggest_categorical(SPACE_PARAM, tuple(self.spaces)))
        chooser = OptunaChooser(trial, name)
        return self.spaces[name].suggest(chooser, input_shape=(1,), num_outputs=1)

    def screen(self, spec: StudentSpec) -> Screened:
        space = self.spaces[spec.space]
        row = space.row(spec)
        costs, graph = space.table.costs[row], space.table.graph[row]
        features = np.full(self._width, math.nan)
        features[:2], features[self._columns[spec.space]] = graph[:2], graph[2:]
        return Screened(
            key=space.layers(spec).key,
            is_feasible=bool(np.all(costs <= self._limits)),
            exact=(None, *(float(cost) for cost in costs[: self._objectives - 1])),
            features=tuple(features.tolist()),
        )

    def best_mean(self) -> float:
        """Return the accuracy of the best network inside the limits, in percent."""
        tables = [space.table for space in self.spaces.values()]
        return max(float(t.mean[np.all(t.costs <= self._limits, axis=1)].max()) for t in tables)


def one_search(scenario: Any, *, seed: int, mode: str, budget: int) -> dict[str, Any]:
    """Search once; returns how many trainings it took and what the intervals covered."""
    axes = scenario.objectives
    objectives = 1 + axes if mode == "pareto" else 1
    networks = _Networks(scenario, objectives)
    sampler = SurrogateSampler(
        suggest=networks.suggest,
        screen=networks.screen,
        limits=(1 - scenario.floor / 100, *map(float, scenario.limits[: objectives - 1])),
        group=SPACE_PARAM,
        seed=seed,
    )
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
    best = networks.best_mean()
    costs_seen: list[np.ndarray] = []
    means: list[float] = []
    inside: list[bool] = []
    reached = to_best = None
    began = time.process_time()
    while len(means) < budget and (reached is None or to_best is None):
        if sampler.look_ahead(study) is None:
            break
        trial = study.ask()
        spec = networks.suggest(trial)
        space = networks.spaces[spec.space]
        table, row = space.table, space.row(spec)
        error = 1 - float(table.obs[row, seed % table.obs.shape[1]]) / 100
        proposal = sampler.proposal_of(trial.number)
        if proposal is not None and proposal.predicted:
            mean, deviation = proposal.predicted[0]
            inside.append(abs(error - mean) <= _80_PERCENT * deviation)
        study.tell(trial, [error, *map(float, table.costs[row][: objectives - 1])])
        means.append(float(table.mean[row]))
        costs_seen.append(table.costs[row][:axes])
        share = volume(
            np.array(costs_seen), np.array(means), scenario.limits[:axes], scenario.floor
        ) / scenario.full_hv  # fmt: skip
        if reached is None and share >= GOAL:
            reached = len(means)
        if to_best is None and max(means) >= best - 0.5:
            to_best = len(means)
    return {
        "seed": seed,
        "to_95": reached,
        "to_best": to_best,
        "trained": len(means),
        "covered": (sum(inside), len(inside)),
        "ask_s": (time.process_time() - began) / max(1, len(means)),
    }


def load_scenario(name: str, tables: Path | None, module: Path | None) -> Any:
    """Return a scenario from our own module or from the user's."""
    loaded = dict(np.load(tables)) if tables is not None else None
    if module is None:
        if loaded is None:
            raise SystemExit("--tables FILE or --scenarios FILE.py is needed")
        return table_scenarios.make(name, loaded)
    sys.path.insert(0, str(module.parent.resolve()))
    spec = importlib.util.spec_from_file_location(module.stem, module)
    if spec is None or spec.loader is None:
        raise SystemExit(f"--scenarios {module}: is not a Python file")
    found = importlib.util.module_from_spec(spec)
    sys.modules[module.stem] = found
    spec.loader.exec_module(found)
    takes_tables = len(inspect.signature(found.make).parameters) > 1
    return found.make(name, loaded) if takes_tables and loaded is not None else found.make(name)


def summary(runs: Sequence[Mapping[str, Any]], *, budget: int) -> dict[str, Any]:
    """Return medians over seeds; a search that did not arrive counts as one more than allowed."""
    to_95 = [run["to_95"] or budget + 1 for run in runs]
    to_best = [run["to_best"] or budget + 1 for run in runs]
    covered = sum(run["covered"][0] for run in runs)
    intervals = sum(run["covered"][1] for run in runs)
    return {
        "median_to_95": float(np.median(to_95)),
        "worst": max(to_95),
        "median_to_best": float(np.median(to_best)),
        "worst_to_best": max(to_best),
        "coverage_80": covered / intervals if intervals else None,
        "ask_ms": 1e3 * float(np.mean([run["ask_s"] for run in runs])),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, help="NPZ file of the tables")
    parser.add_argument("--scenario", required=True, action="append", help="NAME or NAME:MODE")
    parser.add_argument("--scenarios", type=Path, help="Python file with make(name)")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--mode", choices=("pareto", "weighted"), default="pareto")
    parser.add_argument("--budget", type=int, default=BUDGET, help="trainings at most")
    parser.add_argument("--json", action="store_true", help="print the results and nothing else")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    targets, rows = [], []
    covered = np.zeros(2)
    for asked in arguments.scenario:
        name, _, own_mode = asked.partition(":")
        mode = own_mode or arguments.mode
        scenario = load_scenario(name, arguments.tables, arguments.scenarios)
        runs = []
        for seed in range(arguments.seeds):
            runs.append(one_search(scenario, seed=seed, mode=mode, budget=arguments.budget))
            if not arguments.json:
                print(json.dumps(runs[-1]), flush=True)
        result = {
            "scenario": name, "mode": mode, "seeds": arguments.seeds,
            "budget": arguments.budget, **summary(runs, budget=arguments.budget),
        }  # fmt: skip
        print(json.dumps(result), flush=True)
        rows.append({**result, "to 95%": " ".join(str(run["to_95"]) for run in runs)})
        covered += np.sum([run["covered"] for run in runs], axis=0)
        median = TARGETS.get((name, mode))
        if median is not None:
            what = f"trainings to 95% of the front, {name}, {mode}"
            targets += [
                count(f"{what}, median", result["median_to_95"], median),
                count(f"{what}, worst", result["worst"], WORST),
            ]
    if arguments.json:
        return 0
    if covered[1]:
        share, what = float(covered[0] / covered[1]), "80% intervals of predicted accuracy cover"
        targets += [Target(what, share, COVERAGE[0], True), Target(what, share, COVERAGE[1])]
    return report(targets, {"searches": rows})


if __name__ == "__main__":
    sys.exit(main())
