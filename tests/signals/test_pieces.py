"""Pieces of words: which are learned, and how a text is cut, beside the package `tokenizers`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

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


def word_piece(path: Path, pieces: list[str], **changes: Any) -> Path:
    """Write a tokenizer.json as the package tokenizers does."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {piece: at for at, piece in enumerate(["[PAD]", "[UNK]", *pieces])}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    content = json.loads(made.to_str())
    path.write_text(json.dumps(content | changes))
    return path


WORDS = [
    "un",
    "the",
    "fox",
    "think",
    "q",
    "##q",
    "##ing",
    "##ick",
    "##happ",
    "##y",
    ",",
    "##s",
    "a",
]


def test_pieces_of_a_tokenizer_cut_text_as_it_does(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    path = word_piece(tmp_path / "tokenizer.json", WORDS)
    theirs = tokenizers.Tokenizer.from_file(str(path))
    texts = ["The fox, thinking", "quick unhappy FOX", "the thing", "a fox thinks quick, unhappys"]
    recipe = features_named(f"pieces:tokenizer={path},known=40")
    assert isinstance(recipe, PieceNumbers)
    (step,) = recipe.fitted(as_bytes(texts, 64), np.array([0, 1, 0, 1]))
    assert isinstance(step, Pieces)
    assert "##q" not in step.inner and "q" not in step.inner, "no text has it"
    ours = ["[PAD]", "[UNK]", *step.begin, *(f"##{piece}" for piece in step.inner)]
    for text in texts:
        named = [ours[number] for number in step.numbers(text.lower().encode())]
        assert named == theirs.encode(text).tokens, text


def test_of_more_pieces_than_asked_for_the_most_frequent_are_kept(tmp_path: Path) -> None:
    path = word_piece(tmp_path / "tokenizer.json", WORDS)
    texts = as_bytes(["the the the fox fox a"], 64)
    (step,) = PieceNumbers(known=2, tokenizer=str(path)).fitted(texts, np.array([0]))
    assert isinstance(step, Pieces)
    assert (step.begin, step.inner) == (("fox", "the"), ())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("absent", "is no tokenizer (No such file"),
        ("no JSON", "is no tokenizer"),
        ("a list", "it has no model"),
        ("BPE", "its model is BPE; expected a tokenizer.json of the package tokenizers"),
        ("no pieces", "has no pieces (vocab)"),
        ("cased", "give that of an uncased model"),
        (
            "other texts",
            "does not know 3 of the 4 words of train; it is a tokenizer of other texts",
        ),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, fault: str, said: str
) -> None:
    path = tmp_path / "tokenizer.json"
    if fault == "no JSON":
        path.write_text("{")
    elif fault == "a list":
        path.write_text("[]")
    elif fault == "BPE":
        word_piece(path, WORDS, model={"type": "BPE", "vocab": {}, "merges": []})
    elif fault == "no pieces":
        word_piece(path, WORDS, model={"type": "WordPiece", "vocab": ["a"]})
    elif fault == "cased":
        word_piece(path, ["the", "##The"], normalizer=None)
    elif fault == "other texts":
        word_piece(path, WORDS)
    recipe = PieceNumbers(tokenizer=str(path))
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        recipe.fitted(as_bytes(["le renard pense, "], 32), np.array([0]))
    assert "\n" not in str(caught.value)


def test_pieces_are_those_of_train() -> None:
    texts = as_bytes(["gold gold gold", "silver silver"], 32)
    (fitted,) = PieceNumbers(known=30).fitted(texts, np.array([0, 1]))
    assert isinstance(fitted, Pieces)
    assert {"gold", "silver"} <= {*fitted.begin}
