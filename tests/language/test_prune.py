"""A pruned decoder: what it keeps, what it learns, what ships, and what is refused."""

import json
import math

import numpy as np
import pytest
import torch
from support.decoders import edit_config, write_byte_tokenizer, write_decoder, write_text

import hwkd
from hwkd.cli.app import main
from hwkd.core.errors import HwkdError

pytest.importorskip("transformers")

from hwkd.distill.token_divergences import IGNORED
from hwkd.language.corpus import open_tokenizer, read_corpus
from hwkd.language.course import nats_per_token
from hwkd.language.decoder_folder import open_decoder
from hwkd.language.importance import Importance, importance_of
from hwkd.language.inner_states import Matched, State, states_of, use_plain_attention
from hwkd.language.kept_parts import Sizes, kept_sizes, sizes_of
from hwkd.language.lessons import levelled
from hwkd.language.model_folder import parameters_of
from hwkd.language.shrink import kept_parts, shrunk
from hwkd.language.teacher_tokens import TeacherTokens

KINDS = ("llama", "mistral", "qwen2", "gpt2")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoders")
    for kind in KINDS:
        write_decoder(folder / kind, kind)
    write_text(folder / "text")
    return folder


def _with_idle_parts(place, kind):
    """Return a decoder of which the middle layer, half of the heads and 14 channels do nothing,
    what is left of it, and the sizes of that."""
    decoder = open_decoder(place / kind)
    family, whole = decoder.family, sizes_of(decoder.config, decoder.family)
    sizes = Sizes(
        depth=2, heads=2, groups=2 if kind == "gpt2" else 1, head_width=whole.head_width,
        grown=10, hidden=8 if kind == "gpt2" else whole.hidden,
    )  # fmt: skip
    kept_groups, kept_grown = list(range(sizes.groups)), list(range(10))
    # What is to be cut is made to do nothing: layer 1, the other heads and channels add 0.
    weights = dict(decoder.model.named_parameters())
    with torch.no_grad():
        for layer in range(3):
            prefix = f"{family.layers}.{layer}."
            mixed, grown = (weights[f"{prefix}{m}.weight"] for m in (family.mixed, family.grown))
            heads = whole.head_width * whole.heads // whole.groups * sizes.groups
            if kind == "gpt2":  # [inputs, outputs]
                mixed[heads:], grown[10:] = 0.0, 0.0
            else:
                mixed[:, heads:], grown[:, 10:] = 0.0, 0.0
            if layer == 1:
                mixed.zero_()
                grown.zero_()
    importance = Importance(
        layers=torch.tensor([2.0, 0.0, 1.0]),
        groups=_first(3, whole.groups, kept_groups),
        grown=_first(3, whole.grown, kept_grown),
        hidden=torch.arange(whole.hidden, 0, -1).float(),
    )
    return decoder, kept_parts(importance, family, sizes, whole), sizes


@pytest.mark.parametrize("kind", KINDS)
def test_parts_that_do_nothing_can_go_and_the_answers_stay(place, kind):
    decoder, kept, sizes = _with_idle_parts(place, kind)
    if kind == "gpt2":  # its hidden width goes with its heads: nothing of it can be left out unseen
        small = shrunk(decoder, kept, sizes)
        assert small.config.n_embd == 8 and small(torch.arange(5)[None]).logits.shape == (1, 5, 256)
        return
    small = shrunk(decoder, kept, sizes)
    ids = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
    with torch.no_grad():
        np.testing.assert_allclose(
            small(ids).logits, decoder.model(ids).logits, atol=1e-6, err_msg=kind
        )


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2"])
@pytest.mark.parametrize("state", list(State))
def test_states_of_a_decoder_that_lost_idle_parts_are_those_of_the_whole(place, kind, state):
    decoder, kept, sizes = _with_idle_parts(place, kind)
    small = shrunk(decoder, kept, sizes)
    ids = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8, 1, 8]])
    for model in (small, decoder.model):
        use_plain_attention(model)
    matched = Matched(kept, decoder.family)
    with torch.no_grad():
        (_, ours), (_, theirs) = (
            states_of(model, decoder.family, ids, (state,)) for model in (small, decoder.model)
        )
        assert float(matched.loss(state, ours[state], theirs[state])) == pytest.approx(0, abs=1e-9)
        # Held against layers the other way round, or heads that are gone, it is not.
        turned = matched.loss(state, ours[state], theirs[state][::-1])
        assert float(turned) > 1e-7


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_that_the_model_itself_shows(place, kind):
    decoder = open_decoder(place / kind)
    use_plain_attention(decoder.model)
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        logits, states = states_of(decoder.model, decoder.family, ids, tuple(State))
        shown = decoder.model(ids, output_hidden_states=True, output_attentions=True)
    np.testing.assert_array_equal(logits, shown.logits)
    for number in range(3):
        np.testing.assert_array_equal(states[State.ATTENTION][number], shown.attentions[number])
        if number < 2:  # the library shows the last one behind its norm
            np.testing.assert_array_equal(
                states[State.HIDDEN][number], shown.hidden_states[number + 1]
            )
    # A layer's attention times its values, through the projection behind, is what its heads give.
    whole = sizes_of(decoder.config, decoder.family)
    values = states[State.VALUES][0].repeat_interleave(whole.heads // whole.groups, 1)
    mixed = (states[State.ATTENTION][0] @ values).transpose(1, 2).flatten(2)
    seen = []
    layer = decoder.model.get_submodule(f"{decoder.family.layers}.0.{decoder.family.mixed}")
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        decoder.model(ids)
    hook.remove()
    np.testing.assert_allclose(mixed, seen[0], atol=1e-6)


def test_compared_states_have_a_control_without_them(place, tmp_path):
    out = tmp_path / "small"
    record = hwkd.prune(
        place / "llama", keep="depth:2,heads:1", data=place / "text", steps=12, length=16, batch=8,
        match="attention, values,hidden", out=out,
    )  # fmt: skip
    assert record.match == ("hidden", "attention", "values")
    assert [arm.name for arm in record.arms[2:]] == [
        "distilled", "next tokens alone", "labels alone", "from scratch",
    ]  # fmt: skip
    both = record.arm("distilled"), record.arm("next tokens alone")
    assert both[0].validation_perplexity != both[1].validation_perplexity
    assert max(arm.validation_perplexity for arm in both) < record.arm("pruned").test_perplexity
    card = (out / "MODEL_CARD.md").read_text()
    assert "in hidden, attention, values of its layers" in card


def test_a_levelled_loss_has_the_other_s_value_and_its_own_direction():
    own = torch.tensor(3.0, requires_grad=True)
    levelled(own.square(), torch.tensor(18.0)).backward()
    assert own.grad.item() == pytest.approx(2 * 3.0 * 18.0 / 9.0)


def _first(layers, count, kept):
    found = torch.zeros(layers, count)
    found[:, kept] = 1.0
    return found


def test_importance_is_that_of_the_formula(place):
    decoder = open_decoder(place / "llama")
    whole = sizes_of(decoder.config, decoder.family)
    ids = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    found = importance_of(decoder.model, decoder.family, whole, [ids])
    with torch.no_grad():
        states = decoder.model(ids, output_hidden_states=True).hidden_states
    first, second = states[0].numpy(), states[1].numpy()
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    assert float(found.layers[0]) == pytest.approx(
        1.0 - np.mean((first * second).sum(-1) / lengths), abs=1e-6
    )
    assert found.groups.shape == (3, 2) and found.grown.shape == (3, 24)
    assert found.hidden.shape == (16,) and (found.hidden > 0).all()


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
    every = TeacherTokens(decoder.model, ids, words=256, top=None).logits([2, 0])
    np.testing.assert_allclose(every, wanted, atol=2e-3)  # kept in 16 bits
    few = TeacherTokens(decoder.model, ids, words=256, top=8)
    first = torch.softmax(few.logits([2, 0]), -1)
    assert torch.equal(first, torch.softmax(few.logits([2, 0]), -1))  # from memory
    assert first.argmax(-1).equal(wanted.argmax(-1))
    np.testing.assert_allclose(
        first.max(-1).values, torch.softmax(wanted, -1).max(-1).values, rtol=5e-3
    )
    assert few.kept_bytes == 2 * 8 * (9 * 2 + 8)


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
    assert "best on validation" in (out / "MODEL_CARD.md").read_text()
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
        return "attention heads (3)"  # transformers says it first
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
        return "belongs to another model"
    (folder / "tokenizer.json").write_text("{}")
    return "is no tokenizer"


@pytest.mark.parametrize(
    "kind",
    ["code", "pickled", "other kind", "heads", "groups", "weights", "size", "layers", "truncated",
     "no JSON", "tokenizer", "no tokenizer"],
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
        ({"match": "attention,value"}, "did you mean values"),
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
