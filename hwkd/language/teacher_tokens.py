"""What the teacher says of each token, asked once and kept: its largest logits and what is left."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from hwkd.language.corpus import Windows
from hwkd.train.top_answers import TopAnswers


class TeacherTokens:
    """Next-token logits of a teacher, by window.

    A window's answers are computed when they are first asked for, so a short training does not wait
    for windows that it never sees, and every further pass is free.
    """

    def __init__(
        self, teacher: nn.Module, windows: Windows, *, words: int, top: int | None
    ) -> None:
        """Ask nothing yet.

        Args:
            words: size of the vocabulary.
            top: logits that are kept of each token; None keeps all.
        """
        self._teacher, self._windows = teacher.eval(), windows
        self._words, self._top = words, top
        self._kept: dict[int, TopAnswers] = {}

    def logits(self, rows: list[int]) -> Tensor:
        """Return the logits of windows, shape [windows, length, words]; up to a constant."""
        every = np.arange(self._windows.inputs.shape[1])
        found = [kept.logits(every, self._words) for kept in self._answers(rows)]
        return torch.from_numpy(np.stack(found))

    def chances(self, rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is said of the few words that are kept of each token, where few are.

        Returns:
            Numbers of the words, shape [tokens, top], the chance of each, likewise, and that of
            each other word, shape [tokens]; tokens of one window after those of another.
        """
        answers = self._answers(rows)
        words = np.concatenate([kept.classes for kept in answers]).astype(np.int64)
        values = torch.from_numpy(np.concatenate([kept.values for kept in answers])).float()
        others = self._words - words.shape[1]
        parts = torch.cat([values[:, :-1], values[:, -1:] + np.log(others)], dim=1)
        chances = torch.softmax(parts, -1)
        return torch.from_numpy(words), chances[:, :-1], chances[:, -1] / others

    @torch.no_grad()
    def _answers(self, rows: list[int]) -> list[TopAnswers]:
        asked = [row for row in dict.fromkeys(rows) if row not in self._kept]
        if asked:
            said = self._teacher(**self._windows.given(asked), use_cache=False).logits
            for row, answers in zip(asked, said, strict=True):
                self._kept[row] = TopAnswers.of(answers.numpy().astype(np.float32), self._top)
        return [self._kept[row] for row in rows]

    @property
    def keeps_few(self) -> bool:
        """Whether answers are of fewer words than there are."""
        return self._top is not None and self._top + 1 < self._words

    @property
    def kept_bytes(self) -> int:
        """Memory of what is kept."""
        return sum(kept.values.nbytes + kept.classes.nbytes for kept in self._kept.values())
