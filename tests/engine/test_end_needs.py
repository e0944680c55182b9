"""What the end of a search needs, by what its candidates took: closed forms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from support.made_records import completed

from hwkd.core.errors import ConfigError
from hwkd.core.objective import ObjectiveConfig
from hwkd.engine.search.end_needs import fresh_s, further_s, least_end_s
from hwkd.engine.search.resume import require_time_to_end
from hwkd.engine.setup.time_plan import TimeLimit

GOAL = ObjectiveConfig(mode="weighted", alpha=1.0, beta=0.0, gamma=0.0, target_latency_s=1.0)


def candidate(number, *, training_s, scoring_s, error=0.1):
    taken = {"training_s": training_s, "duration_s": training_s + scoring_s}
    return completed(number, error=error).model_copy(update=taken)


def test_judging_counts_beside_the_training_the_first_time_as_it_took():
    ranked = [candidate(1, training_s=50.0, scoring_s=2.0)]
    ranked += [candidate(0, training_s=90.0, scoring_s=20.0)]  # the first of its process
    judging_s = 2 * 20.0 + 5 * 2.0
    assert fresh_s(ranked) == pytest.approx(1.2 * 50.0 + judging_s)
    assert further_s(ranked) == pytest.approx(0.1 * 50.0 + judging_s)
    assert least_end_s(ranked, has_scheme=False) == further_s(ranked)
    assert least_end_s(ranked, has_scheme=True) == fresh_s(ranked)


def test_an_end_done_again_that_cannot_better_anything_is_refused_by_the_records_alone():
    records = [candidate(0, training_s=9.0, scoring_s=38.0)]
    store: Any = SimpleNamespace(trials=SimpleNamespace(records=lambda: records))
    run: Any = SimpleNamespace(objective=GOAL)
    config: Any = SimpleNamespace(scheme=None, verify_best=False)
    limit = TimeLimit(100.0, 0.0, clock=lambda: 20.0)
    with pytest.raises(ConfigError, match=r"better what the folder holds \(134 s\).* at least"):
        require_time_to_end(store, run, config, limit)
    require_time_to_end(store, run, config, TimeLimit(160.0, 0.0, clock=lambda: 20.0))
