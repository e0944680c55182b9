"""Which pieces of words are worth a number: those that byte pairs grow into, common ones first."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from hwkd.core.progress import Progress, silent
from hwkd.signals.steps.pieces import MOST_LETTERS, MOST_PIECE_BYTES
from hwkd.signals.texts import UNITS

# Different words that are looked at, the most frequent ones, of texts without end.
_MOST_WORDS = 50_000


class Piece(NamedTuple):
    """Bytes, and whether they stand behind the beginning of a word."""

    is_inner: bool
    text: bytes


_Pair = tuple[Piece, Piece]


def words_in(texts: Iterable[bytes]) -> Counter[bytes]:
    """Return how often each word comes in texts of small letters; see `UNITS`."""
    return Counter(unit for text in texts for unit in UNITS.findall(text))


def learned_pieces(
    words: Mapping[bytes, int], most: int, progress: Progress = silent
) -> tuple[list[bytes], list[bytes]]:
    """Return pieces that words begin with, and those behind them, each in the order of their bytes.

    Every byte that comes is one as long as there is room. Then the pair of neighbours that comes
    most often becomes a further piece, again and again.

    Args:
        words: with how often each comes.
        most: pieces of both kinds together.
        progress: told how many are found.

    Source:
        Sennrich et al. 2016, arXiv:1508.07909, over bytes.
    """
    kept = sorted(words.items(), key=lambda each: (-each[1], each[0]))[:_MOST_WORDS]
    kept = [(word, count) for word, count in kept if len(word) <= MOST_LETTERS]
    merging = _Merging(kept)
    single = Counter[Piece]()
    for parts, (_, count) in zip(merging.parts, kept, strict=True):
        for piece in parts:
            single[piece] += count
    found = set(sorted(single, key=lambda piece: (-single[piece], piece))[:most])
    while len(found) < most and (merged := merging.merge_most_frequent()) is not None:
        found.add(merged)
        progress("learn pieces", len(found), most)
    begin, inner = (
        sorted(piece.text for piece in found if piece.is_inner is kind) for kind in (False, True)
    )
    return begin, inner


class _Merging:
    """Words as pieces, and how often each pair of neighbours comes."""

    def __init__(self, words: Iterable[tuple[bytes, int]]) -> None:
        self._counts: list[int] = []
        self.parts: list[list[Piece]] = []
        self._pairs = Counter[_Pair]()
        self._words_of: defaultdict[_Pair, set[int]] = defaultdict(set)
        for word, count in words:
            self._counts.append(count)
            self.parts.append([Piece(at > 0, bytes([byte])) for at, byte in enumerate(word)])
            self._note(len(self.parts) - 1, 1)
        self._heap = [(-count, pair) for pair, count in self._pairs.items()]
        heapq.heapify(self._heap)

    def merge_most_frequent(self) -> Piece | None:
        """Make one piece of the pair that comes most often; None where none comes twice."""
        while self._heap:
            count, pair = heapq.heappop(self._heap)
            if -count != self._pairs[pair]:
                continue  # it has changed since, and stands elsewhere as it is now
            merged = Piece(pair[0].is_inner, pair[0].text + pair[1].text)
            if count > -2:
                return None
            if len(merged.text) <= MOST_PIECE_BYTES:
                self._merge(pair, merged)
                return merged
        return None

    def _merge(self, pair: _Pair, merged: Piece) -> None:
        for word in sorted(self._words_of[pair]):
            self._note(word, -1)
            parts, joined = self.parts[word], list[Piece]()
            for piece in parts:
                if joined and (joined[-1], piece) == pair:
                    joined[-1] = merged
                else:
                    joined.append(piece)
            self.parts[word] = joined
            for changed in self._note(word, 1):
                heapq.heappush(self._heap, (-self._pairs[changed], changed))

    def _note(self, word: int, sign: int) -> list[_Pair]:
        parts = self.parts[word]
        found = list(pairwise(parts))
        for pair in found:
            self._pairs[pair] += sign * self._counts[word]
            if sign > 0:
                self._words_of[pair].add(word)
            else:
                self._words_of[pair].discard(word)
        return found
