"""Pieces of words: which are learned, and how a text is cut, beside the package `tokenizers`."""

from __future__ import annotations

import numpy as np
import pytest

from hwkd.core.errors import ConfigError
from hwkd.signals.features import features_named
from hwkd.signals.learned_pieces import learned_pieces, words_in
from hwkd.signals.recipes.texts import PieceNumbers
from hwkd.signals.steps.pieces import FIRST, UNKNOWN, Pieces
from hwkd.signals.texts import as_bytes

LEARNED = ["the quick fox, the the jumps!", "unhappily unhappy thinking things", "a case; 12*x"]
ODD = [
    "THE Quick\tbrown\r\n fox", "zebras overthink 99%", "naïve café 日本語 \u202e\u0301x",
    "🦊🦊 the", "a" * 100, "a" * 101, "\x7f\x01the\x1f", "", "((the))", "ﬁnal İstanbul ẞ",
]  # fmt: skip


def latin(pieces: list[bytes]) -> tuple[str, ...]:
    return tuple(piece.decode("latin-1") for piece in pieces)


def step(known: int = 120) -> Pieces:
    begin, inner = learned_pieces(words_in(text.lower().encode() for text in LEARNED), known)
    return Pieces(begin=latin(begin), inner=latin(inner), count=130, digits=1)


def test_the_most_frequent_pair_becomes_a_piece_first() -> None:
    # By hand: t+h comes 8 times, then th+e 5 times, then th+i 3 times.
    begin, inner = learned_pieces({b"the": 5, b"thi": 3}, 6)
    assert (begin, inner) == ([b"t", b"th", b"the"], [b"e", b"h", b"i"])
    assert learned_pieces({b"the": 5, b"thi": 3}, 7)[0] == [b"t", b"th", b"the", b"thi"]
    assert learned_pieces({b"ab": 1}, 9) == ([b"a"], [b"b"]), "what comes once is no piece"


def test_text_is_cut_as_wordpiece_cuts_it() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    ours = step()
    vocabulary = {"[PAD]": 0, "[UNK]": UNKNOWN}
    for mark, pieces in (("", ours.begin), ("##", ours.inner)):
        vocabulary |= {mark + p: len(vocabulary) + n for n, p in enumerate(pieces)}
    theirs = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
    )
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    for text in [*LEARNED, *(text for text in ODD if text.isascii() and text.isprintable())]:
        small = text.lower()
        assert ours.numbers(small.encode()) == theirs.encode(small).ids, text


def test_odd_texts_have_numbers_within_the_table() -> None:
    ours = step()
    digits = ours.apply(as_bytes(ODD, 200))
    assert digits.shape == (len(ODD), 1, 130)
    found = digits[:, 0] % 256
    assert found.max() < FIRST + len(ours.begin) + len(ours.inner)
    the = FIRST + ours.begin.index("the")
    assert found[0, 0] == found[3, 1] == found[6, 0] == found[8, 2] == the
    assert found[3, 0] == UNKNOWN
    assert found[4, 0] != UNKNOWN
    assert found[5].tolist() == [UNKNOWN] + [0] * 129, "no word has so many letters"
    assert not found[7].any()


def test_more_pieces_take_more_digits() -> None:
    for known, shape in ((254, (1, 1, 9)), (255, (2, 1, 9)), (1023, (3, 1, 9))):
        recipe = features_named(f"pieces:known={known},count=9")
        (first,), (last,) = recipe.steps((1, 64), None), recipe.after((1, 64))
        assert last.output_shape(first.output_shape((1, 64))) == shape


@pytest.mark.parametrize("text", ["pieces:known=0", "pieces:known=4095", "byte-ids:count=0"])
def test_sizes_that_no_table_has_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--features .*expected 1 to"):
        features_named(text).steps((1, 64), None)


def test_pieces_are_those_of_train() -> None:
    texts = as_bytes(["gold gold gold", "silver silver"], 32)
    (fitted,) = PieceNumbers(known=30).fitted(texts, np.array([0, 1]))
    assert isinstance(fitted, Pieces)
    assert {"gold", "silver"} <= {*fitted.begin}
