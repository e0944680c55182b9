"""What a small decoder learns in a step: the text, the whole one's next tokens, states within."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, nll_loss

from hwkd.distill.token_divergences import (
    IGNORED,
    TokenDivergence,
    forward_of_few,
    mean_of_labelled,
)
from hwkd.language.corpus import Windows
from hwkd.language.decoder_axes import Family
from hwkd.language.inner_states import Matched, State, states_of, use_plain_attention
from hwkd.language.shrink import KeptParts
from hwkd.language.teacher_tokens import TeacherTokens

_LEAST = 1e-12  # of a loss that another is divided by


class Lesson(Protocol):
    """One way to learn."""

    def __call__(self, model: nn.Module, rows: list[int]) -> Tensor:
        """Return the loss of a student on some windows, nats of a token."""


class Text:
    """The text's own next tokens, without a teacher."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def __call__(self, model: nn.Module, rows: list[int]) -> Tensor:
        """See `Lesson`."""
        log_p, labels = _said(model, self._windows, rows)
        return _own(log_p, labels)


class NextTokens:
    """The divergence from what a teacher says of each next token; its answers are kept."""

    def __init__(
        self,
        teacher: TeacherTokens,
        windows: Windows,
        divergence: TokenDivergence,
        label_weight: float,
    ) -> None:
        """Ask nothing yet.

        Args:
            label_weight: of the text's own next token beside the teacher, 0 to 1.
        """
        self._teacher, self._windows, self._divergence = teacher, windows, divergence
        self._label_weight = label_weight

    def __call__(self, model: nn.Module, rows: list[int]) -> Tensor:
        """See `Lesson`."""
        log_p, labels = _said(model, self._windows, rows)
        if self._divergence.name == "forward" and self._teacher.keeps_few:
            values = forward_of_few(log_p, *self._teacher.chances(rows))
        else:
            values = self._divergence.of(log_p, self._teacher.logits(rows).flatten(0, 1))
        taught = mean_of_labelled(values, labels)
        return _mixed(taught, _own(log_p, labels), self._label_weight)


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
        label_weight: float,
    ) -> None:
        """Make the teacher show its attention.

        Args:
            states: that are compared, at least one.
            label_weight: of the text's own next token beside the teacher, 0 to 1.
        """
        self._teacher, self._family, self._windows = teacher.eval(), family, windows
        self._divergence, self._states = divergence, states
        self._matched, self._label_weight = Matched(kept, family), label_weight
        use_plain_attention(teacher)

    def __call__(self, model: nn.Module, rows: list[int]) -> Tensor:
        """See `Lesson`."""
        given, labels = self._windows.given(rows), self._windows.labels[rows].flatten()
        with torch.no_grad():
            target, theirs = states_of(self._teacher, self._family, given, self._states)
        logits, ours = states_of(model, self._family, given, self._states)
        log_p = log_softmax(logits.flatten(0, 1), -1)
        taught = mean_of_labelled(self._divergence.of(log_p, target.flatten(0, 1)), labels)
        parts = [
            levelled(self._matched.loss(state, ours[state], theirs[state]), taught)
            for state in self._states
        ]
        taught = taught + torch.stack(parts).mean()
        return _mixed(taught, _own(log_p, labels), self._label_weight)


def levelled(loss: Tensor, other: Tensor) -> Tensor:
    """Return a loss with the value of another one and its own gradient, scaled alike."""
    return loss * (other.detach() / loss.detach().clamp(min=_LEAST))


def _said(model: nn.Module, windows: Windows, rows: list[int]) -> tuple[Tensor, Tensor]:
    """Return log-probabilities of a student, shape [tokens, words], and labels, shape [tokens]."""
    logits = model(**windows.given(rows), use_cache=False).logits
    return log_softmax(logits.flatten(0, 1), -1), windows.labels[rows].flatten()


def _own(log_p: Tensor, labels: Tensor) -> Tensor:
    values = nll_loss(log_p, labels, ignore_index=IGNORED, reduction="none")
    return mean_of_labelled(values, labels)


def _mixed(taught: Tensor, own: Tensor, label_weight: float) -> Tensor:
    return (1.0 - label_weight) * taught + label_weight * own
