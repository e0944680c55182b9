"""How much of a decoder is kept: `depth:12,width:0.5` as numbers of layers, heads and channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hwkd.core.errors import ConfigError
from hwkd.language.decoder_axes import Family

_PARTS = ("depth", "width", "heads", "grown", "hidden")
_EXPECTED = "expected depth:12,width:0.5 (also heads, grown, hidden; a count, or a share below 1)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes of a decoder.

    Attributes:
        depth: layers.
        heads: attention heads of a layer.
        groups: of them that share keys and values; as many as heads where none do.
        head_width: channels of one.
        grown: channels of the feed-forward part.
        hidden: channels between layers.
    """

    depth: int
    heads: int
    groups: int
    head_width: int
    grown: int
    hidden: int


def sizes_of(config: Any, family: Family) -> Sizes:
    """Return the sizes of a family's part that a configuration of transformers says."""
    config = family.sizes_in(config)
    hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
    groups = int(getattr(config, "num_key_value_heads", None) or heads)
    return Sizes(
        depth=int(config.num_hidden_layers),
        heads=heads,
        groups=groups if family.has_groups else heads,
        head_width=int(getattr(config, "head_dim", None) or hidden // heads),
        grown=int(getattr(config, family.grown_width, None) or 4 * hidden),
        hidden=hidden,
    )


def kept_sizes(text: str, whole: Sizes, family: Family) -> Sizes:
    """Read what to keep.

    Args:
        text: parts and how much of each, as "depth:12,width:0.5"; `width` is that of heads, the
            feed-forward part and hidden states where they are not named. Shares are rounded up.

    Raises:
        ConfigError: if a part is unknown or named twice, a number none that can be kept, or
            nothing would be cut.
    """
    given: dict[str, str] = {}
    for item in text.split(","):
        part, colon, value = item.strip().partition(":")
        if not colon or part not in _PARTS or part in given:
            raise ConfigError(f"--keep {text}: {item.strip()!r} is not understood; {_EXPECTED}")
        given[part] = value.strip()

    def kept(part: str, of: int) -> int:
        own = given.get(part, given.get("width") if part != "depth" else None)
        if own is None:
            return of
        # A width as a count says nothing of heads and other channels at once.
        return _number(own, of, f"--keep {text}: {part}", only_share=part not in given)

    groups = kept("heads", whole.groups)
    heads = groups * (whole.heads // whole.groups)
    hidden = kept("hidden", whole.hidden)
    if family.heads_fill_hidden:
        if "hidden" in given:
            raise ConfigError(
                f"--keep {text}: the hidden width of this decoder is that of its heads; name heads"
            )
        hidden = heads * whole.head_width
    sizes = Sizes(
        depth=kept("depth", whole.depth),
        heads=heads,
        groups=groups,
        head_width=whole.head_width,
        grown=kept("grown", whole.grown),
        hidden=hidden,
    )
    if sizes == whole:
        raise ConfigError(f"--keep {text}: keeps everything; {_EXPECTED}")
    return sizes


def _number(text: str, of: int, where: str, *, only_share: bool) -> int:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if 0.0 < number < 1.0:
        return math.ceil(number * of)
    if only_share or not (1 <= number <= of and number.is_integer()):
        allowed = "a share below 1" if only_share else f"a count from 1 to {of} or a share below 1"
        raise ConfigError(f"{where} of {text}; expected {allowed}")
    return int(number)
