"""A causal language model on disk that can be cut; see `hwkd.language.model_folder`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from hwkd.core.errors import ModelFileError
from hwkd.core.printable import printable
from hwkd.language.decoder_axes import FAMILIES, Family
from hwkd.language.kept_parts import sizes_of
from hwkd.language.model_folder import (
    checked_facts,
    folder_sha256,
    read_model,
    require_transformers,
)


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


def open_decoder(folder: Path) -> Decoder:
    """Read a model.

    Raises:
        ConfigError: without the extra `text`.
        ModelFileError: in one line, if it is no causal language model that hwkd can cut.
    """
    facts = checked_facts(folder, FAMILIES, what="cuts")
    family = FAMILIES[facts["model_type"]]
    require_transformers("hwkd prune")

    def least_weights(config: Any, where: str) -> int:
        _require_heads(config, where)
        sizes = sizes_of(config, family)
        if min(sizes.hidden, sizes.head_width, sizes.grown, int(config.vocab_size)) < 1:
            return 0
        heads = 2 * (sizes.heads + sizes.groups) * sizes.head_width
        layers = sizes.depth * (heads + 2 * sizes.grown)
        return sizes.hidden * (int(config.vocab_size) + layers)

    model, config = read_model(folder, "AutoModelForCausalLM", least_weights)
    _require_known_weights(model, family, printable(folder))
    return Decoder(
        folder=folder, model=model, config=config, family=family, sha256=folder_sha256(folder)
    )


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
