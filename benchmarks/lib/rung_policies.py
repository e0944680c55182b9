"""Ways to spend training time on candidates that were trained already: rungs, or none.

What a policy sees is what the trainings gave; time is predicted. Everything here chooses as
`hwkd.propose` does: its surrogate, its acquisition, per predicted second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.front_volume import volume
from hwkd.propose.acquisition import Box, Estimates, front_at, hypervolume_gain
from hwkd.propose.encoding import FloatArray, Rows
from hwkd.propose.surrogate import Surrogate, find_settings

__all__ = ["Networks", "compared", "predicted_from_low"]

_FIRST = 6
_DEVIATION_SHARE, _WHOLE_EVERY = 0.3, 3
_GROWTH = 1.1
_TOP_K_SHARE = 0.5

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Trained networks; n of them.

    Attributes:
        rows: encoded.
        latency: shape [n].
        limit: on the latency.
        worst: error above which nothing counts.
        full_s: predicted seconds of the whole brief training with what belongs to it, shape [n].
        low_s: of the lower rung, shape [n].
        rest_s: from there to the end, shape [n].
        low: what the lower rung tells, shape [n, features]; the error is the first column.
        full: error on validation at the end, shape [n].
        test: error on test at the end, shape [n].
    """

    rows: Rows
    latency: FloatArray
    limit: float
    worst: float
    full_s: FloatArray
    low_s: FloatArray
    rest_s: FloatArray
    low: FloatArray
    full: FloatArray
    test: FloatArray


@dataclass
class Spent:
    """What a policy has done so far.

    Attributes:
        seconds: spent.
        trained: indices, in order.
        at_s: seconds spent when each was ready.
        errors: of all networks, where they are trained; they choose the front.
    """

    seconds: float
    trained: list[int]
    at_s: list[float]
    errors: FloatArray

    def train(self, index: int, seconds: float) -> None:
        """Book a whole training."""
        self.seconds += seconds
        self.trained.append(index)
        self.at_s.append(self.seconds)


class _Model:
    """A surrogate whose settings are found again now and then."""

    def __init__(self, networks: Networks, seed: int) -> None:
        self._networks = networks
        self._seed = seed
        self._settings: tuple[FloatArray, ...] = ()
        self._found_at = 0

    def fit(self, seen: Sequence[int], values: FloatArray) -> Surrogate:
        rows = _taken(self._networks.rows, seen)
        if not self._settings or len(seen) >= self._found_at * _GROWTH:
            self._settings = find_settings(rows, values, seed=self._seed)
            self._found_at = len(seen)
        return Surrogate(rows, values[:, None], self._settings)


def _taken(rows: Rows, some: Sequence[int] | Indices) -> Rows:
    """Return some rows."""
    return rows.taken(np.asarray(some, dtype=int))


def compared(
    kinds: Mapping[str, Networks], *, budgets: Sequence[int], seeds: int, drawn: float = 1.0
) -> Iterator[dict[str, Any]]:
    """Play every policy; yields a row for each and each budget.

    Args:
        kinds: name of a kind of lower rung -> the networks with it; of the first one also with a
            lower rung that tells the result.
        budgets: in mean whole trainings.
        seeds: of the policies, and of what they may choose.
        drawn: share of the networks that a policy may choose.
    """
    first_name, first = next(iter(kinds.items()))
    kinds = {**kinds, f"perfect {first_name}": replace(first, low=first.full[:, None])}
    policies: dict[str, Callable[..., Spent]] = {"whole trainings": partial(without_rungs, first)}
    for name, some in kinds.items():
        policies[name] = partial(rungs, some, takes_turns=False)
        policies[f"{name} in turns"] = partial(rungs, some, takes_turns=True)
        policies[f"{name} alone"] = partial(rung_alone, some)
        policies[f"top k, {name}"] = partial(top_k, some)
    count, floor = len(first.full), float(np.quantile(1 - first.test, 0.4))
    shares: dict[tuple[str, int], list[float]] = {}
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        free = sorted(int(i) for i in random.choice(count, int(drawn * count), replace=False))
        for title, play in policies.items():
            for budget in budgets:
                until_s = budget * float(first.full_s.mean())
                spent = play(free, budget_s=until_s, seed=seed)
                score = share_of_front(first, spent, free, until_s, floor)
                shares.setdefault((title, budget), []).append(score)
    for (title, budget), reached in shares.items():
        gain = np.array(reached) - np.array(shares["whole trainings", budget])
        yield {
            "policy": title, "whole trainings": budget, "share": round(float(np.mean(reached)), 4),
            "gain": round(float(gain.mean()), 4),
            "standard error": round(float(gain.std(ddof=1)) / seeds**0.5, 4) if seeds > 1 else None,
            "better": int((gain > 0).sum()), "worse": int((gain < 0).sum()),
        }  # fmt: skip


def share_of_front(
    networks: Networks, spent: Spent, free: Sequence[int], until_s: float, floor: float
) -> float:
    """Return the share of the best possible front, by test, of what validation chose.

    Args:
        networks: the table.
        spent: by a policy.
        free: networks that it could choose.
        until_s: time that counts.
        floor: test accuracy that is worth nothing.
    """
    done = [i for i, at in zip(spent.trained, spent.at_s, strict=True) if at <= until_s]
    limits = np.array([networks.limit])
    front = [i for i in done if not _beaten(i, done, spent.errors, networks.latency)]

    def of(some: Sequence[int]) -> float:
        which = np.asarray(some, dtype=int)
        if not len(which):
            return 0.0
        return volume(networks.latency[which, None], 1 - networks.test[which], limits, floor)

    return of(front) / of(free)


def _beaten(index: int, among: Sequence[int], error: FloatArray, latency: FloatArray) -> bool:
    which = np.asarray([other for other in among if other != index], dtype=int)
    no_worse = (error[which] <= error[index]) & (latency[which] <= latency[index])
    better = (error[which] < error[index]) | (latency[which] < latency[index])
    return bool(np.any(no_worse & better))


def without_rungs(networks: Networks, free: Sequence[int], *, budget_s: float, seed: int) -> Spent:
    """Train each candidate whole, the most promising per second first."""
    spent = Spent(0.0, [], [], networks.full)
    _search(networks, free, networks.full_s, spent, budget_s, seed)
    return spent


def rung_alone(networks: Networks, free: Sequence[int], *, budget_s: float, seed: int) -> Spent:
    """Search on the lower rung for the whole time and believe it."""
    spent = Spent(0.0, [], [], networks.low[:, 0])
    _search(networks, free, networks.low_s, spent, budget_s, seed)
    return spent


def top_k(networks: Networks, free: Sequence[int], *, budget_s: float, seed: int) -> Spent:
    """Search on the lower rung for half of the time, then train its best front on, in layers."""
    low = Spent(0.0, [], [], networks.low[:, 0])
    _search(networks, free, networks.low_s, low, _TOP_K_SHARE * budget_s, seed)
    spent = Spent(low.seconds, [], [], networks.full)
    left = list(low.trained)
    while left and spent.seconds < budget_s:
        layer = [i for i in left if not _beaten(i, left, networks.low[:, 0], networks.latency)]
        for index in sorted(layer, key=lambda i: networks.low[i, 0]):
            spent.train(index, networks.rest_s[index])
            left.remove(index)
    return spent


def _search(
    networks: Networks,
    free: Sequence[int],
    seconds: FloatArray,
    spent: Spent,
    budget_s: float,
    seed: int,
) -> None:
    model, left = _Model(networks, seed), list(free)
    for index in _first(networks, left, seed):
        left.remove(index)
        spent.train(index, float(seconds[index]))
    while left and spent.seconds < budget_s:
        seen = spent.trained
        found = model.fit(seen, spent.errors[seen]).predict(_taken(networks.rows, left))
        known = np.c_[spent.errors[seen], networks.latency[seen]]
        gain = _gains(networks, known, left, found.mean, found.deviation, len(seen))
        index = left[int(np.argmax(gain / seconds[left]))]
        left.remove(index)
        spent.train(index, float(seconds[index]))


def rungs(
    networks: Networks, free: Sequence[int], *, budget_s: float, seed: int, takes_turns: bool
) -> Spent:
    """Begin new candidates and go on with begun ones, both by what the final error promises.

    What a lower rung says of the final error is learned by a regression from those that went on;
    a surrogate of those that were begun predicts the new ones.

    Args:
        networks: the table.
        free: networks that may be chosen.
        budget_s: ends it.
        seed: of the first candidates, and of the surrogate.
        takes_turns: both kinds get half of the time; otherwise the larger expected gain per second
            until the end decides, whichever kind it is.
    """
    spent, model = Spent(0.0, [], [], networks.full), _Model(networks, seed)
    begun, on_rungs_s = _first(networks, free, seed), 0.0
    for index in begun:
        on_rungs_s += float(networks.low_s[index])
    spent.seconds = on_rungs_s
    begun_ever = list(begun)
    left = [index for index in free if index not in set(begun)]
    # Some results are needed before any can be predicted: half of the first go on.
    for index in sorted(begun, key=lambda i: float(networks.low[i, 0]))[: _FIRST // 2]:
        begun.remove(index)
        spent.train(index, float(networks.rest_s[index]))
    while (left or begun) and spent.seconds < budget_s:
        done = spent.trained
        expected, deviation = predicted_from_low(networks.low, begun_ever, done, networks.full)
        expected[done] = networks.full[done]
        known = np.c_[networks.full[done], networks.latency[done]]
        best_new = best_begun = (-1.0, -1)
        if left:
            found = model.fit(begun_ever, expected[begun_ever]).predict(_taken(networks.rows, left))
            gain = _gains(networks, known, left, found.mean, found.deviation, len(begun_ever))
            gain /= networks.low_s[left] + (0.0 if takes_turns else networks.rest_s[left])
            best_new = float(gain.max()), left[int(np.argmax(gain))]
        if begun:
            wide = np.full(len(begun), deviation)
            gain = _gains(networks, known, begun, expected[begun], wide, len(done))
            gain /= networks.rest_s[begun]
            best_begun = float(gain.max()), begun[int(np.argmax(gain))]
        is_new = best_new > best_begun
        if takes_turns and left and begun:
            is_new = on_rungs_s < spent.seconds / 2
        if is_new:
            best = best_new[1]
            left.remove(best)
            begun.append(best)
            begun_ever.append(best)
            spent.seconds += float(networks.low_s[best])
            on_rungs_s += float(networks.low_s[best])
        else:
            begun.remove(best_begun[1])
            spent.train(best_begun[1], float(networks.rest_s[best_begun[1]]))
    return spent


def predicted_from_low(
    low: FloatArray, seen: Sequence[int], done: Sequence[int], full: FloatArray
) -> tuple[FloatArray, float]:
    """Predict final errors from the lower rung; shape [n], and the deviation of one.

    A ridge regression on standardised columns, judged on every network left out once.
    """
    mean, scale = low[seen].mean(0), low[seen].std(0) + 1e-9
    z = (low - mean) / scale
    x, y = z[done], full[done]
    inner = np.linalg.inv(x.T @ x + np.eye(x.shape[1]))
    weights = inner @ x.T @ (y - y.mean())
    left_out = (y - y.mean() - x @ weights) / (
        1 - 1 / len(y) - np.einsum("ij,jk,ik->i", x, inner, x)
    ).clip(0.05)
    found: FloatArray = y.mean() + z @ weights
    return found, float(np.sqrt(np.mean(left_out**2)) + 1e-6)


def _first(networks: Networks, free: Sequence[int], seed: int) -> list[int]:
    """Return the first candidates: big ones for their latency, of each stratum of it.

    As `hwkd.propose.recommender` has it; a random half of each stratum is looked at, for seeds to
    differ.
    """
    random = np.random.default_rng(seed)
    order = np.asarray(free)[np.argsort(networks.latency[list(free)])]
    size = networks.rows.features[:, :2].sum(1)
    found = []
    for part in np.array_split(order, _FIRST):
        seen = random.choice(part, (len(part) + 1) // 2, replace=False)
        found.append(int(seen[np.argmax(size[seen])]))
    return found


def _gains(
    networks: Networks,
    known: FloatArray,
    some: Sequence[int],
    mean: FloatArray,
    deviation: FloatArray,
    count: int,
) -> FloatArray:
    share = 1.0 if count % _WHOLE_EVERY == 0 else _DEVIATION_SHARE
    low = np.array([networks.latency.min()])
    box = Box.spanning(low, np.array([networks.limit]), worst=networks.worst)
    front, _ = front_at(box, known)
    zeros = np.zeros(len(mean))
    estimates = Estimates(
        np.c_[mean, networks.latency[list(some)]], np.c_[share * deviation, zeros]
    )
    gain = hypervolume_gain(box, front, estimates)
    return gain if gain.max() > 0 else deviation * 1e-300
