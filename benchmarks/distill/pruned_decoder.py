"""A decoder cut to less than a quarter and taught by the whole, against one trained from scratch.

python -m benchmarks.distill.pruned_decoder --data FOLDER --work FOLDER [--teacher-minutes 20]
    [--minutes 1] [--seeds 3] [--keep depth:4,width:0.5] [--divergence forward] [--times 4]
    [--states attention,values]      (minutes of the processor)

FOLDER of --data is that of `python -m tools.make_task_data language`. A decoder of Llama's blocks
and a tokenizer of 1,024 tokens are trained on it once and kept in --work. Every seed prunes it as
`hwkd prune` does: distilled, pruned weights on the text alone, and the same sizes from scratch have
the same processor time each, --minutes less a third of what reading and judging take; the last also
has --times as much. Perplexities are of the test text. What a seed reached is kept in --work, too,
so that the same command goes on where it was ended. Fails if the mean of the distilled one is not
below that of the one from scratch, or of the one without a teacher, for the same time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.lib.verdict import Target, report
from hwkd.core.progress import silent
from hwkd.core.verdict_record import DISTILLED, LABELS_ALONE
from hwkd.distill.token_divergences import TokenDivergence
from hwkd.language.corpus import Windows, open_tokenizer, read_corpus
from hwkd.language.course import Budget, Recipe, nats_per_token, train_decoder
from hwkd.language.decoder_folder import open_decoder
from hwkd.language.inner_states import read_states
from hwkd.language.kept_parts import kept_sizes, sizes_of
from hwkd.language.lessons import Text
from hwkd.language.model_folder import TOKENIZER_FILE, parameters_of
from hwkd.language.prune import SCRATCH, prune_decoder
from hwkd.language.prune_order import PruneOrder
from hwkd.language.shrink import new_model, small_config

# Four windows in a step: in so little time many small steps reach further than few large ones.
WORDS, LENGTH, BATCH, RATE = 1024, 128, 4, 1e-3
QUARTER = 0.25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--teacher-minutes", type=float, default=8.0)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", default="depth:4,width:0.5")
    parser.add_argument("--divergence", default="forward")
    parser.add_argument("--states", help="states that are compared beside next tokens")
    parser.add_argument("--times", type=float, default=4.0, help="0: not at all")
    given = parser.parse_args()
    folder = given.work / "decoder"
    if not (folder / "model.safetensors").is_file():
        write_teacher(folder, given.data, 60.0 * given.teacher_minutes)
    decoder = open_decoder(folder)
    tokenizer = open_tokenizer(folder / TOKENIZER_FILE, decoder.words)
    splits = read_corpus(given.data, tokenizer, length=LENGTH)
    sizes = kept_sizes(given.keep, sizes_of(decoder.config, decoder.family), decoder.family)
    config = small_config(decoder.config, decoder.family, sizes)
    rows = []
    for seed in range(given.seeds):
        kept = given.work / f"{_named(given)}-{seed}.json"
        if kept.is_file():
            rows.append(json.loads(kept.read_text()))
            continue
        order = PruneOrder(
            model=folder, data=given.data, part="decoder", keep=given.keep,
            states=read_states(given.states),
            divergence=TokenDivergence.parse(given.divergence), label_weight=0.3, top=64,
            length=LENGTH, batch=BATCH, rate=RATE, steps=None, begun=time.process_time(),
            seconds=60.0 * (4 if given.states else 3) * given.minutes, controls=True,
            calibration=64, seed=seed, clock=time.process_time,
        )  # fmt: skip
        record = prune_decoder(order, progress=silent).record
        row = {arm.name: round(arm.test_perplexity, 2) for arm in record.arms}
        if given.times:
            longer = f"{SCRATCH}, {given.times:g} x"
            row[longer] = round(
                _from_scratch(config, splits, given.times * record.arm(SCRATCH).seconds, seed), 2
            )
        rows.append({
            "seed": seed, "seconds of each": record.arm(SCRATCH).seconds,
            "steps": {arm.name: arm.steps for arm in record.arms if arm.steps},
            "perplexity": row,
        })  # fmt: skip
        kept.write_text(json.dumps(rows[-1]))
        print(rows[-1], flush=True)
    names = list(rows[0]["perplexity"])
    means = {name: statistics.mean(row["perplexity"][name] for row in rows) for name in names}
    print({name: round(value, 2) for name, value in means.items()})
    small = parameters_of(new_model(config, seed=0)) / parameters_of(decoder.model)
    targets = [
        Target("weights that are left", small, QUARTER),
        Target("perplexity of the distilled one over that from scratch, as long",
               means[DISTILLED] / means[SCRATCH], 1.0, scale=1.0, unit=" x"),
        Target("perplexity of the distilled one over that without teacher, as long",
               means[DISTILLED] / means[LABELS_ALONE], 1.0, scale=1.0, unit=" x"),
    ]  # fmt: skip
    values = {"mean perplexities": means, "seeds": rows}
    return report(targets, values)


def write_teacher(folder: Path, data: Path, seconds: float) -> None:
    """Train a tokenizer and a decoder of 1.3 million weights, and write them as a model."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Back
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer
    from transformers import LlamaConfig

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = Back()
    trainer = BpeTrainer(
        vocab_size=WORDS, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train([str(data / "train.txt")], trainer)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    splits = read_corpus(data, open_tokenizer(folder / TOKENIZER_FILE, WORDS), length=LENGTH)
    config = LlamaConfig(
        vocab_size=WORDS, hidden_size=128, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=4, intermediate_size=352, max_position_embeddings=LENGTH,
        tie_word_embeddings=True,
    )  # fmt: skip
    model: Any = new_model(config, seed=0)
    recipe = Recipe(rate=3 * RATE, batch=BATCH)
    course = train_decoder(
        model, splits["train"], recipe, _budget(seconds), lesson=Text(splits["train"]), seed=0,
    )  # fmt: skip
    nats = nats_per_token(model, splits["validation"], batch=BATCH)
    print(f"the whole: {course.steps:,} steps, {nats:.3f} nats a token on validation", flush=True)
    model.save_pretrained(folder)


def _named(given: argparse.Namespace) -> str:
    """Return a name of what decides a seed's result."""
    asked = {name: str(value) for name, value in vars(given).items() if name != "seeds"}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def _budget(seconds: float) -> Budget:
    return Budget(seconds=seconds, clock=time.process_time)


def _from_scratch(config: Any, splits: Mapping[str, Windows], seconds: float, seed: int) -> float:
    """Return the test perplexity of a new decoder that had this time."""
    model = new_model(config, seed=seed)
    train_decoder(
        model, splits["train"], Recipe(rate=3 * RATE, batch=BATCH), _budget(seconds),
        lesson=Text(splits["train"]), seed=seed,
    )  # fmt: skip
    return math.exp(nats_per_token(model, splits["test"], batch=BATCH))


if __name__ == "__main__":
    sys.exit(main())
