"""A language model on disk of which a part can be cut; see `hwkd.language.model_folder`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from hwkd.core.errors import ConfigError, ModelFileError
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
    """A model that was read, and the part of it that is cut.

    Attributes:
        model: torch module of transformers; `model(ids).logits` has shape [texts, tokens, words].
        family: of the part.
        last: layers at the end of the part that stay, since the model reads the one before them.
        sha256: of configuration, weights and tokenizer.
    """

    folder: Path
    model: nn.Module
    config: Any
    family: Family
    last: int
    sha256: str

    @property
    def words(self) -> int:
        """Size of the vocabulary."""
        return int(self.config.get_text_config().vocab_size)

    @property
    def reads_pictures(self) -> bool:
        """Whether a picture comes before each text."""
        return hasattr(self.config, "vision_config")


def auto_class(kind: str) -> str:
    """Return the class of transformers that models of a `model_type` are opened with."""
    has_encoder = "encoder" in FAMILIES[kind]
    return "AutoModelForImageTextToText" if has_encoder else "AutoModelForCausalLM"


def open_decoder(folder: Path, part: str = "decoder") -> Decoder:
    """Read a model.

    Args:
        part: that is cut, "decoder" or "encoder".

    Raises:
        ConfigError: without the extra `text`, or if the model has no such part.
        ModelFileError: in one line, if it is no language model that hwkd can cut.
    """
    kind = checked_facts(folder, FAMILIES, what="cuts")["model_type"]
    parts = FAMILIES[kind]
    if part not in parts:
        raise ConfigError(f"--part {part}: a {kind} has no {part}; expected {' or '.join(parts)}")
    require_transformers("hwkd prune")
    model, config = read_model(folder, auto_class(kind), partial(_least_weights, parts))
    where = printable(folder)
    _require_known_weights(model, parts[part], where)
    return Decoder(
        folder=folder,
        model=model,
        config=config,
        family=parts[part],
        last=_last_layers(config, where) if part == "encoder" else 0,
        sha256=folder_sha256(folder),
    )


def _least_weights(parts: Mapping[str, Family], config: Any, where: str) -> int:
    """Return how many weights a configuration has at least; 0 where a size is none."""
    least = 0
    words = int(config.get_text_config().vocab_size)
    for name, family in parts.items():
        _require_groups(family.sizes_in(config), where)
        sizes = sizes_of(config, family)
        if min(sizes.hidden, sizes.head_width, sizes.grown, words) < 1:
            return 0
        heads = 2 * (sizes.heads + sizes.groups) * sizes.head_width
        layers = sizes.depth * (heads + 2 * sizes.grown)
        least += sizes.hidden * (layers + (words if name == "decoder" else 0))
    return least


def _last_layers(config: Any, where: str) -> int:
    """Return how many layers of an encoder follow the one that is read.

    Raises:
        ModelFileError: if several are read, or one that is counted from the first.
    """
    read = config.vision_feature_layer
    if not isinstance(read, int) or read >= 0:
        raise ModelFileError(
            f"{where}: vision_feature_layer {printable(str(read))} is not counted from the last "
            "layer, so its encoder cannot be cut; --part decoder can"
        )
    return -1 - read


def _require_groups(config: Any, where: str) -> None:
    """Refuse heads that cannot share keys and values.

    Raises:
        ModelFileError: says which numbers do not divide.
    """
    heads = int(config.num_attention_heads)
    groups = int(getattr(config, "num_key_value_heads", None) or heads)
    if heads < 1:
        raise ModelFileError(f"{where}: {heads} attention heads; expected 1 or more")
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
