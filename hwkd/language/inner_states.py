"""States of a decoder's layers, and how those of a cut one differ from the whole one's.

What was cut out of the whole has the same channels and heads, fewer of them: no projection is
needed, the whole one's kept channels are what the cut one's should be.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from hwkd.core.errors import UnknownNameError
from hwkd.distill.losses.transformer import attention_divergence_loss, value_relation_loss
from hwkd.language.decoder_axes import Family
from hwkd.language.kept_parts import sizes_of
from hwkd.language.shrink import KeptParts


class State(enum.StrEnum):
    """A state that a cut decoder can be compared in.

    Attributes:
        HIDDEN: output of a layer; mean squared difference (Minitron).
        ATTENTION: how each token heeds those before; KL (MiniLM, arXiv:2002.10957, equation 5).
        VALUES: relations softmax(V V^T / sqrt(dim)) of the values; KL (equations 6 and 7).
    """

    HIDDEN = "hidden"
    ATTENTION = "attention"
    VALUES = "values"


def read_states(text: str | None) -> tuple[State, ...]:
    """Read names, as "attention,values"; none of None.

    Raises:
        UnknownNameError: with the nearest names.
    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in list(State):
            raise UnknownNameError("state", name, [state.value for state in State])
    return tuple(state for state in State if state in names)


def use_plain_attention(model: Any) -> None:
    """Make a model of transformers compute its attention in the way that shows it."""
    model.set_attn_implementation("eager")


def states_of(
    model: nn.Module, family: Family, given: Mapping[str, Tensor], wanted: tuple[State, ...]
) -> tuple[Tensor, dict[State, list[Tensor]]]:
    """Run a decoder; returns its logits and the wanted states, one of each layer.

    Args:
        given: what the model is called with; see `hwkd.language.corpus.Windows.given`.

    Returns:
        hidden [texts, tokens, channels]; attention [texts, heads, tokens, tokens], probabilities;
        values [texts, heads of values, tokens, channels of one].
    """
    found: dict[State, list[Tensor]] = {state: [] for state in wanted}
    places = {
        State.HIDDEN: ("", _hidden),
        State.ATTENTION: (family.attends, _attention),
        State.VALUES: (family.values, _values(model, family)),
    }
    layers = model.get_submodule(family.layers)
    hooks = [
        layer.get_submodule(places[state][0]).register_forward_hook(
            lambda _module, _given, output, state=state: found[state].append(
                places[state][1](output)
            )
        )
        for layer in layers.children()
        for state in wanted
    ]
    try:
        logits: Tensor = model(**given, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    return logits, found


def _hidden(output: Any) -> Tensor:
    state: Tensor = output[0] if isinstance(output, tuple) else output
    return state


def _attention(output: Any) -> Tensor:
    weights: Tensor = output[1]
    return weights


def _values(model: nn.Module, family: Family) -> Callable[[Any], Tensor]:
    groups = sizes_of(model.config, family).groups

    def split(output: Tensor) -> Tensor:
        # Of queries, keys and values in one, the values are last.
        values = output.chunk(family.parts_with_values, -1)[-1]
        texts, tokens, channels = values.shape
        return values.reshape(texts, tokens, groups, channels // groups).transpose(1, 2)

    return split


class Matched:
    """What of the whole decoder each state of the cut one is held against."""

    def __init__(self, kept: KeptParts, family: Family) -> None:
        self._kept, self._family = kept, family

    def loss(self, state: State, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
        """Return the difference of a state, the mean over layers.

        A layer's attention and values are held against those of the layer it was. Its output is
        held against what the next kept layer was given, and that of the last one against the last.

        Args:
            ours: of each layer of the cut decoder.
            theirs: of each layer of the whole one.
        """
        layers = self._kept.layers.tolist()
        ends = [following - 1 for following in layers[1:]] + [len(theirs) - 1]
        parts = []
        for number, own in enumerate(ours):
            if state is State.HIDDEN:
                target = theirs[ends[number]].index_select(-1, self._kept.hidden)
                parts.append(mse_loss(own, target))
                continue
            other = theirs[layers[number]]
            target = other.index_select(1, self._heads(number, other.shape[1]))
            compare = attention_divergence_loss if state is State.ATTENTION else value_relation_loss
            parts.append(compare(own, target))
        return torch.stack(parts).mean()

    def _heads(self, number: int, count: int) -> Tensor:
        """Return which of the whole decoder's heads (or heads of values) a layer has kept."""
        each = count // self._kept.whole_groups
        return (self._kept.groups[number][:, None] * each + torch.arange(each)).flatten()
