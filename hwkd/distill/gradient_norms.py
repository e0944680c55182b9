"""How strongly each term pulls at the student, and whether one does not pull at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hwkd.core.errors import ConfigError


class ZeroGradientError(ConfigError):
    """A distillation term has no effect on the student."""


def gradient_norms(
    terms: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
) -> dict[str, float]:
    """Return the L2 norm of each term's gradient over the student's parameters.

    Costs one backward pass per term, so it is taken once an epoch.

    Args:
        terms: scalars of one step; their graph is kept.
    """
    norms = {}
    for name, value in terms.items():
        if not value.requires_grad:
            norms[name] = 0.0
            continue
        found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        squares = [gradient.float().square().sum() for gradient in found if gradient is not None]
        norms[name] = float(torch.stack(squares).sum().sqrt()) if squares else 0.0
    return norms


class ZeroGradientGuard:
    """Stops a run in which a term had no gradient in its first steps.

    The most common report about distillation is that it was silently off: features caught without
    gradients, the wrong logits, a weight of zero.
    """

    def __init__(self, *, steps: int = 3) -> None:
        """Judge each term by its first `steps` steps."""
        self._steps = steps
        self._seen: dict[str, int] = {}
        self._alive: set[str] = set()

    def state(self) -> dict[str, Tensor]:
        """Return what was seen, for a checkpoint: by term the steps and whether one pulled."""
        return {n: torch.tensor([seen, n in self._alive]) for n, seen in self._seen.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state`."""
        self._seen = {name: int(found[0]) for name, found in state.items()}
        self._alive = {name for name, found in state.items() if found[1]}

    def wants(self, name: str) -> bool:
        """Tell whether the term is still to be judged."""
        return name not in self._alive

    def see(self, norms: Mapping[str, float]) -> None:
        """Take note of the gradient norms of one step.

        Raises:
            ZeroGradientError: if a term's were all zero so far, `steps` times.
        """
        for name, norm in norms.items():
            self._seen[name] = self._seen.get(name, 0) + 1
            if norm > 0:
                self._alive.add(name)
            elif name not in self._alive and self._seen[name] >= self._steps:
                raise ZeroGradientError(
                    f"distillation term {name}: its gradient at the student was 0 in the first "
                    f"{self._steps} steps, so it teaches nothing; check its taps and options or "
                    "leave it out"
                )
