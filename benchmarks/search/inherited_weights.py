"""What inherited weights are worth: a child by one mutation, trained from them or from scratch.

usage: nice python -m benchmarks.search.inherited_weights --table ROWS --rows FILE
           [--sets fashion] [--pairs 15]

ROWS is the table of `benchmarks.search.fidelity`, whose best networks are the parents. A child is
one of their mutations that fits; it takes what `benchmarks.lib.inherit` copies, with statistics of
normalisation estimated anew, and is trained for 2 and 5 epochs by the product's recipe, from there
and from scratch; for 5 also at three tenths of the rate. What counts is a training from scratch of
10 epochs, twice: how far a shorter one lies from it, how much that varies, and how both correlate.
"""

from __future__ import annotations

import argparse
import copy
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy.recipes import FASHION
from benchmarks.lib.brief_curves import Judge, brief_config, planned, train
from benchmarks.lib.brief_problem import SETS, SmallSearch, small_search
from benchmarks.lib.finished_rows import FinishedRows
from benchmarks.lib.inherit import inherit
from benchmarks.lib.verdict import report
from benchmarks.search.fidelity import EPOCHS, PEAK_RATIO, RUNG
from hwkd.core.student import Layers
from hwkd.nn.build import StudentModule, build_module
from hwkd.propose.candidates import ScreenedTrace, Screening
from hwkd.propose.traces import mutate, run
from hwkd.train.averaging import set_statistics

LENGTHS = (2, 5)
LOWER_RATE = 0.3


def pairs(
    search: SmallSearch, table: list[dict[str, Any]], count: int
) -> list[tuple[ScreenedTrace, ScreenedTrace]]:
    """Return good networks of a table, two children each by one mutation."""
    screening = Screening(search.problem.screen)
    ranked = sorted(table, key=lambda row: _layer_of(row, table))
    found, random = [], Random(0)
    for row in ranked:
        parent = screening(run(search.problem.suggest, row["params"], random))
        known = {parent.screened.key}
        for _ in range(40):
            child = screening(mutate(search.problem.suggest, parent.trace, random))
            if child.screened.is_feasible and child.screened.key not in known:
                known.add(child.screened.key)
                found.append((parent, child))
            if len(known) == 4 or len(found) == count:
                break
        if len(found) == count:
            break
    return found


def _layer_of(row: dict[str, Any], table: list[dict[str, Any]]) -> int:
    """Return by how many a network is dominated."""

    def values(r: dict[str, Any]) -> tuple[float, float]:
        return r["planned"][str(EPOCHS)]["int8"], r["latency_s"]

    mine = values(row)
    return sum(
        all(a <= b for a, b in zip(values(o), mine, strict=True)) and values(o) != mine
        for o in table
    )


def trained(
    search: SmallSearch,
    judge: Judge,
    layers: Layers,
    epochs: int,
    *,
    start: StudentModule | None = None,
    rate_ratio: float = 1.0,
    repetition: int = 0,
) -> tuple[dict[str, float], StudentModule]:
    """Train once; returns the scores and the network."""
    config = brief_config(search.context, layers, epochs)
    config = replace(
        config, seed=config.seed + repetition, learning_rate=config.learning_rate * rate_ratio
    )
    found: list[Any] = []

    def mark(module: StudentModule, losses: list[float]) -> None:
        del losses
        found.extend((judge(module, layers, on_test=epochs > 2), module))

    train(layers, search.context, config, planned(config), marks={epochs: mark}, start=start)
    return found[0], found[1]


def pair_row(
    search: SmallSearch, judge: Judge, parent: StudentModule, child: Layers
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    config = brief_config(search.context, child, EPOCHS)
    begun = build_module(child, seed=config.seed)
    row["share"] = inherit(begun, parent)
    set_statistics(begun, search.context.labelled.batches.stream(config).plain(16))
    row["untrained"] = judge(copy.deepcopy(begun), child, on_test=False)
    for epochs in LENGTHS:
        row[f"scratch {epochs}"] = trained(search, judge, child, epochs)[0]
        row[f"inherited {epochs}"] = trained(
            search, judge, child, epochs, start=copy.deepcopy(begun)
        )[0]
    longest = max(LENGTHS)
    row[f"inherited slowly {longest}"] = trained(
        search, judge, child, longest, start=copy.deepcopy(begun), rate_ratio=LOWER_RATE
    )[0]
    row[f"scratch {EPOCHS}"] = trained(search, judge, child, EPOCHS)[0]
    row["scratch again"] = trained(search, judge, child, EPOCHS, repetition=1)[0]
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=FASHION, help="IDX files of Fashion-MNIST")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--rows", type=Path, help="file that keeps finished trainings")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--pairs", type=int, default=24)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = FinishedRows(arguments.table, {"epochs": EPOCHS, "rung": RUNG, "peak": PEAK_RATIO})
    rows = FinishedRows(arguments.rows, {"epochs": EPOCHS, "slower": LOWER_RATE})
    for name in arguments.sets:
        search = small_search(name, arguments.data)
        zeros = np.zeros((len(search.context.data.validation.labels), 10), np.float32)
        judge = Judge(context=search.context, teacher_logits=zeros)
        known = [row for row in table.all() if row.get("set") == name]
        last: tuple[str, StudentModule] | None = None
        for parent, child in pairs(search, known, arguments.pairs):
            layers = search.layers(parent)
            of_child = search.layers(child)
            label = f"{name} {layers.key} {of_child.key}"
            if rows.find(label) is None:
                if last is None or last[0] != layers.key:
                    last = (layers.key, trained(search, judge, layers, EPOCHS)[1])
                row = pair_row(search, judge, last[1], of_child)
                rows.add(label, {"set": name, "space": str(child.trace.params["space"]), **row})
                print(
                    label,
                    {k: v["int8"] if isinstance(v, dict) else v for k, v in row.items()},
                    flush=True,
                )
    return report([], {"trainings": told(list(rows.all()))}) if rows.all() else 0


def told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print and return how each training compares with the long one from scratch."""
    truth = np.array(
        [(r[f"scratch {EPOCHS}"]["int8"] + r["scratch again"]["int8"]) / 2 for r in rows]
    )
    found = []
    for kind in ("scratch 2", "inherited 2", "scratch 5", "inherited 5", "inherited slowly 5"):
        error = np.array([r[kind]["int8"] for r in rows])
        found.append({
            "training": kind, "pairs": len(rows), "error": float(error.mean()),
            "above the long one": float((error - truth).mean()),
            "deviation": float((error - truth).std(ddof=1)),
            "correlation": float(np.corrcoef(error, truth)[0, 1]),
        })  # fmt: skip
        print(found[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
