"""What is left of a decoder that was cut: its weights, its states, and what counts in it."""

import numpy as np
import pytest
import torch
from support.decoders import KINDS

pytest.importorskip("transformers")

from hwkd.language.decoder_folder import open_decoder
from hwkd.language.importance import Importance, importance_of
from hwkd.language.inner_states import Matched, State, states_of, use_plain_attention
from hwkd.language.kept_parts import Sizes, sizes_of
from hwkd.language.lessons import levelled
from hwkd.language.shrink import kept_parts, shrunk


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
            states_of(model, decoder.family, {"input_ids": ids}, (state,))
            for model in (small, decoder.model)
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
    given = {"input_ids": ids}
    with torch.no_grad():
        logits, states = states_of(decoder.model, decoder.family, given, tuple(State))
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
    found = importance_of(decoder.model, decoder.family, whole, [{"input_ids": ids}])
    with torch.no_grad():
        states = decoder.model(ids, output_hidden_states=True).hidden_states
    first, second = states[0].numpy(), states[1].numpy()
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    assert float(found.layers[0]) == pytest.approx(
        1.0 - np.mean((first * second).sum(-1) / lengths), abs=1e-6
    )
    assert found.groups.shape == (3, 2) and found.grown.shape == (3, 24)
    assert found.hidden.shape == (16,) and (found.hidden > 0).all()
