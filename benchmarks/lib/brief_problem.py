"""Small searches on real data, whose candidates train in seconds: error against latency."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy import recipes
from hwkd.core.progress import silent
from hwkd.core.student import Layers, StudentSpec
from hwkd.cost.graph import build_graph
from hwkd.cost.training_time import predicted_training_s
from hwkd.engine.search.proposers.surrogate import search_problem
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.context import SearchContext, make_context
from hwkd.engine.setup.prepare import prepare_data
from hwkd.io.discovery import registered_spaces
from hwkd.propose.candidates import Screened, ScreenedTrace
from hwkd.propose.problem import Problem
from hwkd.propose.traces import Trace

__all__ = ["SETS", "SmallSearch", "small_search"]

# Most examples that are trained on, and the limit on the latency on a Cortex-M4.
SETS = {"digits": (2000, 0.002), "fashion": (2000, 0.020)}


@dataclass(frozen=True, kw_only=True)
class SmallSearch:
    """A search on real data.

    Attributes:
        context: of the product's own search over all spaces.
        problem: the same with two objectives, error and estimated latency, and no references.
        data: with test split.
    """

    context: SearchContext
    problem: Problem[StudentSpec | None]
    data: recipes.Sets

    def layers(self, candidate: ScreenedTrace) -> Layers:
        """Return the network of a candidate that fits."""
        made = candidate.trace.made
        assert isinstance(made, StudentSpec)
        return self.context.screen.layers(made)

    def epoch_s(self, layers: Layers, *, batch_size: int) -> float:
        """Return the predicted seconds of one epoch."""
        samples = len(self.context.data.train.labels)
        return predicted_training_s(
            build_graph(layers), samples_seen=samples, batch_size=batch_size
        )


def small_search(name: str, folder: Path) -> SmallSearch:
    """Return the search of one of `SETS`.

    Args:
        name: of the set.
        folder: with the IDX files of Fashion-MNIST.
    """
    most, latency_s = SETS[name]
    sets = recipes.digits() if name == "digits" else recipes.fashion(folder)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "data.npz"
        np.savez(
            file,
            x_train=sets.train.inputs[:most], y_train=sets.train.labels[:most],
            x_val=sets.validation.inputs, y_val=sets.validation.labels,
            x_test=sets.test.inputs, y_test=sets.test.labels,
        )  # fmt: skip
        config = SearchConfig.checked(
            {
                "device": "cortex-m4",
                "data": str(file),
                "spaces": registered_spaces(),
                "trials": 1000,
                "limits": {"latency_s": latency_s, "ram_bytes": 65536},
                "objective": {"mode": "pareto"},
                "training": {"brief_epochs": 10},
                "distill": [{"method": "none"}],
            },
            where=name,
        )
        prepared = prepare_data(config, progress=silent)
        context = make_context(prepared.config, prepared.task, prepared.transfer, None)
    whole = search_problem(context)

    def screen(trace: Trace[StudentSpec | None]) -> Screened:
        screened = whole.screen(trace)
        return replace(screened, exact=screened.exact[:2])

    problem = replace(
        whole, screen=screen, objectives=2, limits=(whole.limits[0], latency_s), references=(),
        outputs=0,
    )  # fmt: skip
    return SmallSearch(context=context, problem=problem, data=sets)
