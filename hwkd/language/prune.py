"""Cuts a part of a language model, teaches what is left, and shows what each of the two gained.

The whole model teaches. Beside the distilled one two controls train for the same time: the pruned
weights on the text alone, and the same sizes from scratch. What ships is the best of all on
validation.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hwkd.core.errors import ConfigError, ModelFileError
from hwkd.core.progress import Progress
from hwkd.core.verdict_record import DISTILLED, LABELS_ALONE
from hwkd.language.captions import read_captions
from hwkd.language.corpus import Windows, open_tokenizer, read_corpus
from hwkd.language.course import Budget, Course, Recipe, nats_per_token, train_decoder
from hwkd.language.decoder_folder import Decoder, open_decoder
from hwkd.language.importance import importance_of
from hwkd.language.inner_states import use_plain_attention
from hwkd.language.kept_parts import Sizes, kept_sizes, sizes_of
from hwkd.language.lessons import Lesson, NextTokens, NextTokensAndStates, Text
from hwkd.language.model_folder import TOKENIZER_FILE, parameters_of
from hwkd.language.prune_order import PruneOrder
from hwkd.language.prune_record import DecoderArm, DecoderSizes, PruneRecord
from hwkd.language.shrink import KeptParts, kept_parts, new_model, shrunk
from hwkd.language.teacher_tokens import TeacherTokens

WHOLE, PRUNED = "whole", "pruned"
TOKENS, SCRATCH = "next tokens alone", "from scratch"
# Asking about a window costs at most this share of learning from it, spread over the times that it
# is learned from; more often than _MOST_TIMES shows a student too little of the text.
_ASKING_SHARE = 0.2
_MOST_TIMES = 8
_SCRATCH_FASTER = 3.0  # learning rate of new weights over that of trained ones
_LEAST_SECONDS = 1.0  # of one training
_USUAL_LENGTH = 128  # tokens
_WORSE_THAN_CHANCE = 1.0  # nats of a token; a model that knows nothing is at chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """The decoder that ships and the record of how it came about.

    Attributes:
        decoder: that was pruned.
        model: that ships; a model of transformers, which has no types where it is not installed.
    """

    decoder: Decoder
    model: Any
    record: PruneRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A whole model, what of it is kept, and what is left."""

    decoder: Decoder
    kept: KeptParts
    small: nn.Module


def prune_decoder(order: PruneOrder, *, progress: Progress) -> Pruned:
    """Prune a decoder and teach what is left.

    Raises:
        HwkdError: in one line, if model, text or sizes cannot be used, or the time is too short.
    """
    progress("read the model", 0, 1)
    decoder = open_decoder(order.model, order.part)
    whole = sizes_of(decoder.config, decoder.family)
    sizes = kept_sizes(order.keep, whole, decoder.family)
    length = _length(decoder, order.length)
    progress("read the text", 0, 1)
    splits = _splits(decoder, order, length)
    torch.manual_seed(order.seed)
    seen = _calibration(splits["train"], order)
    progress("see what matters", 0, 1)
    importance = importance_of(decoder.model, decoder.family, whole, seen)
    kept = kept_parts(importance, decoder.family, sizes, whole, last=decoder.last)
    small = shrunk(decoder, kept, sizes)
    cut = _Cut(decoder=decoder, kept=kept, small=small)
    held: dict[str, tuple[nn.Module, Course | None]] = {
        WHOLE: (decoder.model, None), PRUNED: (small, None),
    }  # fmt: skip
    progress("judge the pruned decoder", 0, 1)
    judged_s = order.clock()
    nats = {name: _nats(held[name][0], splits["validation"], order) for name in held}
    judged_s = order.clock() - judged_s
    _require_knows_text(nats[WHOLE], decoder)
    for number, name in enumerate(names := _trained(order)):
        budget = _budget(order, left=len(names) - number, judging_s=3.0 * judged_s)
        held[name] = _course(name, cut, splits["train"], order, budget, progress)
        nats[name] = _nats(held[name][0], splits["validation"], order)
    ships = min((name for name in nats if name != WHOLE), key=nats.__getitem__)
    arms = tuple(_arm(name, held, nats, splits["test"], order) for name in held)
    record = PruneRecord(
        model=str(order.model),
        model_sha256=decoder.sha256,
        data=str(order.data),
        part=order.part,
        keep=order.keep,
        whole=_recorded(whole, decoder.model),
        small=_recorded(sizes, small),
        layers=tuple(kept.layers.tolist()),
        states=tuple(order.states),
        divergence=str(order.divergence),
        label_weight=order.label_weight,
        top=order.top,
        length=splits["train"].inputs.shape[1],
        train_tokens=splits["train"].tokens,
        test_tokens=splits["test"].tokens,
        seed=order.seed,
        arms=arms,
        ships=ships,
    )
    return Pruned(decoder=decoder, model=held[ships][0], record=record)


def _require_knows_text(nats: float, decoder: Decoder) -> None:
    """Refuse a model that is surely wrong about the text: the tokens are not those it learned.

    Raises:
        ModelFileError: with both perplexities.
    """
    if nats > math.log(decoder.words) + _WORSE_THAN_CHANCE:
        raise ModelFileError(
            f"{decoder.folder / TOKENIZER_FILE}: with it the model's perplexity of the text is "
            f"{_exponential(nats):,.0f}, and guessing among its {decoder.words:,} tokens has "
            f"{decoder.words:,}; the tokenizer belongs to another model"
        )


def _trained(order: PruneOrder) -> tuple[str, ...]:
    if not order.controls:
        return (DISTILLED,)
    return (DISTILLED, *((TOKENS,) if order.states else ()), LABELS_ALONE, SCRATCH)


def _course(
    name: str,
    cut: _Cut,
    windows: Windows,
    order: PruneOrder,
    budget: Budget,
    progress: Progress,
) -> tuple[nn.Module, Course]:
    """Train one arm; returns it with what its course did."""
    is_new = name == SCRATCH
    model: Any = copy.deepcopy(cut.small)
    if is_new:
        model = new_model(model.config, seed=order.seed)
    lesson, times = _lesson(name, cut, model, windows, order)
    recipe = Recipe(
        rate=order.rate * (_SCRATCH_FASTER if is_new else 1.0), batch=order.batch, times=times
    )
    course = train_decoder(
        model, windows, recipe, budget,
        lesson=lesson,
        seed=order.seed,
        told=lambda over, loss: progress(
            f"train: {name}", round(1000 * over), 1000, f"{loss:.3f} nats"
        ),
    )  # fmt: skip
    return model, course


def _lesson(
    name: str, cut: _Cut, model: nn.Module, windows: Windows, order: PruneOrder
) -> tuple[Lesson, int]:
    """Return what an arm learns from, and how often from a window before others are asked about."""
    decoder = cut.decoder
    if name == DISTILLED and order.states:
        use_plain_attention(model)
        return NextTokensAndStates(
            decoder.model, decoder.family, cut.kept, windows, order.divergence, order.states,
            order.label_weight,
        ), 1  # fmt: skip
    if name in (DISTILLED, TOKENS):
        teacher = TeacherTokens(decoder.model, windows, words=decoder.words, top=order.top)
        lesson = NextTokens(teacher, windows, order.divergence, order.label_weight)
        return lesson, times_of(parameters_of(decoder.model), parameters_of(model))
    return Text(windows), 1


def times_of(whole: int, small: int) -> int:
    """Return how often a student learns from a window that its teacher was asked about.

    A multiply-add for each weight of the whole one answers a token, and three for each weight of
    the small one learn from it.
    """
    return min(_MOST_TIMES, math.ceil(whole / (3.0 * small * _ASKING_SHARE)))


def _budget(order: PruneOrder, *, left: int, judging_s: float) -> Budget:
    """Return the share of one training of the time that is left.

    Raises:
        ConfigError: if that is too little for anything.
    """
    if order.seconds is None:
        return Budget(steps=order.steps, clock=order.clock)
    over = order.clock() - order.begun
    share = (order.seconds - over - judging_s - 0.5) / left
    if share < _LEAST_SECONDS:
        least = over + judging_s + 0.5 + left * _LEAST_SECONDS
        raise ConfigError(
            f"--timeout {order.seconds:g}s: too short; reading and judging take {over:.0f} s here "
            f"and {least:.0f} s are the least that trains anything"
        )
    return Budget(seconds=share, steps=order.steps, clock=order.clock)


def _length(decoder: Decoder, asked: int | None) -> int:
    """Return the tokens of a window.

    Raises:
        ConfigError: if the decoder does not know so many positions.
    """
    config = decoder.config.get_text_config()
    most = int(getattr(config, "max_position_embeddings", _USUAL_LENGTH))
    if asked is not None and asked > most:
        raise ConfigError(f"--length {asked}: the model has {most} positions")
    return min(_USUAL_LENGTH, most) if asked is None else asked


def _splits(decoder: Decoder, order: PruneOrder, length: int) -> Mapping[str, Windows]:
    tokenizer = open_tokenizer(order.model / TOKENIZER_FILE, decoder.words)
    if decoder.reads_pictures:
        return read_captions(order.data, tokenizer, decoder, length=length)
    return read_corpus(order.data, tokenizer, length=length)


def _calibration(windows: Windows, order: PruneOrder) -> list[dict[str, Tensor]]:
    rows = torch.randperm(len(windows.inputs))[: order.calibration]
    return [windows.given(some.tolist()) for some in torch.split(rows, order.batch)]


def _nats(model: nn.Module, windows: Windows, order: PruneOrder) -> float:
    return nats_per_token(model, windows, batch=order.batch)


def _arm(
    name: str,
    held: Mapping[str, tuple[nn.Module, Course | None]],
    validation: Mapping[str, float],
    test: Windows,
    order: PruneOrder,
) -> DecoderArm:
    model, course = held[name]
    nats = _nats(model, test, order)
    return DecoderArm(
        name=name,
        steps=0 if course is None else course.steps,
        seconds=0.0 if course is None else round(course.seconds, 1),
        validation_perplexity=_exponential(validation[name]),
        test_perplexity=_exponential(nats),
        test_bits_per_character=nats * test.tokens / test.characters / math.log(2.0),
    )


def _exponential(nats: float) -> float:
    """Return the perplexity; of a decoder that knows less than nothing, a very large number."""
    return math.exp(min(nats, 700.0))


def _recorded(sizes: Sizes, model: nn.Module) -> DecoderSizes:
    return DecoderSizes(
        depth=sizes.depth,
        heads=sizes.heads,
        groups=sizes.groups,
        head_width=sizes.head_width,
        grown=sizes.grown,
        hidden=sizes.hidden,
        parameters=parameters_of(model),
    )
