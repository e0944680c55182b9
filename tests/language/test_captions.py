"""A model that reads pictures: either part is cut, and what cannot be read is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from support.decoders import write_captioned, write_decoder, write_llava

import hwkd
from hwkd.cli.app import main
from hwkd.core.errors import HwkdError

pytest.importorskip("transformers")

from hwkd.distill.token_divergences import IGNORED
from hwkd.language.captions import read_captions
from hwkd.language.corpus import open_tokenizer
from hwkd.language.decoder_folder import open_decoder
from hwkd.language.importance import importance_of
from hwkd.language.inner_states import State, states_of, use_plain_attention
from hwkd.language.kept_parts import kept_sizes, sizes_of
from hwkd.language.shrink import kept_parts, shrunk

PARTS = ("decoder", "encoder")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    write_llava(folder / "model")
    write_captioned(folder / "pictures")
    return folder


def _opened(place, part="decoder"):
    decoder = open_decoder(place / "model", part)
    tokenizer = open_tokenizer(place / "model" / "tokenizer.json", decoder.words)
    return decoder, read_captions(place / "pictures", tokenizer, decoder, length=32)


@pytest.mark.slow
def test_a_window_is_the_places_of_a_picture_its_text_and_the_end(place):
    _, splits = _opened(place)
    windows = splits["train"]
    tokenizer = open_tokenizer(place / "model" / "tokenizer.json", 256)
    black, dark = (tokenizer.encode(text).ids for text in ("black", "dark"))
    # Four places, the text in bytes, then the end, which is only predicted.
    assert windows.inputs[0].tolist() == [255, 255, 255, 255, *black]
    assert windows.labels[0].tolist() == [IGNORED] * 3 + [*black, 2]
    assert windows.labels[1].tolist() == [IGNORED] * 3 + [*dark, 2, IGNORED]
    assert windows.tokens == 12 * (6 + 5 + 5 + 6)
    assert windows.pictures.shape == (48, 3, 16, 16)
    np.testing.assert_allclose(windows.pictures[1], (60 / 255 - 0.5) / 0.25, rtol=1e-5)


@pytest.mark.parametrize("part", PARTS)
def test_a_layer_that_does_nothing_can_go_from_either_part(place, part):
    decoder, splits = _opened(place, part)
    family, whole = decoder.family, sizes_of(decoder.config, decoder.family)
    weights = dict(decoder.model.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            if name.startswith(f"{family.layers}.1.") and any(
                f".{module}." in name for module in (family.mixed, family.grown)
            ):
                weight.zero_()
    given = splits["validation"].given([0, 1, 2])
    importance = importance_of(decoder.model, family, whole, [given])
    assert importance.layers.argmin() == 1
    sizes = kept_sizes("depth:2", whole, family)
    small = shrunk(decoder, kept_parts(importance, family, sizes, whole), sizes)
    with torch.no_grad():
        np.testing.assert_allclose(small(**given).logits, decoder.model(**given).logits, atol=1e-6)


def test_states_of_an_encoder_are_those_that_it_shows(place):
    decoder, splits = _opened(place, "encoder")
    use_plain_attention(decoder.model)
    given = splits["validation"].given([0, 1])
    with torch.no_grad():
        _, states = states_of(decoder.model, decoder.family, given, tuple(State))
        shown = decoder.model.model.vision_tower(
            given["pixel_values"], output_hidden_states=True, output_attentions=True
        )
    for number in range(3):
        np.testing.assert_array_equal(states[State.ATTENTION][number], shown.attentions[number])
        np.testing.assert_array_equal(states[State.HIDDEN][number], shown.hidden_states[number + 1])
    assert states[State.VALUES][0].shape == (2, 4, 5, 4)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_either_part_is_cut_taught_and_written(place, tmp_path, part, capsys):
    out = tmp_path / "small"
    assert main([
        "prune", str(place / "model"), "--part", part, "--keep", "depth:2,width:0.5",
        "--data", str(place / "pictures"), "--steps", "10", "--batch", "8", "--states", "hidden",
        "--out", str(out), "--json",
    ]) == 0  # fmt: skip
    record = json.loads(capsys.readouterr().out)
    assert record["part"] == part
    held = {arm["name"]: arm["validation_perplexity"] for arm in record["arms"]}
    assert held["distilled"] < held["pruned"]
    again = open_decoder(out, part)
    assert sizes_of(again.config, again.family).depth == 2
    other = open_decoder(out, PARTS[part == "decoder"])
    assert sizes_of(other.config, other.family).hidden == 16  # the other part is as it was
    card = (out / "MODEL_CARD.md").read_text()
    assert f"A pruned {part}" in card and "AutoModelForImageTextToText" in card
    assert (out / "preprocessor_config.json").is_file()


def test_layers_behind_the_one_that_is_read_stay(tmp_path):
    write_llava(tmp_path / "model", read_layer=-2)
    write_captioned(tmp_path / "pictures")
    record = hwkd.prune(
        tmp_path / "model", part="encoder", keep="depth:2", data=tmp_path / "pictures", steps=2,
        controls=False, out=tmp_path / "out",
    )  # fmt: skip
    assert record.layers[-1] == 2
    with pytest.raises(HwkdError, match="keep 2 at least"):
        hwkd.prune(
            tmp_path / "model", part="encoder", keep="depth:1", data=tmp_path / "pictures",
            steps=2, out=tmp_path / "other",
        )  # fmt: skip


def _broken(kind, model, pictures):
    """Damage a copy; returns options and what is said."""
    table = pictures / "train" / "metadata.csv"
    if kind == "no table":
        (pictures / "test" / "metadata.csv").unlink()
        return {}, "test: no folder with metadata.csv"
    if kind == "no column":
        table.write_text(table.read_text().replace("text", "caption", 1))
        return {}, "no column text"
    if kind == "no picture":
        (pictures / "train" / "3.png").unlink()
        return {}, "row 5 names '3.png', which is no file in this folder"
    if kind == "outside":
        table.write_text(table.read_text().replace("0.png", "../test/0.png", 1))
        return {}, "row 2 names '../test/0.png'"
    if kind == "no text":
        table.write_text(table.read_text().replace("black", " ", 1))
        return {}, "row 2 has no text"
    if kind == "damaged picture":
        (pictures / "train" / "0.png").write_bytes(b"no picture")
        return {}, "0.png"
    if kind == "scaling":
        (model / "preprocessor_config.json").write_text('{"image_mean": [0.5]}')
        return {}, "does not say how pictures are scaled"
    config = json.loads((model / "config.json").read_text())
    if kind == "first layers":
        config["vision_feature_layer"] = 1
        said = "counted from the last layer"
    else:
        config["image_token_index"] = 300
        said = "its picture is token 300"
    (model / "config.json").write_text(json.dumps(config))
    return {"part": "encoder"}, said


@pytest.mark.parametrize(
    "kind",
    ["no table", "no column", "no picture", "outside", "no text", "damaged picture", "scaling",
     "first layers", "picture token"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_one_line(place, tmp_path, kind):
    for name in ("model", "pictures"):
        shutil.copytree(place / name, tmp_path / name)
    options, said = _broken(kind, tmp_path / "model", tmp_path / "pictures")
    with pytest.raises(HwkdError, match=said) as refused:
        hwkd.prune(
            tmp_path / "model", keep="depth:2", data=tmp_path / "pictures", steps=1,
            out=tmp_path / "out", **options,
        )  # fmt: skip
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_decoder_alone_has_no_encoder(tmp_path):
    write_decoder(tmp_path / "model")
    with pytest.raises(HwkdError, match="--part encoder: a llama has no encoder"):
        hwkd.prune(
            tmp_path / "model", part="encoder", keep="depth:2", data=tmp_path, out=tmp_path / "out"
        )
