"""Texts: the users' files, what is refused, the words that are known, the teacher, the worst."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.texts import topic_texts, write_texts
from threadpoolctl import threadpool_info, threadpool_limits

from hwkd.core.errors import ConfigError, DataError
from hwkd.core.reading import Reading
from hwkd.engine.arms.example_texts import worst_texts
from hwkd.engine.setup.text_teacher import TextTeacher
from hwkd.signals.recipes.texts import PieceNumbers, WordFeatures
from hwkd.signals.steps.word_weights import WordWeights
from hwkd.signals.texts import as_bytes, words_of
from hwkd.tasks import feature_cache
from hwkd.tasks.text import TextTask
from hwkd.tasks.text_source import read_texts

TASK = TextTask()


def fnv(word: str) -> int:
    found = 2166136261
    for byte in word.encode():
        found = (found ^ byte) * 16777619 % 2**32
    return found


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """The same 30 texts as CSV, JSON lines, files of splits, class folders and those in splits."""
    texts = topic_texts(30)
    write_texts(tmp_path / "a.csv", 30)
    rows = [json.dumps({"id": n, "label": b, "text": a}) for n, (a, b) in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows) + "\n\n", encoding="utf-8")
    (tmp_path / "files").mkdir()
    write_texts(tmp_path / "files" / "my_train.csv", 30)
    (tmp_path / "files" / "test.jsonl").write_text("\n".join(rows[:9]))
    for number, (text, label) in enumerate(texts):
        for root in ("classes", "splits/training", "splits/test"):
            (tmp_path / root / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / root / label / f"{number:02}.txt").write_text(text)
    return tmp_path


def test_every_layout_gives_the_same_texts(folders: Path) -> None:
    expected = sorted(topic_texts(30))
    for name in ("a.csv", "a.jsonl", "files", "classes", "splits"):
        found = read_texts(folders / name)
        assert sorted((each.text, each.label) for each in found["train"]) == expected
        assert len(found.get("test", ())) == {"files": 9, "splits": 30}.get(name, 0)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "text,label\nhello,a\ncaf\xe9,b\n".encode("latin-1"), "line 3 is no UTF-8"),
        ("a.csv", b'text,label\n"one\ntwo",a\n" ",b\n', "line 4: an empty text"),
        ("a.csv", b"good,yes\nbad,no\nfine,yes\n", "the first line is a row of texts"),
        ("a.jsonl", b'{"text": "\\ud800", "label": "a"}\n', "line 1: holds half of a character"),
        ("a.csv", b"text,label\none,a\ntwo,\n", "line 3: no class in column 'label'"),
        ("a.csv", b"text,label\none,a\ntwo,a\n", "from line 2 to line 3 one class, 'a'"),
        ("a.csv", b"text,label\none,a\ntwo,b,c\n", "line 3 has 3 cells, the heading 2"),
        ("a.csv", b"title,body,text,kind\nx,y,z,a\n", "which is the text"),
        ("a.csv", b"text,label\n", "holds no text"),
        ("a.jsonl", b'{"text": "a", "label": "b"}\nno\n', "line 2 is no JSON"),
        ("a.jsonl", b'{"text": "a", "label": "b"}\n{"text": "c"}\n', "line 2 is no object with"),
        ("a.txt", b"hello", "unknown format of this file"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_its_line(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says) as refused:
        read_texts(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    rows = [f"{n},train,{'warm' if n % 2 else 'cold'} day,{'ab'[n % 2]}" for n in range(30)]
    (tmp_path / "a.csv").write_text("\n".join(["id,split,text,label", *rows]) + "\n")
    assert "left out: id, split" in TextTask().data(tmp_path / "a.csv").notes


def test_features_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    source = write_texts(tmp_path / "a.csv")
    for features in ("words:known=0", "words:known=99999", "word-codes:size=20", "log-mel"):
        with pytest.raises(ConfigError, match="--features"):
            TASK.data(source, Reading(features=features))


def test_known_words_are_those_that_tell_the_class() -> None:
    texts = [f"the {word} of all" for word in ("Wheat", "ship") for _ in range(9)]
    labels = np.repeat([0, 1], 9)
    (step,) = WordFeatures(known=2).fitted(as_bytes(texts, 32), labels)
    assert isinstance(step, WordWeights)
    assert step.keys == tuple(sorted(map(fnv, ("wheat", "ship"))))
    values = step.apply(as_bytes(["WHEAT wheat! ship", "nothing known"], 32))
    found = dict(zip(step.keys, values[0, 0].tolist(), strict=True))
    several, once = np.log2(3), 1.0
    length = np.hypot(several, once)
    assert found[fnv("wheat")] == pytest.approx(8192 * several / length, rel=2e-3)
    assert found[fnv("ship")] == pytest.approx(8192 * once / length, rel=2e-3)
    assert not values[1].any()


def test_words_are_runs_of_letters_of_any_script_in_small_letters() -> None:
    words = words_of(as_bytes(["Über-Haus 7x", "\0", "日本 a"], 24))
    assert words.rows.tolist() == [0, 0, 0, 2, 2]
    assert words.places.tolist() == [0, 1, 2, 0, 1]
    assert words.hashes.tolist() == [fnv(word) for word in ("Über", "haus", "7x", "日本", "a")]


def test_the_teacher_knows_texts_that_it_was_not_fitted_to(tmp_path: Path) -> None:
    data = TASK.data(write_texts(tmp_path / "a.csv"))
    teacher = TextTeacher(data=data)
    answers = teacher.logits(data.train.inputs)
    assert (answers.argmax(axis=1) == data.train.labels).mean() > 0.9
    assert np.exp(answers).sum(axis=1) == pytest.approx(1.0, abs=1e-3)
    other = TASK.data(write_texts(tmp_path / "b.csv", 60))
    assert TextTeacher(data=other).identity != teacher.identity == TextTeacher(data=data).identity


def test_the_teacher_computes_on_one_thread_which_waits_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import LogisticRegression

    fit, threads = LogisticRegression.fit, list[int]()

    def watched(self: Any, *given: Any) -> Any:
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return fit(self, *given)

    monkeypatch.setattr(LogisticRegression, "fit", watched)
    data = TASK.data(write_texts(tmp_path / "a.csv"))
    with threadpool_limits(2):
        TextTeacher(data=data).logits(data.train.inputs)
    assert set(threads) == {1}


def test_pieces_are_learned_once_and_every_process_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "_FEWEST_BYTES", 1)
    fitted, times = PieceNumbers.fitted, list[int]()

    def counted(self: PieceNumbers, *given: Any) -> Any:
        times.append(1)
        return fitted(self, *given)

    monkeypatch.setattr(PieceNumbers, "fitted", counted)
    file, heard = write_texts(tmp_path / "a.csv"), set[str]()
    asked = Reading(features="pieces:known=200,count=16")
    first = TASK.data(file, asked, progress=lambda stage, *_: heard.add(stage))
    again = TASK.data(file, asked)
    assert len(times) == 1
    assert first.pipeline == again.pipeline
    assert np.array_equal(first.train.inputs, again.train.inputs)
    assert heard == {"count words", "learn pieces", "compute features"}
    TASK.data(file, Reading(features="pieces:known=201,count=16"))
    assert len(times) == 2


def test_the_worst_texts_come_first_with_what_they_were_taken_for(tmp_path: Path) -> None:
    data = TASK.data(write_texts(tmp_path / "a.csv"))
    outputs = 9.0 * np.eye(3, dtype=np.float32)[data.test.labels]
    outputs[5] = np.roll(outputs[5], 1)
    first, second, *_ = worst_texts(data, outputs)
    assert (first.label, first.named) == (data.test.labels[5], outputs[5].argmax())
    assert first.chance < 0.01 < second.chance
    assert first.text in {text for text, _ in topic_texts(240)}
