"""A causal language model on disk, as transformers writes it: config.json and safetensors.

Nothing in the folder runs: code of its own and pickled weights are refused, and the tokenizer is
`tokenizer.json`, which holds data alone.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from hwkd.core.errors import ConfigError, ModelFileError
from hwkd.core.printable import printable
from hwkd.io.paths import require_there
from hwkd.io.text_files import MalformedTextError, read_json
from hwkd.language.decoder_axes import FAMILIES, Family
from hwkd.language.kept_parts import Sizes, sizes_of

CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer.json"
_INSTALL = "needs the extra `text`: pip install 'hwkd[text]'"
_MOST_BYTES = 1 << 20  # of a configuration; real ones have a few thousand
_MOST_LAYERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A model that was read.

    Attributes:
        model: torch module of transformers; `model(ids).logits` has shape [texts, tokens, words].
        sha256: of configuration, weights and tokenizer.
    """

    folder: Path
    model: nn.Module
    config: Any
    family: Family
    sha256: str

    @property
    def words(self) -> int:
        """Size of the vocabulary."""
        return int(self.config.vocab_size)

    @property
    def parameters(self) -> int:
        """Number of weights; tied ones count once."""
        return parameters_of(self.model)


def parameters_of(model: nn.Module) -> int:
    """Return the number of weights; tied ones count once."""
    return sum(tensor.numel() for tensor in model.parameters())


def require_transformers() -> None:
    """Refuse to go on without the extra.

    Raises:
        ConfigError: says how to install it.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # what is not on disk is not looked for
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import transformers
    except ImportError:
        raise ConfigError(f"hwkd prune {_INSTALL}") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def open_decoder(folder: Path) -> Decoder:
    """Read a model.

    Raises:
        ConfigError: without the extra `text`.
        ModelFileError: in one line, if it is no causal language model that hwkd can cut.
    """
    where = printable(folder)
    require_there(folder, "a folder with config.json, model.safetensors and tokenizer.json")
    facts = _facts(folder)
    family = FAMILIES.get(str(facts.get("model_type")))
    if family is None:
        raise ModelFileError(
            f"{where}: model_type {printable(str(facts.get('model_type')))!r} is none that hwkd "
            f"cuts; known: {', '.join(sorted(FAMILIES))}"
        )
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelFileError(
            f"{where}: no {WEIGHTS_FILE}; pickled weights (.bin, .pt) are not read: save the "
            "model with save_pretrained(..., safe_serialization=True)"
        )
    if not (folder / TOKENIZER_FILE).is_file():
        raise ModelFileError(f"{where}: no {TOKENIZER_FILE}; save the tokenizer into the folder")
    require_transformers()
    model, config = _read(folder, files, family, where)
    _require_known_weights(model, family, where)
    digest = hashlib.sha256()
    for path in (folder / CONFIG_FILE, *files, folder / TOKENIZER_FILE):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return Decoder(
        folder=folder, model=model, config=config, family=family, sha256=digest.hexdigest()
    )


def _facts(folder: Path) -> dict[str, Any]:
    """Return the configuration after what must hold of any of them.

    Raises:
        ModelFileError: if it does not.
    """
    path = folder / CONFIG_FILE
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
    layers = facts.get("num_hidden_layers", facts.get("n_layer", 1))
    if not isinstance(layers, int) or not 1 <= layers <= _MOST_LAYERS:
        raise ModelFileError(f"{where}: {printable(str(layers))[:40]} layers; expected 1 to 1,000")
    return facts


def _read(folder: Path, files: list[Path], family: Family, where: str) -> tuple[nn.Module, Any]:
    """Let transformers build and fill the model.

    Raises:
        ModelFileError: if it cannot, or if weights are missing, left over or of another shape.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        _require_heads(config, where)
        _require_size(sizes_of(config, family), int(config.vocab_size), files, where)
        model, told = AutoModelForCausalLM.from_pretrained(
            folder, config=config, local_files_only=True, trust_remote_code=False,
            use_safetensors=True, dtype=torch.float32, output_loading_info=True,
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


def _require_heads(config: Any, where: str) -> None:
    """Refuse attention that cannot be divided into heads.

    Raises:
        ModelFileError: says which numbers do not divide.
    """
    hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
    groups = int(getattr(config, "num_key_value_heads", None) or heads)
    if heads < 1 or (getattr(config, "head_dim", None) is None and hidden % heads):
        raise ModelFileError(f"{where}: hidden_size {hidden} does not divide by {heads} heads")
    if groups < 1 or heads % groups:
        raise ModelFileError(f"{where}: {heads} heads do not divide by {groups} key-value heads")


def _require_size(sizes: Sizes, words: int, files: list[Path], where: str) -> None:
    """Refuse a configuration of more weights than the files hold, before memory is taken for it.

    Raises:
        ModelFileError: with both numbers.
    """
    held = 0
    for path in files:
        with safe_open(path, framework="numpy") as stored:
            held += sum(math.prod(stored.get_slice(k).get_shape()) for k in stored.keys())  # noqa: SIM118
    heads = 2 * (sizes.heads + sizes.groups) * sizes.head_width
    least = sizes.hidden * (words + sizes.depth * (heads + 2 * sizes.grown))
    if min(sizes.hidden, sizes.head_width, sizes.grown, words) < 1 or least > held:
        raise ModelFileError(
            f"{where}: {CONFIG_FILE} speaks of {least:,} weights at least, and {held:,} are there; "
            "the two are not of one model"
        )


def _require_known_weights(model: nn.Module, family: Family, where: str) -> None:
    """Refuse a weight whose axes are not known.

    Raises:
        ModelFileError: names it.
    """
    for name, _ in model.named_parameters():
        if family.axes(name) is None:
            raise ModelFileError(
                f"{where}: hwkd does not know the axes of {printable(name)}, so it cannot be cut"
            )
