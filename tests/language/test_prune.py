"""A pruned decoder: what it keeps, what it learns, what ships, and what is refused."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from support.decoders import edit_config, write_byte_tokenizer, write_decoder, write_text

import hwkd
from hwkd.cli.app import main
from hwkd.core.errors import HwkdError

pytest.importorskip("transformers")

from hwkd.distill.token_divergences import IGNORED, TokenDivergence
from hwkd.language.corpus import Windows, open_tokenizer, read_corpus
from hwkd.language.course import Budget, Recipe, nats_per_token, train_decoder
from hwkd.language.decoder_folder import open_decoder
from hwkd.language.kept_parts import kept_sizes, sizes_of
from hwkd.language.lessons import NextTokens, Text
from hwkd.language.model_folder import parameters_of
from hwkd.language.prune import times_of
from hwkd.language.teacher_tokens import TeacherTokens


@pytest.mark.slow
def test_compared_states_have_a_control_without_them(place, tmp_path):
    out = tmp_path / "small"
    record = hwkd.prune(
        place / "llama", keep="depth:2,heads:1", data=place / "text", steps=12, length=16, batch=8,
        states="attention, values,hidden", out=out,
    )  # fmt: skip
    assert record.states == ("hidden", "attention", "values")
    assert [arm.name for arm in record.arms[2:]] == [
        "distilled", "next tokens alone", "labels alone", "from scratch",
    ]  # fmt: skip
    both = record.arm("distilled"), record.arm("next tokens alone")
    assert both[0].validation_perplexity != both[1].validation_perplexity
    assert max(arm.validation_perplexity for arm in both) < record.arm("pruned").test_perplexity
    card = (out / "MODEL_CARD.md").read_text()
    assert "in hidden, attention, values of its layers" in card


def test_windows_are_learned_from_several_times_before_a_teacher_is_asked_about_new_ones():
    windows = Windows(
        inputs=torch.arange(400)[:, None], labels=torch.zeros(400, 1, dtype=torch.long),
        tokens=400, characters=400,
    )  # fmt: skip
    drawn = []

    def lesson(model, rows):
        drawn.append(rows)
        return model(torch.zeros(len(rows), 1)).square().mean()

    recipe = Recipe(rate=1e-3, batch=8, times=4)
    train_decoder(torch.nn.Linear(1, 3), windows, recipe, Budget(steps=100), lesson=lesson, seed=0)
    assert all(len(rows) == len({*rows}) == 8 for rows in drawn)
    every = [row for rows in drawn for row in rows]
    counts = np.bincount(every)
    assert counts.max() == 4
    assert 200 < len({*every}) < 280  # 800 over 4, and what still waits to be drawn again
    assert [len({*rows} - {r for before in drawn[:at] for r in before}) for at, rows in
            enumerate(drawn)][:8] == [8] * 8  # fmt: skip
    drawn.clear()
    train_decoder(
        torch.nn.Linear(1, 3), windows, Recipe(rate=1e-3, batch=8), Budget(steps=50),
        lesson=lesson, seed=0,
    )  # fmt: skip
    assert sorted(row for rows in drawn for row in rows) == list(range(400))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("depth:2,width:0.5", (2, 2, 1, 12, 8)),
        ("depth:0.5", (2, 4, 2, 24, 16)),
        ("width:0.5,hidden:16", (3, 2, 1, 12, 16)),
        ("grown:5", (3, 4, 2, 5, 16)),
    ],
)
def test_what_is_kept_is_read_as_counts_and_shares(place, text, expected):
    decoder = open_decoder(place / "llama")
    found = kept_sizes(text, sizes_of(decoder.config, decoder.family), decoder.family)
    assert (found.depth, found.heads, found.groups, found.grown, found.hidden) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("depth", "'depth' is not understood"),
        ("depth:9", "count from 1 to 3"),
        ("width:2", "share below 1"),
        ("layers:2", "'layers:2' is not understood"),
        ("depth:2,depth:1", "'depth:1' is not understood"),
        ("depth:3", "keeps everything"),
        ("grown:x", "grown of x"),
        ("depth:nan", "depth of nan"),
    ],
)
def test_what_cannot_be_kept_is_refused(place, text, said):
    decoder = open_decoder(place / "llama")
    with pytest.raises(HwkdError, match=said):
        kept_sizes(text, sizes_of(decoder.config, decoder.family), decoder.family)


def test_every_token_but_the_first_is_predicted_once(place):
    tokenizer = open_tokenizer(place / "llama" / "tokenizer.json", 256)
    windows = read_corpus(place / "text", tokenizer, length=32)["test"]
    text = (place / "text" / "test.txt").read_text()
    ids = tokenizer.encode(text).ids
    labels = windows.labels.flatten()
    assert labels[labels != IGNORED].tolist() == ids[1:]
    assert windows.inputs.flatten()[: len(ids) - 1].tolist() == ids[:-1]
    assert (windows.tokens, windows.characters) == (len(ids) - 1, len(text))


def test_of_a_long_text_windows_at_even_distances_are_judged(place, tmp_path):
    long = tmp_path / "long"
    write_text(long)
    (long / "test.txt").write_text((long / "train.txt").read_text() * 3)
    tokenizer = open_tokenizer(place / "llama" / "tokenizer.json", 256)
    windows = read_corpus(long, tokenizer, length=8)["test"]
    assert len(windows.inputs) == 400
    assert windows.tokens == int((windows.labels != IGNORED).sum())
    assert windows.characters == pytest.approx(windows.tokens, rel=1e-3)  # a byte is a token


def test_perplexity_is_that_of_one_token_after_another(place):
    decoder = open_decoder(place / "gpt2")
    tokenizer = open_tokenizer(place / "gpt2" / "tokenizer.json", 256)
    windows = read_corpus(place / "text", tokenizer, length=16)["test"]
    total = 0.0
    with torch.no_grad():
        for inputs, labels in zip(windows.inputs, windows.labels, strict=True):
            chances = torch.softmax(decoder.model(inputs[None]).logits[0].double(), -1)
            total -= sum(
                math.log(chance[label])
                for chance, label in zip(chances, labels.tolist(), strict=True)
                if label != IGNORED
            )
    assert nats_per_token(decoder.model, windows, batch=3) == pytest.approx(total / windows.tokens)


def test_kept_answers_of_all_words_are_the_teacher_s_and_those_of_a_few_keep_their_order(place):
    decoder = open_decoder(place / "llama")
    ids = torch.arange(24).reshape(3, 8)
    with torch.no_grad():
        wanted = decoder.model(ids[[2, 0]]).logits
    windows = Windows(inputs=ids, labels=ids, tokens=24, characters=24)
    every = TeacherTokens(decoder.model, windows, words=256, top=None).logits([2, 0])
    np.testing.assert_allclose(every, wanted, atol=2e-3)  # kept in 16 bits
    few = TeacherTokens(decoder.model, windows, words=256, top=8)
    first = torch.softmax(few.logits([2, 0]), -1)
    assert torch.equal(first, torch.softmax(few.logits([2, 0]), -1))  # from memory
    assert first.argmax(-1).equal(wanted.argmax(-1))
    np.testing.assert_allclose(
        first.max(-1).values, torch.softmax(wanted, -1).max(-1).values, rtol=5e-3
    )
    assert few.kept_bytes == 2 * 8 * (9 * 2 + 8)


def test_what_is_learned_of_few_kept_words_is_the_divergence_over_all_of_them(place):
    decoder = open_decoder(place / "llama")
    student: Any = open_decoder(place / "llama").model
    torch.manual_seed(0)
    for weight in student.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    ids = torch.arange(48).reshape(3, 16)
    labels = ids.clone()
    labels[0, :5] = IGNORED
    windows = Windows(inputs=ids, labels=labels, tokens=43, characters=43)
    teacher = TeacherTokens(decoder.model, windows, words=256, top=8)
    lesson = NextTokens(teacher, windows, TokenDivergence.parse("forward"), 0.25)
    rows = [2, 0, 2]
    loss = lesson(student, rows)
    loss.backward()
    found = [weight.grad.clone() for weight in student.parameters()]
    student.zero_grad()
    logits = student(ids[rows]).logits.flatten(0, 1).double()
    q, counted = (
        torch.softmax(teacher.logits(rows).flatten(0, 1).double(), -1),
        labels[rows].flatten(),
    )
    assert (q.sort(-1).values[:, -9] == q.min(-1).values).all()
    log_p = torch.log_softmax(logits, -1)
    taught = (q * (q.log() - log_p)).sum(-1)
    own = -log_p.gather(-1, counted.clamp(min=0)[:, None])[:, 0]
    wanted = (0.75 * taught + 0.25 * own)[counted != IGNORED].mean()
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    for ours, weight in zip(found, student.parameters(), strict=True):
        np.testing.assert_allclose(ours, weight.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("whole", "small", "times"), [(300, 100, 5), (100, 99, 2), (3000, 100, 8), (60, 100, 1)]
)
def test_the_larger_a_teacher_the_more_often_a_window_of_its_is_learned_from(whole, small, times):
    assert times_of(whole, small) == times


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_pruned_decoder_is_written_with_its_record_and_reads_back(place, tmp_path, kind, capsys):
    out = tmp_path / "small"
    typed = [
        "prune", str(place / kind), "--keep", "depth:2,width:0.5", "--data", str(place / "text"),
        "--steps", "12", "--length", "16", "--batch", "8", "--top", "16", "--out", str(out),
    ]  # fmt: skip
    assert main([*typed, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "pruned.json").read_text())
    names = [arm["name"] for arm in printed["arms"]]
    assert names == ["whole", "pruned", "distilled", "labels alone", "from scratch"]
    held = {arm["name"]: arm["validation_perplexity"] for arm in printed["arms"]}
    assert held["distilled"] < held["pruned"]
    assert printed["ships"] == min(names[1:], key=held.__getitem__)
    again = open_decoder(out)
    assert parameters_of(again.model) == printed["small"]["parameters"]
    tokenizer = open_tokenizer(out / "tokenizer.json", again.words)
    windows = read_corpus(place / "text", tokenizer, length=16)["test"]
    shipped = next(arm for arm in printed["arms"] if arm["name"] == printed["ships"])
    assert math.exp(nats_per_token(again.model, windows, batch=8)) == pytest.approx(
        shipped["test_perplexity"], rel=1e-5
    )
    card = (out / "MODEL_CARD.md").read_text()
    assert "best on validation" in card
    test = {arm["name"]: arm["test_perplexity"] for arm in printed["arms"]}
    share, side = test["distilled"] / test["labels alone"] - 1, "higher"
    if share < 0:
        side = "lower"
    assert f"With the teacher the perplexity is {abs(share):.1%} {side} than after" in card
    assert main(typed) == 2
    assert "is in use" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_decoder(place, tmp_path):
    records = [
        hwkd.prune(
            place / "llama", keep="depth:2", data=place / "text", steps=3, length=16,
            controls=False, out=tmp_path / name,
        )
        for name in ("one", "other")
    ]  # fmt: skip
    first, second = (record.arm("distilled").test_perplexity for record in records)
    assert first == second


def teach(folder, place):
    """Let a decoder learn the text."""
    decoder = open_decoder(folder)
    tokenizer = open_tokenizer(folder / "tokenizer.json", decoder.words)
    windows = read_corpus(place / "text", tokenizer, length=16)["train"]
    recipe, budget = Recipe(rate=0.05, batch=16), Budget(steps=60)
    model: Any = decoder.model
    train_decoder(model, windows, recipe, budget, lesson=Text(windows), seed=0)
    model.save_pretrained(folder)


def broken(folder, kind, place):
    """Return a decoder with one fault and what is said of it."""
    write_decoder(folder)
    if kind == "code":
        edit_config(folder, auto_map={"AutoModelForCausalLM": "modeling.Mine"})
        return "runs none that a model brings"
    if kind == "pickled":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        return "pickled weights"
    if kind == "other kind":
        edit_config(folder, model_type="bert")
        return "is none that hwkd cuts; known: gpt2"
    if kind == "heads":
        edit_config(folder, num_attention_heads=3, head_dim=None)
        return "16 channels (hidden_size) do not divide by 3 attention heads"
    if kind == "groups":
        edit_config(folder, num_key_value_heads=3)
        return "4 heads do not divide by 3"
    if kind == "weights":
        edit_config(folder, tie_word_embeddings=False)
        return "missing keys in its weights"
    if kind == "size":
        edit_config(folder, vocab_size=10**12)
        return "speaks of 16,0"
    if kind == "layers":
        edit_config(folder, num_hidden_layers=10**9)
        return "1000000000 layers; expected 1 to 1,000"
    if kind == "truncated":
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:100])
        return "transformers cannot read it"
    if kind == "no JSON":
        (folder / "config.json").write_text("[")
        return "cannot be read"
    if kind == "tokenizer":
        text = (folder / "tokenizer.json").read_text()
        (folder / "tokenizer.json").write_text(text.replace(": 255", ": 900"))
        return "has a token of number 900, and the model knows 256"
    if kind == "few tokens":
        write_byte_tokenizer(folder / "tokenizer.json", tokens=100)
        return "has 100 tokens, and the model knows 256"
    if kind == "other tokens":
        # The same tokens under other numbers, for a model that is sure of what it learned.
        teach(folder, place)
        write_byte_tokenizer(folder / "tokenizer.json", is_reversed=True)
        return "guessing among its 256 tokens has 256; the tokenizer belongs to another model"
    (folder / "tokenizer.json").write_text("{}")
    return "is no tokenizer"


@pytest.mark.parametrize(
    "kind",
    ["code", "pickled", "other kind", "heads", "groups", "weights", "size", "layers", "truncated",
     "no JSON", "tokenizer", "few tokens", "other tokens", "no tokenizer"],
)  # fmt: skip
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(place, tmp_path, kind, capsys):
    said = broken(tmp_path / "model", kind, place)
    out = tmp_path / "out"
    capsys.readouterr()  # transformers tells what it writes
    assert main([
        "prune", str(tmp_path / "model"), "--keep", "depth:2", "--data", str(place / "text"),
        "--steps", "1", "--length", "16", "--out", str(out),
    ]) == 2  # fmt: skip
    *_, line = capsys.readouterr().err.strip().splitlines()  # behind what was being done
    assert said in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("short.txt", b"too short", "least"),
        ("latin.txt", b"caf\xe9 " * 500, "byte 3 is not UTF-8"),
        ("empty.txt", b" \n" * 9, "holds no text"),
    ],
)
def test_text_that_cannot_be_used_is_refused(place, tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(HwkdError, match=said):
        hwkd.prune(place / "llama", keep="depth:2", data=path, steps=1, out=tmp_path / "out")


def test_other_options_that_cannot_be_are_refused(place, tmp_path):
    def asked(**options):
        return hwkd.prune(
            place / "llama", keep="depth:2", data=place / "text", out=tmp_path / "out",
            **{"steps": 1, "length": 16, **options},
        )  # fmt: skip

    for options, said in (
        ({"divergence": "forwards"}, "did you mean forward"),
        ({"divergence": "generalised:share=2"}, "between 0 and 1"),
        ({"states": "attention,value"}, "did you mean values"),
        ({"length": 100}, "has 64 positions"),
        ({"timeout": "1s"}, "are the least"),
        ({"learning_rate": 0.0}, "above 0"),
    ):
        with pytest.raises(HwkdError, match=said):
            asked(**options)


def test_a_tokenizer_of_bytes_gives_the_text_back(tmp_path):
    write_byte_tokenizer(tmp_path / "tokenizer.json")
    tokenizer = open_tokenizer(tmp_path / "tokenizer.json", 256)
    assert tokenizer.decode(tokenizer.encode("caf\u00e9 1+1").ids) == "caf\u00e9 1+1"
