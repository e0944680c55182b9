"""Small decoders as transformers writes them, a tokenizer of single bytes, and text for them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from PIL import Image

KINDS = ("llama", "mistral", "qwen2", "gpt2")


def write_decoder(folder: Path, kind: str = "llama", *, seed: int = 0) -> Path:
    """Write an untrained decoder of three layers and four heads; returns the folder."""
    import transformers

    common = {"vocab_size": 256, "max_position_embeddings": 64}
    configs = {
        "llama": lambda: transformers.LlamaConfig(
            **common, hidden_size=16, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=24, tie_word_embeddings=True,
        ),
        "mistral": lambda: transformers.MistralConfig(
            **common, hidden_size=16, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=24,
        ),
        "qwen2": lambda: transformers.Qwen2Config(
            **common, hidden_size=16, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=24,
        ),
        "gpt2": lambda: transformers.GPT2Config(
            **common, n_embd=16, n_layer=3, n_head=4, n_positions=64, bos_token_id=0,
            eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        ),
    }  # fmt: skip
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(configs[kind]())
    model.save_pretrained(folder)
    write_byte_tokenizer(folder / "tokenizer.json")
    return folder


def write_llava(folder: Path, *, read_layer: int = -1) -> Path:
    """Write an untrained model that reads pictures of 16x16 and text; returns the folder.

    Args:
        read_layer: of the encoder's three, counted from the last.
    """
    import transformers

    sizes = {
        "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 24,
    }  # fmt: skip
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**sizes, image_size=16, patch_size=8),
        text_config=transformers.LlamaConfig(
            **sizes, num_key_value_heads=2, vocab_size=256, max_position_embeddings=64,
            tie_word_embeddings=True,
        ),
        image_token_index=255, vision_feature_layer=read_layer, image_seq_length=4,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    write_byte_tokenizer(folder / "tokenizer.json")
    scaling = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (folder / "preprocessor_config.json").write_text(json.dumps(scaling))
    return folder


def write_captioned(folder: Path) -> Path:
    """Write pictures of one grey, with texts that say how bright they are, in three splits."""
    for split, count in (("train", 48), ("validation", 12), ("test", 12)):
        place = folder / split
        place.mkdir(parents=True)
        rows = ["file_name,text"]
        for number in range(count):
            level = number % 4
            Image.new("RGB", (20, 20), (60 * level,) * 3).save(place / f"{number}.png")
            rows.append(f"{number}.png,{('black', 'dark', 'grey', 'white')[level]}")
        (place / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_byte_tokenizer(path: Path, *, tokens: int = 256, is_reversed: bool = False) -> None:
    """Write a tokenizer whose 256 tokens are the bytes of a text.

    Args:
        tokens: so many of them alone.
        is_reversed: numbers them from the last on.
    """
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Back
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet(), reverse=is_reversed)[:tokens]
    tokenizer = Tokenizer(BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = Back()
    tokenizer.save(str(path))


def write_text(folder: Path) -> Path:
    """Write three splits of a text that a decoder can learn within a few steps."""
    folder.mkdir(parents=True)
    for split, lines in (("train", 120), ("validation", 20), ("test", 20)):
        text = "".join(f"{n % 7} and {n % 7} make {2 * (n % 7)}.\n" for n in range(lines))
        (folder / f"{split}.txt").write_text(text, encoding="utf-8")
    return folder


def edit_config(folder: Path, **values: object) -> None:
    """Change values of a decoder's configuration."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
