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

    @torch.no_grad()
    def logits(self, rows: list[int]) -> Tensor:
        """Return the logits of windows, shape [windows, length, words]; up to a constant."""
        asked = [row for row in rows if row not in self._kept]
        if asked:
            said = self._teacher(**self._windows.given(asked), use_cache=False).logits
            for row, answers in zip(asked, said, strict=True):
                self._kept[row] = TopAnswers.of(answers.numpy().astype(np.float32), self._top)
        length = self._windows.inputs.shape[1]
        every = np.arange(length)
        found = [self._kept[row].logits(every, self._words) for row in rows]
        return torch.from_numpy(np.stack(found))

    @property
    def kept_bytes(self) -> int:
        """Memory of what is kept."""
        return sum(kept.values.nbytes + kept.classes.nbytes for kept in self._kept.values())
