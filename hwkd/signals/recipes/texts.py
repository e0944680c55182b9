"""Features of texts: how much of each word, or words or bytes in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import FEATURES
from hwkd.core.errors import ConfigError
from hwkd.core.numbered import digits_for
from hwkd.core.progress import Progress, silent
from hwkd.signals.features import NothingAfter
from hwkd.signals.learned_pieces import learned_pieces, words_in
from hwkd.signals.piece_vocabulary import pieces_in
from hwkd.signals.step import Shape, Step, require_text
from hwkd.signals.steps.byte_ids import ByteIds
from hwkd.signals.steps.channels import Picture
from hwkd.signals.steps.codes import Codes
from hwkd.signals.steps.pieces import FIRST, MOST_PIECES, Pieces
from hwkd.signals.steps.word_weights import MOST_BYTES, MOST_WEIGHT, WordWeights
from hwkd.signals.texts import small_bytes, words_of

_MOST_WORDS = 2**14
# Between two words of how far counting is.
_TEXTS_BETWEEN = 200


@FEATURES.register("words")
@dataclass(frozen=True, slots=True, kw_only=True)
class WordFeatures(NothingAfter):
    """The weight of each of the words that tell most about the class, whatever their order.

    Attributes:
        known: words with a column of their own, fewer where the texts have fewer.
        buckets: further columns, which all other words share by their hash.
    """

    known: int = 1024
    buckets: int = 0

    def settings(self) -> tuple[WordFeatures, ...]:
        """Return as many known words as asked for, half, a quarter and twice as many."""
        return tuple(
            replace(self, known=int(ratio * self.known)) for ratio in (1.0, 0.5, 0.25, 2.0)
        )

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the step with as many columns and no known word; see `Features.steps`."""
        del rate_hz
        _require_texts(shape, "words")
        columns = self.known + self.buckets
        if min(self.known, self.buckets) < 0 or not 1 <= columns <= _MOST_WORDS:
            raise ConfigError(
                f"--features words: known={self.known},buckets={self.buckets}; expected 1 to "
                f"{_MOST_WORDS:,} together"
            )
        return (WordWeights(keys=(), buckets=columns, weights=(MOST_WEIGHT,) * columns),)

    def fitted(
        self, inputs: NDArray[Any], labels: NDArray[Any], progress: Progress = silent
    ) -> tuple[Step, ...]:
        """Return the step that knows the words of train; see `FittedFeatures`."""
        del progress
        self.steps(inputs.shape[1:], None)
        words = words_of(inputs)
        pairs = np.unique(np.stack([words.rows, words.hashes.astype(np.int64)]), axis=1)
        hashes, column = np.unique(pairs[1], return_inverse=True)
        texts_of = np.zeros((len(hashes), int(labels.max()) + 1))
        np.add.at(texts_of, (column, labels[pairs[0]]), 1.0)
        told = _information(texts_of, np.bincount(labels).astype(np.float64))
        texts = texts_of.sum(axis=1)
        chosen = np.lexsort((hashes, -texts, -told))[: self.known]
        keys = np.sort(hashes[chosen])
        buckets = self.buckets or int(not len(keys))
        place = np.searchsorted(keys, hashes)
        is_known = np.isin(hashes, keys)
        having = np.zeros(len(keys) + buckets)
        np.add.at(having, place[is_known], texts[is_known])
        if buckets:
            shared = len(keys) + hashes[~is_known] % buckets
            np.add.at(having, shared, texts[~is_known])
        # Of rare words more, as the inverse document frequency has it.
        rarity = 1.0 + np.log((1 + len(inputs)) / (1 + np.minimum(having, len(inputs))))
        weights = np.rint(MOST_WEIGHT * rarity / rarity.max()).astype(int)
        return (
            WordWeights(
                keys=tuple(keys.tolist()), buckets=buckets, weights=tuple(weights.tolist())
            ),
        )


@FEATURES.register("word-codes")
@dataclass(frozen=True, slots=True, kw_only=True)
class WordCodes(NothingAfter):
    """Words in their order.

    Attributes:
        count: of the first words of a text.
        size: digits of the code of each.
    """

    count: int = 64
    size: int = 64

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the step; see `Features.steps`."""
        del rate_hz
        return _coded("words", self.count, self.size, shape)


@FEATURES.register("bytes")
@dataclass(frozen=True, slots=True, kw_only=True)
class ByteCodes(NothingAfter):
    """Bytes in their order, small letters for capitals.

    Attributes:
        count: of the first bytes of a text.
        size: digits of the code of each.
    """

    count: int = 256
    size: int = 16

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the step; see `Features.steps`."""
        del rate_hz
        return _coded("bytes", min(self.count, shape[-1]), self.size, shape)


@FEATURES.register("byte-ids")
@dataclass(frozen=True, slots=True, kw_only=True)
class ByteNumbers:
    """Bytes in their order, each a number that the network looks up.

    Attributes:
        count: of the first bytes of a text.
    """

    count: int = 256

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the step; see `Features.steps`."""
        del rate_hz
        _require_texts(shape, "byte-ids")
        _require_count("byte-ids", self.count)
        return (ByteIds(count=min(self.count, shape[-1])),)

    def after(self, shape: Shape) -> tuple[Step, ...]:
        """Return what makes rows of digits a picture; see `Features.after`."""
        del shape
        return (Picture(planes=1),)


@FEATURES.register("pieces")
@dataclass(frozen=True, slots=True, kw_only=True)
class PieceNumbers:
    """Pieces of words in their order, each a number that the network looks up.

    Attributes:
        known: pieces, learned from train; fewer where its words have fewer.
        count: of the first pieces of a text.
        tokenizer: file of a WordPiece, of whose pieces those of train are taken; else they are
            learned.
    """

    known: int = 1000
    count: int = 128
    tokenizer: str = ""

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the step without any piece; see `Features.steps`."""
        del rate_hz
        _require_texts(shape, "pieces")
        _require_count("pieces", self.count)
        return (self._step([], []),)

    def fitted(
        self, inputs: NDArray[Any], labels: NDArray[Any], progress: Progress = silent
    ) -> tuple[Step, ...]:
        """Return the step that knows the pieces of train; see `FittedFeatures`."""
        del labels
        self.steps(inputs.shape[1:], None)

        def texts() -> Iterator[bytes]:
            for number, text in enumerate(small_bytes(inputs)):
                if number % _TEXTS_BETWEEN == 0:
                    progress("count words", number, len(inputs))
                yield text.tobytes()

        words = words_in(texts())
        if self.tokenizer:
            return (self._step(*pieces_in(words, Path(self.tokenizer), self.known)),)
        return (self._step(*learned_pieces(words, self.known, progress)),)

    def after(self, shape: Shape) -> tuple[Step, ...]:
        """Return what makes rows of digits a picture; see `Features.after`."""
        del shape
        return (Picture(planes=self._digits()),)

    def _digits(self) -> int:
        if not 1 <= self.known <= MOST_PIECES:
            raise ConfigError(
                f"--features pieces: known={self.known}; expected 1 to {MOST_PIECES:,} pieces"
            )
        return digits_for(FIRST + self.known)

    def _step(self, begin: Sequence[bytes], inner: Sequence[bytes]) -> Step:
        texts = ([piece.decode("latin-1") for piece in part] for part in (begin, inner))
        first, rest = map(tuple, texts)
        return Pieces(begin=first, inner=rest, count=self.count, digits=self._digits())


def _require_count(name: str, count: int) -> None:
    if not 1 <= count <= MOST_BYTES:
        raise ConfigError(
            f"--features {name}: count={count}; expected 1 to {MOST_BYTES} places of a text"
        )


def _coded(
    unit: Literal["words", "bytes"], count: int, size: int, shape: Shape
) -> tuple[Step, ...]:
    _require_texts(shape, unit)
    if not 1 <= count <= MOST_BYTES or size % 16 or not 16 <= size <= 256:
        raise ConfigError(
            f"--features: count={count},size={size} of codes; expected a count of 1 to "
            f"{MOST_BYTES} and a size of 16 to 256 in steps of 16"
        )
    return (Codes(unit=unit, size=size, count=count),)


def _information(texts_of: NDArray[np.float64], texts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the presence of each word tells about the class, in nats.

    Args:
        texts_of: texts of each class with each word, shape [words, classes].
        texts: of each class.
    """
    told = np.zeros(len(texts_of))
    for having in (texts_of, texts - texts_of):
        both = having / texts.sum()
        alone = both.sum(axis=1, keepdims=True) * (texts / texts.sum())
        ratio = np.divide(both, alone, out=np.ones_like(both), where=both > 0)
        told += (both * np.log(ratio)).sum(axis=1)
    return told


def _require_texts(shape: Shape, name: str) -> None:
    try:
        require_text(shape, MOST_BYTES)
    except ValueError as error:
        raise ConfigError(f"--features {name}: {error}; they are features of --task text") from None
