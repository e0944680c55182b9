"""The teacher of texts: all words with their inverse document frequency, and a logistic regression.

It knows every word of the train split, where a student has room for some. What it says of a train
text comes from a regression that did not see it: of texts that it has seen it would be sure, and
tell students no more than the labels (cross-fitting, arXiv:2104.09732).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hwkd.core.errors import TeacherError
from hwkd.core.progress import Progress, silent
from hwkd.signals.texts import as_text
from hwkd.tasks.base import SPLITS, TaskData
from hwkd.train.known_rows import KnownRows
from hwkd.train.teacher import as_outputs
from hwkd.train.teacher_input import AS_STUDENTS, SeenInput

# Part of the identity: raise it when the same texts would get other answers.
_VERSION = 1
_FOLDS = 5
# Inverse strength of the L2 penalty: of 1 to 100, what separates Reuters' classes best.
_PENALTY = 30.0
_MOST_STEPS = 300
_LEAST_CHANCE = 1e-6
# Letters and digits of any script.
_WORD = r"[^\W_]+"


@dataclass(frozen=True, kw_only=True)
class TextTeacher:
    """See `hwkd.train.teacher.Teacher`; it knows the texts of its data and no others."""

    data: TaskData = field(repr=False)
    progress: Progress = field(default=silent, repr=False)
    name: str = "tf-idf"
    kind: Literal["trained here"] = "trained here"
    is_from_cache: bool = False
    seen: SeenInput = AS_STUDENTS

    @property
    def identity(self) -> str:
        """SHA-256 of what it is fitted to, and how."""
        how = f"{self.name} {_VERSION} {_FOLDS} {_PENALTY} {self.data.fingerprint}"
        return hashlib.sha256(how.encode()).hexdigest()

    @property
    def description(self) -> str:
        """How it was made."""
        return (
            f"logistic regression on TF-IDF of every word, fitted to {len(self.data.train):,} "
            f"texts; of each of these by one that did not see it ({_FOLDS} folds)"
        )

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return self.data.num_outputs

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logarithms of the chances of each class, shape [n, num_outputs]."""
        rows = self._rows.find(inputs, teacher=self.name)
        found = self._answers[rows]
        return as_outputs(
            found, self.data.head, examples=len(inputs), teacher=self.name, is_own=True
        )

    @cached_property
    def _rows(self) -> KnownRows:
        return KnownRows([self.data.split(name).inputs for name in SPLITS])

    @cached_property
    def _answers(self) -> NDArray[np.float32]:
        """Of all texts, train, validation and test one after another."""
        given = self.data.texts
        if given is None:
            raise TeacherError("this teacher reads texts, and the data has none")
        train, *others = ([as_text(row[0]) for row in given[name]] for name in SPLITS)
        labels, count = self.data.train.labels, self.num_outputs
        folds, answers = _folds(labels), np.empty((len(train), count), np.float32)
        for fold in range(_FOLDS):
            self.progress("teacher of words", fold, _FOLDS + 1)
            is_held = folds == fold
            kept = [text for text, held in zip(train, is_held, strict=True) if not held]
            asked = [text for text, held in zip(train, is_held, strict=True) if held]
            if asked:
                answers[is_held] = _fitted_answers(kept, labels[~is_held], asked, count)
        self.progress("teacher of words", _FOLDS, _FOLDS + 1)
        rest = _fitted_answers(train, labels, [text for part in others for text in part], count)
        return np.concatenate([answers, rest])


def _folds(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold of each text: those of each class are dealt out in a drawn order."""
    drawn = np.random.default_rng(0).permutation(len(labels))
    order = drawn[np.argsort(labels[drawn], kind="stable")]
    folds = np.empty(len(labels), np.int64)
    folds[order] = np.arange(len(labels)) % _FOLDS
    return folds


def _fitted_answers(
    texts: list[str], labels: NDArray[np.int64], asked: list[str], classes: int
) -> NDArray[np.float32]:
    """Return logarithms of chances for texts, shape [asked, classes], by a fit to others."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    words: Any = TfidfVectorizer(token_pattern=_WORD, sublinear_tf=True)
    model: Any = LogisticRegression(C=_PENALTY, max_iter=_MOST_STEPS)
    chances = np.zeros((len(asked), classes))
    # Threads of so small a fit gain nothing, and on a busy machine they wait for each other: each
    # step of it then takes as long as the others are away.
    with threadpool_limits(1):
        try:
            model.fit(words.fit_transform(texts), labels)
        except ValueError as error:
            why = f"no teacher of words can be fitted to these texts: {error}"
            raise TeacherError(why) from None
        chances[:, model.classes_] = model.predict_proba(words.transform(asked))
    logits: NDArray[np.float32] = np.log(np.maximum(chances, _LEAST_CHANCE)).astype(np.float32)
    return logits
