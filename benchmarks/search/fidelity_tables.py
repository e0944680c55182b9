"""Lower rungs on public tables, which hold none: made ones, as good as those that were measured.

usage: nice python -m benchmarks.search.fidelity_tables --tables FILE [--scenarios pi5tight macro]
           [--networks 1500] [--seeds 10] [--noise 1.0]

`benchmarks.search.fidelity` measures what a lower rung tells of small networks on real data, but
its table is small, so that a search soon has tried much of it. Here the tables of
`benchmarks.speed.search_tables` are searched by the same policies, of as many random networks as
asked for. The lower rung is the final error plus normal noise: of `--noise` times the deviation of
the errors in the better half of the networks, and growing with the distance from the best. With
1.0 the rank correlation comes to about 0.7 in the better half, 0.9 in all, as measured.
A rung costs a fifth of the training; time grows with the operations of a network, plus a tenth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from benchmarks.lib.rung_policies import Networks, compared
from benchmarks.lib.verdict import report
from benchmarks.speed.table_scenarios import Scenario, make
from hwkd.propose.encoding import FloatArray, Rows

_RUNG, _BESIDE, _BESIDE_RUNG = 0.2, 0.1, 0.02
_BUDGETS = (10, 20, 30)
_TAIL = 0.3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True, help="NPZ file of the tables")
    parser.add_argument("--scenarios", nargs="+", default=["pi5tight", "macro"])
    parser.add_argument("--networks", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--noise", type=float, nargs="+", default=[1.0])
    arguments = parser.parse_args()
    tables = dict(np.load(arguments.tables))
    found: list[dict[str, Any]] = []
    with threadpool_limits(1):
        for name in arguments.scenarios:
            for noise in arguments.noise:
                some = networks(make(name, tables), arguments.networks, noise)
                for row in compared({"rungs": some}, budgets=_BUDGETS, seeds=arguments.seeds):
                    found.append({"scenario": name, "noise": noise, **row})
                    print(found[-1], flush=True)
    return report([], {"share of the front": found})


def networks(scenario: Scenario, count: int, noise: float) -> Networks:
    """Return random networks of a scenario with one space, with a made lower rung."""
    (table,) = scenario.problem_tables.values()
    random = np.random.default_rng(0)
    fits = np.flatnonzero(np.all(table.costs <= scenario.limits, axis=1))
    fits = fits[np.unique(table.key[fits], return_index=True)[1]]
    some = np.sort(random.choice(fits, min(count, len(fits)), replace=False))
    full, test = 1 - table.obs[some, 0] / 100, 1 - table.mean[some] / 100
    middle = np.median(full)
    better = full <= middle
    wide = noise * full[better].std() + _TAIL * noise * np.maximum(full - middle, 0)
    low = full + wide * random.normal(size=len(some))
    print(
        f"{len(some)} networks; rank correlation {spearmanr(low, full)[0]:.2f}, "
        f"in the better half {spearmanr(low[better], full[better])[0]:.2f}"
    )
    seconds = np.exp(table.graph[some, 0])
    seconds = seconds / seconds.mean()
    return Networks(
        rows=_rows(table.params[some], [len(c) for c in table.choices], table.graph[some]),
        latency=table.costs[some, 0],
        limit=float(scenario.limits[0]),
        worst=1 - scenario.floor / 100,
        full_s=seconds + _BESIDE,
        low_s=_RUNG * seconds + _BESIDE_RUNG,
        rest_s=(1 - _RUNG) * seconds + _BESIDE,
        low=np.c_[low, table.graph[some, 0]],
        full=full,
        test=test,
    )


def _rows(params: FloatArray, sizes: Sequence[int], features: FloatArray) -> Rows:
    """Encode as `hwkd.propose.encoding` does: two different values are one apart."""
    bits = [np.eye(size)[params[:, column]] * 0.5**0.5 for column, size in enumerate(sizes)]
    scaled = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    ones = np.ones(len(params))
    return Rows(0.0 * ones, len(sizes) * ones, np.hstack(bits), scaled, np.empty((len(params), 0)))


if __name__ == "__main__":
    sys.exit(main())
