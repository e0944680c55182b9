"""Whether a lower rung of training finds better networks in the same predicted time.

usage: nice python -m benchmarks.search.fidelity --rows FILE [--sets fashion digits]
           [--searches 4] [--asks 18] [--seeds 20]

First a table: searches by the product's proposer over all its spaces on 2,000 pictures of
Fashion-MNIST and on scikit-learn's digits (a Cortex-M4 with 20 and 2 ms) train whole, 10 epochs by
the product's recipe without a teacher. Each network is judged on the way, too: after 2 of the 10
epochs, with the average of its weights ("paused"), by a training that is planned for 2 epochs
("short"), and, a third of the first 36, by a training at a constant rate that falls at the end
("constant"). What a lower rung tells is the error of the int8 file on validation, the training
loss, its slope, the divergence from a teacher, and the multiply-accumulates.

Then ways to spend time are played on that table, each seed with a random eighty percent of it:
whole trainings alone; rungs (begun and new candidates by one acquisition); rungs in turns (half of
the time each for beginning and for going on); the rung alone, believed; and "top k": half of the
time for the lower rung, then its front goes on, layer by layer. "perfect" is a lower rung that
knows the result. All seeds share the table, so its own luck is in no standard error. Time
is predicted, by `hwkd.cost.training_time`; a whole training also takes a tenth of the mean one for
export and scoring, a lower rung a fifth of that. The score is the part of the best possible
front's hypervolume, on the test set, that the front on validation reaches.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from benchmarks.accuracy.recipes import FASHION, train_teacher
from benchmarks.lib.brief_curves import (
    DECAY_SHARE,
    Judge,
    brief_config,
    constant_then_down,
    planned,
    train,
)
from benchmarks.lib.brief_problem import SETS, SmallSearch, small_search
from benchmarks.lib.finished_rows import FinishedRows
from benchmarks.lib.rung_policies import (
    Networks,
    compared,
    predicted_from_low,
)
from benchmarks.lib.verdict import report
from hwkd.nn.build import StudentModule
from hwkd.propose.candidates import ScreenedTrace, Screening
from hwkd.propose.encoding import Encoder, FloatArray, Rows
from hwkd.propose.observations import Observations
from hwkd.propose.problem import Observation
from hwkd.propose.recommender import Recommender
from hwkd.propose.traces import run
from hwkd.train.loop import predict_logits

EPOCHS, RUNG = 10, 2
PEAK_RATIO = 0.5  # of the constant rate to the peak of the product's schedule
SETTINGS = {"epochs": EPOCHS, "rung": RUNG, "peak": PEAK_RATIO}
_TEACHER_EPOCHS = 10
_CONSTANT_EVERY, _MOST_CONSTANT = 3, 36
_BESIDE, _BESIDE_RUNG = 0.1, 0.02
_BUDGETS = (8, 14, 20)  # in mean whole trainings
_DRAWN = 0.8
# What a lower rung is called in tables -> in rows.
RUNGS = {"rungs": "planned", "rungs that begin again": "short"}

Row = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=FASHION, help="IDX files of Fashion-MNIST")
    parser.add_argument("--rows", type=Path, help="file that keeps finished trainings")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--searches", type=int, default=4)
    parser.add_argument("--asks", type=int, default=18)
    parser.add_argument("--seeds", type=int, default=20, help="0 trains the table alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = FinishedRows(arguments.rows, SETTINGS)
    told: list[Row] = []
    scores: list[Row] = []
    for name in arguments.sets:
        search = small_search(name, arguments.data)
        collect(name, search, rows, searches=arguments.searches, asks=arguments.asks)
        if arguments.seeds:
            with threadpool_limits(1):
                table = [row for row in rows.all() if row.get("set") == name]
                told += what_rungs_tell(name, search, table)
                played = {rung: networks(search, table, kind) for rung, kind in RUNGS.items()}
                for row in compared(played, budgets=_BUDGETS, seeds=arguments.seeds, drawn=_DRAWN):
                    scores.append({"set": name, **row})
                    print(scores[-1], flush=True)
    return report([], {"what a rung tells": told, "share of the front": scores})


def collect(
    name: str, search: SmallSearch, rows: FinishedRows, *, searches: int, asks: int
) -> None:
    """Train what the product's proposer asks for in some searches, each network once."""
    judge = Judge(context=search.context, teacher_logits=_teacher_logits(name, search, rows))
    for seed in range(searches):
        recommender, history = Recommender(search.problem, seed=seed), Observations(2)
        for turn in range(asks):
            with threadpool_limits(1):
                chosen = recommender.recommend(history, turn=turn)
            assert chosen is not None
            candidate = ScreenedTrace(chosen.trace, chosen.screened)
            row = _found_or_trained(name, search, judge, candidate, rows)
            error = row["planned"][str(EPOCHS)]["int8"]
            observation = Observation(
                number=turn,
                params=chosen.trace.params,
                key=chosen.screened.key,
                values=(error, row["latency_s"]),
            )
            history.add(observation)
            print(name, seed, turn, chosen.origin, row["space"], f"{error:.4f}", flush=True)


def _teacher_logits(name: str, search: SmallSearch, rows: FinishedRows) -> NDArray[np.float32]:
    label = f"{name} teacher"
    row = rows.find(label)
    if row is None:
        teacher = train_teacher(search.data, _TEACHER_EPOCHS)
        logits = predict_logits(teacher, torch.from_numpy(search.data.validation.inputs))
        row = {"logits": np.round(logits.numpy().astype(float), 4).tolist()}
        rows.add(label, row)
    return np.array(row["logits"], dtype=np.float32)


def _found_or_trained(
    name: str, search: SmallSearch, judge: Judge, candidate: ScreenedTrace, rows: FinishedRows
) -> Row:
    label = f"{name} {search.layers(candidate).key}"
    row = rows.find(label)
    if row is None:
        count = sum(one.get("set") == name for one in rows.all())
        row = {
            **_trained(search, judge, candidate, at_constant_rate=_is_third(count)),
            "set": name,
        }
        rows.add(label, row)
    return row


def _is_third(count: int) -> bool:
    return count < _MOST_CONSTANT and count % _CONSTANT_EVERY == 0


def _trained(
    search: SmallSearch, judge: Judge, candidate: ScreenedTrace, *, at_constant_rate: bool
) -> Row:
    context, layers = search.context, search.layers(candidate)
    config, short = (brief_config(context, layers, epochs) for epochs in (EPOCHS, RUNG))
    row: Row = {
        "space": str(candidate.trace.params["space"]),
        "params": dict(candidate.trace.params),
        "epoch_s": search.epoch_s(layers, batch_size=config.batch_size),
        "latency_s": candidate.screened.exact[1],
        "planned": {},
        "short": {},
    }

    def marks(
        into: Row, *epochs: int
    ) -> Mapping[int, Callable[[StudentModule, list[float]], None]]:
        def at(epoch: int) -> Callable[[StudentModule, list[float]], None]:
            def mark(module: StudentModule, losses: list[float]) -> None:
                scores = judge(module, layers, on_test=epoch == EPOCHS)
                into[str(epoch)] = {**scores, "losses": losses}

            return mark

        return {epoch: at(epoch) for epoch in epochs}

    train(layers, context, config, planned(config), marks=marks(row["planned"], RUNG, EPOCHS))
    train(layers, context, short, planned(short), marks=marks(row["short"], RUNG))
    if at_constant_rate:
        row["continued"] = {}
        rate = constant_then_down(config, down_from=1 - DECAY_SHARE, peak_ratio=PEAK_RATIO)
        train(layers, context, config, rate, marks=marks(row["continued"], RUNG, EPOCHS))
    return row


def _encoded(search: SmallSearch, table: Sequence[Row]) -> tuple[Rows, FloatArray]:
    """Return the table's networks as the surrogate sees them, and the logarithm of their MACs."""
    screening = Screening(search.problem.screen)
    found = [screening(run(search.problem.suggest, row["params"], Random(0))) for row in table]
    log_macs = np.array([candidate.screened.features[0] for candidate in found])
    return Encoder(found, search.problem.group).rows(found), log_macs


def _low(table: Sequence[Row], kind: str, log_macs: FloatArray) -> FloatArray:
    """Return what the lower rung tells; the error comes first."""
    marks = [row[kind][str(RUNG)] for row in table]
    return np.array(
        [
            (m["int8"], m["losses"][-1], m["losses"][-2] - m["losses"][-1], m["divergence"], macs)
            for m, macs in zip(marks, log_macs, strict=True)
        ]
    )


def _at_end(table: Sequence[Row], what: str, kind: str = "planned") -> FloatArray:
    return np.array([row[kind][str(EPOCHS)][what] for row in table])


def what_rungs_tell(name: str, search: SmallSearch, table: Sequence[Row]) -> list[Row]:
    """Print and return how well each lower rung orders and predicts the final errors."""
    _, log_macs = _encoded(search, table)
    full = _at_end(table, "int8")
    better_half = full <= np.median(full)
    found = []
    for title, kind in RUNGS.items():
        low = _low(table, kind, log_macs)
        everyone = list(range(len(table)))
        deviations = [
            predicted_from_low(low[:, columns], everyone, everyone, full)[1]
            for columns in ([0], [0, 1, 2, 3, 4])
        ]
        found.append({
            "set": name, "rung": title, "networks": len(table),
            "rank correlation": float(spearmanr(low[:, 0], full)[0]),
            "in the better half": float(spearmanr(low[better_half, 0], full[better_half])[0]),
            "left-out deviation, error alone": deviations[0],
            "with loss, slope, divergence, MACs": deviations[1],
            "deviation of all": float(full.std()),
        })  # fmt: skip
    both = [row for row in table if "continued" in row]
    worse = _at_end(both, "test", "continued") - _at_end(both, "test")
    found.append({
        "set": name, "rung": "constant", "networks": len(both),
        "test error at the end against the planned schedule": float(worse.mean()),
        "standard error": float(worse.std(ddof=1) / len(both) ** 0.5),
    })  # fmt: skip
    for row in found:
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    return found


def networks(search: SmallSearch, table: Sequence[Row], kind: str) -> Networks:
    """Return a table for policies.

    Args:
        search: it is of.
        table: rows.
        kind: of the lower rung: "planned" goes on from there, "short" begins again.
    """
    rows, log_macs = _encoded(search, table)
    epoch_s = np.array([row["epoch_s"] for row in table])
    mean_s = EPOCHS * float(epoch_s.mean())
    full = _at_end(table, "int8")
    worst, limit = search.problem.limits
    assert worst is not None and limit is not None
    left = EPOCHS - RUNG if kind == "planned" else EPOCHS
    return Networks(
        rows=rows,
        latency=np.array([row["latency_s"] for row in table]),
        limit=limit,
        worst=worst,
        full_s=EPOCHS * epoch_s + _BESIDE * mean_s,
        low_s=RUNG * epoch_s + _BESIDE_RUNG * mean_s,
        rest_s=left * epoch_s + _BESIDE * mean_s,
        low=_low(table, kind, log_macs),
        full=full,
        test=_at_end(table, "test"),
    )


if __name__ == "__main__":
    sys.exit(main())
