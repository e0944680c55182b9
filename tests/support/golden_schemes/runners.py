"""What runners of golden cases share, and the table of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from hwkd.core.catalog import SCHEMES
from hwkd.distill.scheme import Edge, edge_terms
from hwkd.io.discovery import discover
from support.golden_losses import Options

Found: TypeAlias = tuple[Tensor | None, dict[str, Any]]
Runner: TypeAlias = Callable[[Mapping[str, Tensor], Options], Found]
RUNNERS: dict[str, Runner] = {}


def runs(method: str) -> Callable[[Runner], Runner]:
    """File a runner under the name of a golden method."""

    def file(runner: Runner) -> Runner:
        RUNNERS[method] = runner
        return runner

    return file


def runner_of(method: str) -> Runner:
    """Return the runner of a method; one without fails."""
    assert method in RUNNERS, f"no function of ours is mapped to method {method!r}"
    return RUNNERS[method]


def scheme(name: str, **options: Any) -> Any:
    discover("hwkd.distill.schemes")
    return SCHEMES.get(name)(**options)


def total(edges: tuple[Edge, ...], signals: Mapping[str, Tensor], y: Tensor) -> Tensor:
    return torch.stack(list(edge_terms(edges, signals, y).values())).sum()


def numbered(inputs: Mapping[str, Tensor], beginning: str) -> list[Tensor]:
    """Return `beginning0`, `beginning1`, ... in order."""
    found: list[Tensor] = []
    while f"{beginning}{len(found)}" in inputs:
        found.append(inputs[f"{beginning}{len(found)}"])
    return found


def logits(names: list[str], values: list[Tensor]) -> dict[str, Tensor]:
    return {f"{name}.logits": value for name, value in zip(names, values, strict=True)}


def peers(values: list[Tensor], word: str = "peer") -> dict[str, Tensor]:
    return logits(["student", *(f"{word}{n}" for n in range(1, len(values)))], values)
