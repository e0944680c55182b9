"""A model on disk, as transformers writes it: config.json, safetensors, tokenizer.json.

Nothing in the folder runs: code of its own and pickled weights are refused, and the tokenizer is
`tokenizer.json`, which holds data alone. What a configuration claims is held against the weights
that are there before memory is taken for it.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from hwkd.core.errors import ConfigError, ModelFileError
from hwkd.core.printable import printable
from hwkd.io.paths import require_there
from hwkd.io.text_files import MalformedTextError, read_json

CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer.json"
EXPECTED = f"a folder with {CONFIG_FILE}, {WEIGHTS_FILE} and {TOKENIZER_FILE}"
_MOST_BYTES = 1 << 20  # of a configuration; real ones have a few thousand
_MOST_LAYERS = 1000
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers")
_HIDDEN, _HEADS = ("hidden_size", "n_embd", "dim"), ("num_attention_heads", "n_head", "n_heads")


def require_transformers(what: str) -> None:
    """Refuse to go on without the extra.

    Args:
        what: needs it, as "hwkd prune".

    Raises:
        ConfigError: says how to install it.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # what is not on disk is not looked for
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import transformers
    except ImportError:
        raise ConfigError(f"{what} needs the extra `text`: pip install 'hwkd[text]'") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def parameters_of(model: nn.Module) -> int:
    """Return the number of weights; tied ones count once."""
    return sum(tensor.numel() for tensor in model.parameters())


def checked_facts(folder: Path, kinds: Collection[str], *, what: str) -> dict[str, Any]:
    """Return the configuration of a folder that holds all that is read.

    Args:
        kinds: values of `model_type` that are taken.
        what: is done with such models, as "cuts".

    Raises:
        ModelFileError: in one line, if something is missing, of another kind or would run.
    """
    where = printable(folder)
    require_there(folder, EXPECTED)
    facts = _facts(folder / CONFIG_FILE)
    kind = facts.get("model_type")
    if kind not in kinds:
        raise ModelFileError(
            f"{where}: model_type {printable(str(kind))!r} is none that hwkd {what}; known: "
            f"{', '.join(sorted(kinds))}"
        )
    if not _weight_files(folder):
        raise ModelFileError(
            f"{where}: no {WEIGHTS_FILE}; pickled weights (.bin, .pt) are not read: save the "
            "model with save_pretrained(..., safe_serialization=True)"
        )
    if not (folder / TOKENIZER_FILE).is_file():
        raise ModelFileError(f"{where}: no {TOKENIZER_FILE}; save the tokenizer into the folder")
    return facts


def read_model(
    folder: Path, auto: str, least_weights: Callable[[Any, str], int]
) -> tuple[Any, Any]:
    """Let transformers build and fill a model; returns it and its configuration.

    Args:
        auto: class of transformers, as "AutoModelForCausalLM".
        least_weights: how many weights a configuration has at least; refuses one that cannot be.

    Raises:
        ModelFileError: if it cannot, or if weights are missing, left over or of another shape.
    """
    import transformers

    where = printable(folder)
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        _require_size(least_weights(config, where), folder, where)
        model, told = getattr(transformers, auto).from_pretrained(
            folder, config=config, local_files_only=True, trust_remote_code=False,
            use_safetensors=True, dtype=torch.float32, output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )  # fmt: skip
    except ModelFileError:
        raise
    except Exception as error:  # of many kinds: whatever the files hold ends in one line
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelFileError(f"{where}: transformers cannot read it ({reason})") from None
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if names := sorted(map(str, told.get(what, ()))):
            raise ModelFileError(
                f"{where}: {what.replace('_', ' ')} in its weights: {printable(names[0])}"
                f"{f' and {len(names) - 1} more' if len(names) > 1 else ''}; config.json and "
                "safetensors are not of one model"
            )
    return model.eval(), config


def folder_sha256(folder: Path) -> str:
    """Return the SHA-256 of configuration, weights and tokenizer."""
    digest = hashlib.sha256()
    for path in (folder / CONFIG_FILE, *_weight_files(folder), folder / TOKENIZER_FILE):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _facts(path: Path) -> dict[str, Any]:
    """Return the configuration after what must hold of any of them.

    Raises:
        ModelFileError: if it does not.
    """
    where = printable(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise MalformedTextError(f"has over {_MOST_BYTES:,} bytes")
        facts = read_json(path)
    except (OSError, MalformedTextError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(f"{where}: cannot be read ({reason})") from None
    if not isinstance(facts, dict):
        raise ModelFileError(f"{where}: is no JSON object; expected a model's configuration")
    if "auto_map" in facts:
        raise ModelFileError(
            f"{where}: asks for code of its own (auto_map), and hwkd runs none that a model brings"
        )
    for part in (facts, *(value for value in facts.values() if isinstance(value, dict))):
        layers = next((part[name] for name in _LAYERS if name in part), 1)
        if not isinstance(layers, int) or not 1 <= layers <= _MOST_LAYERS:
            raise ModelFileError(
                f"{where}: {printable(str(layers))[:40]} layers; expected 1 to 1,000"
            )
        _require_heads(part, where)
    return facts


def _require_heads(facts: dict[str, Any], where: str) -> None:
    """Refuse channels that cannot be divided into heads.

    Raises:
        ModelFileError: says which numbers do not divide.
    """
    hidden, heads = (
        next((facts[name] for name in names if name in facts), None) for names in (_HIDDEN, _HEADS)
    )
    if not (isinstance(hidden, int) and isinstance(heads, int)) or facts.get("head_dim"):
        return  # transformers' own numbers, or a width of heads by itself
    if heads < 1 or hidden % heads:
        raise ModelFileError(
            f"{where}: {hidden} channels (hidden_size) do not divide by {heads} attention heads; "
            "correct num_attention_heads, or give the configuration that the weights were saved "
            "with"
        )


def _require_size(least: int, folder: Path, where: str) -> None:
    """Refuse a configuration of more weights than the files hold.

    Raises:
        ModelFileError: with both numbers.
    """
    held = 0
    for path in _weight_files(folder):
        with safe_open(path, framework="numpy") as stored:
            names = list(stored.keys())
            held += sum(math.prod(stored.get_slice(name).get_shape()) for name in names)
    if least < 1 or least > held:
        raise ModelFileError(
            f"{where}: {CONFIG_FILE} speaks of {least:,} weights at least, and {held:,} are there; "
            "the two are not of one model"
        )
