"""What a small decoder learns from the whole one in a step: next tokens, and states within."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from hwkd.distill.token_divergences import TokenDivergence, mean_of_labelled
from hwkd.language.corpus import Windows
from hwkd.language.decoder_axes import Family
from hwkd.language.inner_states import Matched, State, states_of, use_plain_attention
from hwkd.language.shrink import KeptParts
from hwkd.language.teacher_tokens import TeacherTokens

_LEAST = 1e-12  # of a loss that another is divided by


class Lesson(Protocol):
    """One way to be taught."""

    def __call__(self, model: nn.Module, rows: list[int]) -> tuple[Tensor, Tensor]:
        """Return the student's logits, shape [windows, length, words], and its loss, nats."""


class NextTokens:
    """The divergence from what a teacher says of each next token; its answers are kept."""

    def __init__(
        self, teacher: TeacherTokens, windows: Windows, divergence: TokenDivergence
    ) -> None:
        self._teacher, self._windows, self._divergence = teacher, windows, divergence

    def __call__(self, model: nn.Module, rows: list[int]) -> tuple[Tensor, Tensor]:
        """See `Lesson`."""
        logits = model(**self._windows.given(rows), use_cache=False).logits
        target = self._teacher.logits(rows)
        return logits, _mean(self._divergence, logits, target, self._windows.labels[rows])


class NextTokensAndStates:
    """The same, and states of layers compared; the teacher runs in every step.

    States count as much as next tokens do: their loss is scaled to that of the divergence, by a
    ratio that is a constant (Minitron, arXiv:2407.14679, section 2.3, as NVIDIA's code does it).
    """

    def __init__(
        self,
        teacher: nn.Module,
        family: Family,
        kept: KeptParts,
        windows: Windows,
        divergence: TokenDivergence,
        states: tuple[State, ...],
    ) -> None:
        """Make the teacher show its attention.

        Args:
            states: that are compared, at least one.
        """
        self._teacher, self._family, self._windows = teacher.eval(), family, windows
        self._divergence, self._states = divergence, states
        self._matched = Matched(kept, family)
        use_plain_attention(teacher)

    def __call__(self, model: nn.Module, rows: list[int]) -> tuple[Tensor, Tensor]:
        """See `Lesson`."""
        given = self._windows.given(rows)
        with torch.no_grad():
            target, theirs = states_of(self._teacher, self._family, given, self._states)
        logits, ours = states_of(model, self._family, given, self._states)
        taught = _mean(self._divergence, logits, target, self._windows.labels[rows])
        parts = [
            levelled(self._matched.loss(state, ours[state], theirs[state]), taught)
            for state in self._states
        ]
        return logits, taught + torch.stack(parts).mean()


def levelled(loss: Tensor, other: Tensor) -> Tensor:
    """Return a loss with the value of another one and its own gradient, scaled alike."""
    return loss * (other.detach() / loss.detach().clamp(min=_LEAST))


def _mean(divergence: TokenDivergence, logits: Tensor, target: Tensor, labels: Tensor) -> Tensor:
    values = divergence.of(logits.flatten(0, 1), target.flatten(0, 1))
    return mean_of_labelled(values, labels.flatten())
