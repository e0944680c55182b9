"""Search problems on public tables of trained networks: spaces, exact costs, limits, accuracies.

The tables are one NPZ file that the user has: NAS-Bench-201 (every cell of six operations, its
accuracy over seeds and its latency on boards, HW-NAS-Bench) and NAS-Bench-Macro (every network of
eight layers). A problem is what `make(name, tables)` returns; another module with such a function
can stand in for this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from benchmarks.search.front_volume import volume

CELL_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
LAYER_OPERATIONS = ("identity", "mbconv_k3_e3", "mbconv_k5_e6")
# Edges of the cell of NAS-Bench-201 between its four nodes, in the order of its operations.
_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
_STAGES = (slice(0, 2), slice(2, 5), slice(5, 8))  # of NAS-Bench-Macro
_BROKEN_LATENCY_MS = 0.05  # rows of the boards' tables below this were not measured


@dataclass(frozen=True)
class Table:
    """One space; a row is a network.

    Attributes:
        name: of the space.
        names: of the choices.
        choices: values of each.
        params: shape [n, choices], indices into `choices`.
        costs: shape [n, costs], exact, smaller is better, latency first.
        mean: shape [n], accuracy over seeds, percent.
        obs: shape [n, seeds], accuracy of one training, percent.
        key: shape [n], equal for networks that are run alike.
        graph: shape [n, features], what arithmetic on the graph gives; the first two are the
            logarithms of operations and of weights, the others have a meaning in this space only.
    """

    name: str
    names: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    params: np.ndarray
    costs: np.ndarray
    mean: np.ndarray
    obs: np.ndarray
    key: np.ndarray
    graph: np.ndarray

    @cached_property
    def index(self) -> dict[tuple[int, ...], int]:
        """Choices -> row."""
        return {tuple(row): number for number, row in enumerate(self.params.tolist())}


@dataclass(frozen=True)
class Scenario:
    """A search problem and its answer.

    Attributes:
        problem_tables: the spaces.
        limits: one per cost; all must be kept.
        floor: accuracy below which a network is worth nothing, percent.
        objectives: so many of the first costs are objectives beside the accuracy.
        full_hv: hypervolume of the true front.
    """

    problem_tables: Mapping[str, Table]
    limits: np.ndarray
    floor: float
    objectives: int
    full_hv: float


def make(name: str, tables: Mapping[str, np.ndarray]) -> Scenario:
    """Return a scenario by name.

    Raises:
        ValueError: if there is none of that name.
    """
    if name == "pi5tight":
        table = _cells(tables, "pi5-onnx", live_only=True)
        return _scenario({"nb201": table}, [_share(table, 0.20), 0.45], floor=40.0)
    if name == "raspi4":
        table = _cells(tables, "raspi4", live_only=False)
        return _scenario({"nb201": table}, [_share(table, 0.35), 0.6], floor=40.0)
    if name == "macro":
        table = _networks(tables)
        return _scenario({"macro": table}, [_share(table, 0.35), np.inf], floor=None)
    if name == "three":
        table = _cells(tables, "pi5-onnx", live_only=True)
        limits = [_share(table, 0.35), 0.6]
        return _scenario({"nb201": table}, limits, floor=40.0, objectives=2)
    if name == "join2":
        # Two spaces on one scale of latency, in shares of their limits, and one of accuracy.
        cells, networks = _cells(tables, "pi5-onnx", live_only=True), _networks(tables)
        low, high = cells.mean.min(), cells.mean.max()
        cells = replace(
            _rescaled(cells),
            mean=70 + 22 * (cells.mean - low) / (high - low),
            obs=70 + 22 * (cells.obs - low) / (high - low),
        )
        spaces = {"cell": cells, "mbconv": _rescaled(networks)}
        return _scenario(spaces, [1.0, np.inf], floor=80.0)
    raise ValueError(f"no scenario {name!r}; there are pi5tight, raspi4, macro, three, join2")


def _scenario(
    spaces: Mapping[str, Table], limits: list[float], *, floor: float | None, objectives: int = 1
) -> Scenario:
    bound = np.asarray(limits, float)
    fits = {name: np.all(table.costs <= bound, axis=1) for name, table in spaces.items()}
    accuracy = np.concatenate([table.mean[fits[name]] for name, table in spaces.items()])
    costs = np.concatenate([table.costs[fits[name]] for name, table in spaces.items()])
    worst = float(np.quantile(accuracy, 0.05)) if floor is None else floor
    full = volume(costs[:, :objectives], accuracy, bound[:objectives], worst)
    return Scenario(spaces, bound, worst, objectives, full)


def _share(table: Table, share: float) -> float:
    return float(np.quantile(table.costs[:, 0], share))


def _rescaled(table: Table) -> Table:
    costs = table.costs.copy()
    costs[:, 0] /= _share(table, 0.35)
    return replace(table, costs=costs)


def _cells(tables: Mapping[str, np.ndarray], board: str, *, live_only: bool) -> Table:
    operations = tables["nb201_ops"].astype(int)
    latency = tables[f"nb201_lat_{board}"].astype(float)
    latency[latency < _BROKEN_LATENCY_MS] = np.median(latency)
    trained = tables["nb201_cifar100_acc"].astype(float)
    mean = np.nanmean(trained, axis=1)
    weights = tables["nb201_cifar100_params_m"].astype(float)
    live = _live(operations)
    counts = np.stack([(live == kind).sum(1) for kind in range(1, 5)], axis=1).astype(float)
    depth, paths = np.zeros(len(live)), np.zeros(len(live))
    weight_of = np.array([0.0, 0.0, 1.0, 1.0, 0.5])
    for path in _PATHS:
        whole = np.all(live[:, path] > 0, axis=1)
        paths += whole
        depth = np.maximum(depth, np.where(whole, weight_of[live[:, path]].sum(1), 0.0))
    operations_count = 9 * counts[:, 2] + counts[:, 1]
    return Table(
        name="nb201",
        names=tuple(f"op{edge}" for edge in range(6)),
        choices=(CELL_OPERATIONS,) * 6,
        params=operations,
        costs=np.c_[latency, weights],
        mean=mean,
        obs=np.where(np.isnan(trained), mean[:, None], trained),
        key=(live if live_only else operations) @ 5 ** np.arange(6),
        graph=np.c_[
            np.log(operations_count + 1), np.log(weights), depth, paths, counts, live[:, 3] == 1
        ],
    )


def _live(operations: np.ndarray) -> np.ndarray:
    """Return the operations on some path from input to output; a runtime drops the others."""
    live = np.zeros_like(operations)
    for path in _PATHS:
        whole = np.all(operations[:, path] > 0, axis=1)
        for edge in path:
            live[whole, edge] = operations[whole, edge]
    return live


def _networks(tables: Mapping[str, np.ndarray]) -> Table:
    operations = tables["macro_ops"].astype(int)
    used = operations > 0
    accuracy = tables["macro_acc"].astype(float)
    blocks = np.stack([used[:, stage].sum(1) for stage in _STAGES], axis=1)
    return Table(
        name="macro",
        names=tuple(f"layer{index}" for index in range(8)),
        choices=(LAYER_OPERATIONS,) * 8,
        params=operations,
        costs=np.c_[tables["macro_flops"] / 1e6, tables["macro_params"] / 1e6],
        mean=accuracy.mean(1),
        obs=accuracy,
        key=np.arange(len(operations)),
        graph=np.c_[
            np.log(tables["macro_flops"]), np.log(tables["macro_params"]),
            used.sum(1), blocks, (operations == 2).sum(1),
        ],
    )  # fmt: skip
